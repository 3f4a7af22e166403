package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/state"
)

// list is the machines' summaries in memory, ordered by name.
type list struct {
	mu       sync.Mutex // guards what follows
	rows     []api.Summary
	names    map[string]string // UUID to name, to find a row by UUID
	uses     uses
	clocks   clocks
	at       state.Revision
	err      error         // why the list is no longer kept up to date
	advanced chan struct{} // closed, and made anew, when at or err changes
}

func (l *list) replace(rows []api.Summary, used uses, scheduled map[string]Scheduled, at state.Revision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uses = used
	l.clocks.replace(scheduled)
	slices.SortFunc(rows, byName)
	l.rows, l.names = rows, make(map[string]string, len(rows))
	for _, row := range rows {
		l.names[row.UUID] = row.Name
	}
	l.advance(at)
}

// apply takes in one change of the store, of whatever kind.
func (inv *Inventory) apply(change state.Change) {
	l := &inv.list
	l.mu.Lock()
	defer l.mu.Unlock()
	if uuid, found := strings.CutPrefix(change.Entry.Key, Prefix); found {
		l.remove(uuid)
		l.uses.forget(uuid)
		if change.Kind == state.KindPut {
			inv.insert(change.Entry)
		} else {
			l.clocks.note(uuid, Scheduled{})
		}
	}
	if change.Last {
		l.advance(change.Entry.Revision)
	}
}

// insert adds the row of a stored machine; inv.list.mu is held.
func (inv *Inventory) insert(entry state.Entry) {
	object := Object{Revision: entry.Revision}
	if err := json.Unmarshal(entry.Value, &object.Value); err != nil {
		inv.log.Error("a machine's record cannot be read; it is left as it is", "key", entry.Key, "error", err)
		return
	}
	row := machine.Summarize(AsMachine(object))
	l := &inv.list
	at, _ := slices.BinarySearchFunc(l.rows, row, byName)
	l.rows = slices.Insert(l.rows, at, row)
	l.names[row.UUID] = row.Name
	l.uses.add(object.Value.Machine)
	l.clocks.note(row.UUID, scheduledOf(object.Value.Machine))
}

// remove drops the row of a machine, if there is one; l.mu is held.
func (l *list) remove(uuid string) {
	name, found := l.names[uuid]
	if !found {
		return
	}
	delete(l.names, uuid)
	at, found := slices.BinarySearchFunc(l.rows, api.Summary{Name: name, UUID: uuid}, byName)
	if found {
		l.rows = slices.Delete(l.rows, at, at+1)
	}
}

// wait returns when the list has come to a revision.
func (l *list) wait(ctx context.Context, revision state.Revision) error {
	for {
		l.mu.Lock()
		at, err, advanced := l.at, l.err, l.advanced
		l.mu.Unlock()
		if err != nil || at >= revision {
			return err
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *list) selected(match func(*api.Summary) bool) ([]api.Summary, state.Revision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := make([]api.Summary, 0, len(l.rows))
	for i := range l.rows {
		if match(&l.rows[i]) {
			rows = append(rows, l.rows[i])
		}
	}
	return rows, l.at
}

// resolve finds the UUID of the machine that a reference names; see
// machine.Resolve for the rule.
func (l *list) resolve(ref string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, found := l.names[ref]; found {
		return ref, nil
	}
	candidates := make([]machine.Reference, len(l.rows))
	for i := range l.rows {
		candidates[i] = machine.Reference{UUID: l.rows[i].UUID, Name: l.rows[i].Name}
	}
	found, err := machine.Resolve(ref, candidates)
	return found.UUID, err
}

func (l *list) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	l.advance(l.at)
}

// advance wakes those who wait; l.mu is held.
func (l *list) advance(at state.Revision) {
	l.at = at
	if l.advanced != nil {
		close(l.advanced)
	}
	l.advanced = make(chan struct{})
}

func byName(a, b api.Summary) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.UUID, b.UUID))
}
