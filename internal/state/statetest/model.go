package statetest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/internal/state"
)

// model is the plainest possible store: every revision's entries, kept whole.
type model struct {
	// snapshots[i] is the state at revision base+i.
	base      state.Revision
	snapshots []map[string]state.Entry
	changes   []state.Change
	// dropped is the compacted revision.
	dropped state.Revision
}

func (m *model) now() map[string]state.Entry { return m.snapshots[len(m.snapshots)-1] }

func (m *model) revision() state.Revision { return m.base + state.Revision(len(m.snapshots)-1) }

// commit returns whether ops hold, and applies them if so.
func (m *model) commit(ops []state.Op) bool {
	next, at := maps.Clone(m.now()), m.revision()+1
	var made []state.Change
	for _, op := range ops {
		old, exists := m.now()[op.Key]
		if !holds(op, old, exists) {
			return false
		}
		if op.Kind == state.OpCheck {
			continue
		}
		change := state.Change{Kind: state.KindPut, Entry: state.Entry{Key: op.Key, Value: op.Value, Created: at, Revision: at}}
		if exists {
			change.Previous, change.Entry.Created = &old, old.Created
		}
		next[op.Key] = change.Entry
		if op.Kind == state.OpDelete {
			change.Kind, change.Entry = state.KindDeleted, state.Entry{Key: op.Key, Revision: at}
			delete(next, op.Key)
		}
		made = append(made, change)
	}
	if len(made) > 0 {
		m.snapshots = append(m.snapshots, next)
		m.changes = append(m.changes, made...)
	}
	return true
}

// holds says once more, in other words than state.Op.Judge, when an op holds.
func holds(op state.Op, old state.Entry, exists bool) bool {
	switch op.Kind {
	case state.OpCreate:
		return !exists
	case state.OpUpdate:
		return exists && old.Revision == op.Seen
	case state.OpDelete:
		return exists && (op.Seen == 0 || old.Revision == op.Seen)
	case state.OpCheck:
		return exists && old.Revision == op.Seen || !exists && op.Seen == 0
	}
	return true
}

// list returns the entries under prefix in order.
func (m *model) list(prefix string) []state.Entry {
	found := []state.Entry{}
	for _, key := range slices.Sorted(maps.Keys(m.now())) {
		if strings.HasPrefix(key, prefix) {
			found = append(found, m.now()[key])
		}
	}
	return found
}

// after returns the changes under prefix after from, with Last set.
func (m *model) after(prefix string, from state.Revision) []state.Change {
	found := []state.Change{}
	for _, change := range m.changes {
		if change.Entry.Revision > from && strings.HasPrefix(change.Entry.Key, prefix) {
			found = append(found, change)
		}
	}
	for i := range found {
		found[i].Last = i == len(found)-1 || found[i+1].Entry.Revision != found[i].Entry.Revision
	}
	return found
}

// testModel compares a store with the model under random commits, lists, watches and
// compactions. One store serves all runs, each beginning with it empty, because a
// store on disk takes long to open.
func testModel(t *testing.T, open Open) {
	s := opened(t, open)
	rapid.Check(t, func(r *rapid.T) {
		m := &model{base: emptied(t, s), snapshots: []map[string]state.Entry{{}}}
		m.dropped = m.base
		r.Repeat(map[string]func(*rapid.T){
			"commit":  func(r *rapid.T) { tryCommit(r, t, s, m) },
			"list":    func(r *rapid.T) { tryList(r, t, s, m) },
			"compact": func(r *rapid.T) { tryCompact(r, t, s, m) },
		})
		// Once a run, because etcd takes 0.1 s to begin with history.
		tryWatch(r, t, s, m)
	})
}

// emptied deletes everything and returns the revision after that, which is also
// compacted where the store can.
func emptied(t *testing.T, s state.Store) state.Revision {
	entries, _ := list(t, s, "")
	ops := make([]state.Op, len(entries))
	for i, entry := range entries {
		ops[i] = state.Delete(entry.Key, entry.Revision)
	}
	at := commit(t, s, ops...)
	if compacter, ok := s.(state.Compacter); ok {
		if err := compacter.Compact(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

var (
	modelKeys     = []string{"p/a", "p/b", "p/a/c", "p2/a", "p", "q/z"}
	modelPrefixes = []string{"", "p/", "p/a/", "q/", "none/"}
)

func drawOps(r *rapid.T, m *model) []state.Op {
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom(modelKeys), 0, 4, rapid.ID[string]).Draw(r, "keys")
	ops := make([]state.Op, len(keys))
	for i, key := range keys {
		op := state.Op{Kind: rapid.SampledFrom([]state.OpKind{state.OpCreate, state.OpUpdate, state.OpPut, state.OpDelete, state.OpCheck}).Draw(r, "kind"), Key: key}
		if op.Writes() && op.Kind != state.OpDelete {
			op.Value = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(r, "value")
		}
		if op.Kind == state.OpUpdate || op.Kind == state.OpDelete || op.Kind == state.OpCheck {
			op.Seen = drawSeen(r, m, key)
		}
		if op.Kind == state.OpUpdate && op.Seen == 0 {
			op.Seen = 1
		}
		ops[i] = op
	}
	return ops
}

// drawSeen mostly draws the right revision, so that most commits succeed.
func drawSeen(r *rapid.T, m *model, key string) state.Revision {
	if rapid.IntRange(0, 9).Draw(r, "stale") > 0 {
		return m.now()[key].Revision
	}
	return state.Revision(rapid.Int64Range(0, int64(m.revision())).Draw(r, "seen"))
}

func tryCommit(r *rapid.T, t *testing.T, s state.Store, m *model) {
	ops := drawOps(r, m)
	held := m.commit(ops)
	at, err := s.Commit(t.Context(), ops...)
	if (err == nil) != held {
		r.Fatalf("commit of %+v gave %v, the model says %v", ops, err, held)
	}
	if err == nil && at != m.revision() {
		r.Fatalf("commit of %+v made revision %d, the model %d", ops, at, m.revision())
	}
}

func tryList(r *rapid.T, t *testing.T, s state.Store, m *model) {
	prefix := rapid.SampledFrom(modelPrefixes).Draw(r, "prefix")
	entries, at, err := s.List(t.Context(), prefix)
	if err != nil || at != m.revision() {
		r.Fatalf("list %q is at revision %d, %v; the model at %d", prefix, at, err, m.revision())
	}
	equal(r, "list of "+prefix, entries, m.list(prefix))
}

func tryWatch(r *rapid.T, t *testing.T, s state.Store, m *model) {
	prefix := rapid.SampledFrom(modelPrefixes).Draw(r, "prefix")
	from := state.Revision(rapid.Int64Range(int64(m.base), int64(m.revision())).Draw(r, "from"))
	want := m.after(prefix, from)
	if _, ok := s.(state.Compacter); ok && from < m.dropped {
		if err := watchError(t.Context(), s, prefix, from); err == nil {
			r.Fatalf("watch from %d, compacted at %d, gave no error", from, m.dropped)
		}
		return
	}
	if len(want) == 0 {
		return // it would wait for ever
	}
	got := take(t, s, prefix, from, len(want))
	for i := range got {
		// The version before a change may have left the history.
		if got[i].Previous == nil && want[i].Previous != nil && want[i].Previous.Revision <= m.dropped {
			want[i].Previous = nil
		}
	}
	equal(r, "changes under "+prefix, got, want)
}

func tryCompact(r *rapid.T, t *testing.T, s state.Store, m *model) {
	compacter, ok := s.(state.Compacter)
	if !ok {
		return
	}
	at := state.Revision(rapid.Int64Range(int64(m.base), int64(m.revision())).Draw(r, "at"))
	if err := compacter.Compact(t.Context(), at); err != nil {
		r.Fatalf("compact to %d: %v", at, err)
	}
	m.dropped = max(m.dropped, at)
}
