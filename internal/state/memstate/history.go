package memstate

import (
	"slices"
	"strings"

	"github.com/panalvm/panal/internal/state"
)

// history holds the changes of the newest revisions: revisions[i] are those of
// revision dropped+1+i.
type history struct {
	// dropped is the newest revision whose changes are gone.
	dropped   state.Revision
	revisions [][]state.Change
}

func (h *history) current() state.Revision {
	return h.dropped + state.Revision(len(h.revisions))
}

// add makes changes the next revision. Old ones are dropped a whole MinHistory at
// a time, so that adding stays cheap.
func (h *history) add(changes []state.Change) {
	h.revisions = append(h.revisions, changes)
	if len(h.revisions) >= 2*state.MinHistory {
		h.drop(h.current() - state.MinHistory)
	}
}

// drop forgets the changes up to and including revision at, if they are there.
func (h *history) drop(at state.Revision) {
	if at <= h.dropped {
		return
	}
	h.revisions = slices.Clone(h.revisions[at-h.dropped:])
	h.dropped = at
}

// matching returns copies of the changes of revision at whose keys begin with
// prefix, with Last set on the last of them.
func (h *history) matching(at state.Revision, prefix string) []state.Change {
	var found []state.Change
	for _, change := range h.revisions[at-h.dropped-1] {
		if !strings.HasPrefix(change.Entry.Key, prefix) {
			continue
		}
		change.Last = false
		found = append(found, copiedChange(change))
	}
	if len(found) > 0 {
		found[len(found)-1].Last = true
	}
	return found
}

func copiedChange(change state.Change) state.Change {
	if change.Kind == state.KindPut {
		change.Entry = copied(change.Entry)
	}
	if change.Previous != nil {
		previous := copied(*change.Previous)
		change.Previous = &previous
	}
	return change
}
