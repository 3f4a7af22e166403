package statetest

import (
	"context"
	"testing"

	"github.com/panalvm/panal/internal/state"
)

var watchChecks = []check{
	{"history comes first, then the new", "a client that was away misses nothing", func(t *testing.T, s state.Store) {
		from := commit(t, s, state.Put("a", []byte("0")))
		for range 3 {
			commit(t, s, state.Put("a", nil))
		}
		at := from
		for change, err := range s.Watch(t.Context(), "", from) {
			if err != nil {
				t.Fatal(err)
			}
			at++
			equal(t, "revision", change.Entry.Revision, at)
			if at == from+6 {
				break
			}
			if at >= from+3 {
				commit(t, s, state.Put("a", nil))
			}
		}
	}},
	{"only changes after from", "what was listed must not come again", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("a", nil))
		from := commit(t, s, state.Put("b", nil))
		next := commit(t, s, state.Put("c", nil))
		equal(t, "first change", take(t, s, "", from, 1)[0].Entry.Revision, next)
	}},
	{"from 0 is the beginning", "a new client may want everything", func(t *testing.T, s state.Store) {
		first := commit(t, s, state.Put("a", nil))
		equal(t, "first change", take(t, s, "", 0, 1)[0].Entry.Revision, first)
	}},
	{"from 0 waits on an empty store", "it must be the same before the first commit", func(t *testing.T, s state.Store) {
		equal(t, "first change", beforeAndAfter(t, s, 0), state.Revision(2))
	}},
	{"from the current revision waits for the next", "it is how a list goes on", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Put("a", nil))
		equal(t, "first change", beforeAndAfter(t, s, at), at+1)
	}},
	{"only keys under the prefix", "machines/ must never show machines2", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("p/a", nil), state.Put("p2/a", nil), state.Put("p", nil))
		commit(t, s, state.Put("q/a", nil))
		commit(t, s, state.Put("p/b", nil))
		changes := take(t, s, "p/", 0, 2)
		equal(t, "first key", changes[0].Entry.Key, "p/a")
		equal(t, "second key", changes[1].Entry.Key, "p/b")
	}},
	{"a change carries before and after", "events show what changed without another read", func(t *testing.T, s state.Store) {
		one := commit(t, s, state.Create("a", []byte("1")))
		two := commit(t, s, state.Update("a", []byte("2"), one))
		three := commit(t, s, state.Delete("a", two))
		four := commit(t, s, state.Create("a", []byte("4")))
		first := state.Entry{Key: "a", Value: []byte("1"), Created: one, Revision: one}
		second := state.Entry{Key: "a", Value: []byte("2"), Created: one, Revision: two}
		equal(t, "changes", take(t, s, "", 0, 4), []state.Change{
			{Kind: state.KindPut, Entry: first, Last: true},
			{Kind: state.KindPut, Entry: second, Previous: &first, Last: true},
			{Kind: state.KindDeleted, Entry: state.Entry{Key: "a", Revision: three}, Previous: &second, Last: true},
			{Kind: state.KindPut, Entry: state.Entry{Key: "a", Value: []byte("4"), Created: four, Revision: four}, Last: true},
		})
	}},
	{"one commit comes in the order of its ops, last marked", "a resuming client must not cut a revision in two", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("p/z", nil), state.Put("p/m", nil))
		commit(t, s, state.Delete("p/m", 0), state.Put("p/a", nil), state.Check("p/none", 0), state.Put("p/z", nil), state.Put("q/x", nil))
		type part struct {
			Key  string
			Last bool
		}
		var parts []part
		for _, change := range take(t, s, "p/", 0, 5) {
			parts = append(parts, part{change.Entry.Key, change.Last})
		}
		equal(t, "changes", parts, []part{{"p/z", false}, {"p/m", true}, {"p/m", false}, {"p/a", false}, {"p/z", true}})
	}},
	{"checks are no change", "a guard must not wake the world", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Put("a", nil))
		commit(t, s, state.Check("a", at))
		commit(t, s, state.Check("a", at), state.Put("b", nil))
		equal(t, "key", take(t, s, "", at, 1)[0].Entry.Key, "b")
	}},
	{"ranging again starts again", "a sequence is a description, not a connection", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Put("a", nil))
		watch := s.Watch(t.Context(), "", 0)
		for range 2 {
			for change, err := range watch {
				if err != nil || change.Entry.Revision != at {
					t.Errorf("got %+v, %v", change, err)
				}
				break
			}
		}
	}},
	{"a change belongs to its receiver", "writing into it must not change the store", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("a", []byte("one")))
		commit(t, s, state.Put("a", []byte("two")))
		changes := take(t, s, "", 0, 2)
		changes[0].Entry.Value[0], changes[1].Entry.Value[0], changes[1].Previous.Value[0] = 'X', 'X', 'X'
		equal(t, "value", string(get(t, s, "a").Value), "two")
		equal(t, "history", string(take(t, s, "", 0, 2)[1].Previous.Value), "one")
	}},
	{"the end of the context ends it", "a client that went away frees the server", func(t *testing.T, s state.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		commit(t, s, state.Put("a", nil))
		var last error
		for _, err := range s.Watch(ctx, "", 0) {
			last = err
			cancel()
		}
		wantIs(t, last, context.Canceled)
		wantIs(t, watchError(ctx, s, "", 0), context.Canceled)
	}},
	{"a future revision is refused", "a client of a restored store must notice", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Put("a", nil))
		wantIs(t, watchError(t.Context(), s, "", at+1), state.ErrFuture)
	}},
	{"a negative revision is refused", "it is a mistake of the program", func(t *testing.T, s state.Store) {
		wantIs(t, watchError(t.Context(), s, "", -1), state.ErrInvalid)
	}},
	{"a list and a watch leave no gap", "this is how every view is kept up to date", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("p/a", nil))
		_, at := list(t, s, "p/")
		next := commit(t, s, state.Put("p/b", nil))
		equal(t, "first change", take(t, s, "p/", at, 1)[0].Entry.Revision, next)
	}},
}

var compactChecks = []check{
	{"older than the compaction is refused", "a gap must never look like silence", func(t *testing.T, s state.Store) {
		at, c := compacted(t, s)
		for from := state.Revision(0); from < at; from++ {
			wantIs(t, watchError(t.Context(), c, "", from), state.ErrCompacted)
		}
	}},
	{"from the compaction on all is there", "the last dropped revision is the first to go on from", func(t *testing.T, s state.Store) {
		at, c := compacted(t, s)
		for i, change := range take(t, c, "", at, 2) {
			equal(t, "revision", change.Entry.Revision, at+1+state.Revision(i))
		}
	}},
	{"a deletion just after the compaction is seen", "a lost deletion leaves a ghost in every view", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Put("a", nil))
		gone := commit(t, s, state.Delete("a", at))
		compact(t, s, at)
		change := take(t, s, "", at, 1)[0]
		equal(t, "kind", change.Kind, state.KindDeleted)
		compact(t, s, gone)
		wantIs(t, watchError(t.Context(), s, "", at), state.ErrCompacted)
	}},
	{"entries stay", "history is not the data", func(t *testing.T, s state.Store) {
		before, _ := list(t, s, "")
		compact(t, s, revision(t, s))
		after, _ := list(t, s, "")
		equal(t, "entries", after, before)
		at := commit(t, s, state.Put("old", []byte("v")))
		compact(t, s, at)
		equal(t, "entry", get(t, s, "old"), state.Entry{Key: "old", Value: []byte("v"), Created: at, Revision: at})
		commit(t, s, state.Update("old", nil, at))
	}},
	{"compacting again is nothing", "maintenance may be repeated", func(t *testing.T, s state.Store) {
		at, c := compacted(t, s)
		compact(t, c, at)
		compact(t, c, 0)
		equal(t, "next change", take(t, c, "", at, 1)[0].Entry.Revision, at+1)
	}},
	{"compacting the future is refused", "it would drop what is yet to come", func(t *testing.T, s state.Store) {
		wantIs(t, s.(state.Compacter).Compact(t.Context(), 2), state.ErrFuture)
	}},
}

// compacted returns a store with two revisions after the compacted one.
func compacted(t *testing.T, s state.Store) (state.Revision, state.Store) {
	t.Helper()
	commit(t, s, state.Put("a", nil))
	at := commit(t, s, state.Put("b", nil))
	commit(t, s, state.Put("a", nil))
	commit(t, s, state.Delete("b", 0))
	compact(t, s, at)
	return at, s
}

func compact(t *testing.T, s state.Store, at state.Revision) {
	t.Helper()
	compacter, ok := s.(state.Compacter)
	if !ok {
		t.Skip("the store is no state.Compacter")
	}
	if err := compacter.Compact(t.Context(), at); err != nil {
		t.Fatalf("compact to %d: %v", at, err)
	}
}

// beforeAndAfter starts a watch, commits, and returns the revision the watch shows.
// The commit may come before or after the store has begun to watch.
func beforeAndAfter(t *testing.T, s state.Store, from state.Revision) state.Revision {
	t.Helper()
	seen := make(chan state.Revision, 1)
	go func() {
		for change, err := range s.Watch(t.Context(), "", from) {
			if err != nil {
				t.Error(err)
			}
			seen <- change.Entry.Revision
			return
		}
	}()
	commit(t, s, state.Put("later", nil))
	return <-seen
}
