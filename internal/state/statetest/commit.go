package statetest

import (
	"context"
	"testing"

	"github.com/panalvm/panal/internal/state"
)

var commitChecks = []check{
	{"each commit is the next revision", "revisions order every change", func(t *testing.T, s state.Store) {
		for want := state.Revision(2); want < 6; want++ {
			equal(t, "revision", commit(t, s, state.Put("a", nil), state.Put("b", nil)), want)
		}
		equal(t, "revision of the store", revision(t, s), state.Revision(5))
	}},
	{"an entry keeps its creation", "the time of creation of an object is told by it", func(t *testing.T, s state.Store) {
		created := commit(t, s, state.Create("a", []byte("1")))
		updated := commit(t, s, state.Update("a", []byte("2"), created))
		put := commit(t, s, state.Put("a", []byte("3")))
		equal(t, "entry", get(t, s, "a"), state.Entry{Key: "a", Value: []byte("3"), Created: created, Revision: put})
		commit(t, s, state.Delete("a", put))
		again := commit(t, s, state.Put("a", nil))
		equal(t, "created after deletion", get(t, s, "a").Created, again)
		if updated <= created {
			t.Errorf("update is revision %d, creation %d", updated, created)
		}
	}},
	{"create of an existing key fails", "two clients must not both get the name", func(t *testing.T, s state.Store) {
		commit(t, s, state.Create("a", nil))
		refused(t, s, &state.ExistsError{Key: "a"}, state.ErrExists, state.Create("a", []byte("2")))
	}},
	{"a stale update fails", "two clients must never overwrite each other unseen", func(t *testing.T, s state.Store) {
		seen := commit(t, s, state.Create("a", nil))
		current := commit(t, s, state.Update("a", nil, seen))
		refused(t, s, &state.ConflictError{Key: "a", Seen: seen, Current: current}, state.ErrConflict, state.Update("a", []byte("x"), seen))
	}},
	{"update of a missing key fails", "an update must not bring back what was deleted", func(t *testing.T, s state.Store) {
		seen := commit(t, s, state.Create("a", nil))
		commit(t, s, state.Delete("a", seen))
		refused(t, s, &state.NotFoundError{Key: "a"}, state.ErrNotFound, state.Update("a", nil, seen))
	}},
	{"update sees the entry's revision, not the store's", "changes elsewhere are no conflict", func(t *testing.T, s state.Store) {
		seen := commit(t, s, state.Create("a", nil))
		commit(t, s, state.Create("b", nil))
		commit(t, s, state.Update("a", nil, seen))
	}},
	{"a stale delete fails", "what is deleted is what was seen", func(t *testing.T, s state.Store) {
		seen := commit(t, s, state.Create("a", nil))
		current := commit(t, s, state.Put("a", nil))
		refused(t, s, &state.ConflictError{Key: "a", Seen: seen, Current: current}, state.ErrConflict, state.Delete("a", seen))
		commit(t, s, state.Delete("a", 0))
		_, err := s.Get(t.Context(), "a")
		wantIs(t, err, state.ErrNotFound)
	}},
	{"delete of a missing key fails", "the user is told that there was nothing", func(t *testing.T, s state.Store) {
		refused(t, s, &state.NotFoundError{Key: "a"}, state.ErrNotFound, state.Delete("a", 0))
		refused(t, s, &state.NotFoundError{Key: "a"}, state.ErrNotFound, state.Delete("a", 1))
	}},
	{"a check guards a commit", "a machine may depend on a medium it does not change", func(t *testing.T, s state.Store) {
		seen := commit(t, s, state.Create("medium", nil))
		commit(t, s, state.Check("medium", seen), state.Create("machine", nil))
		current := commit(t, s, state.Put("medium", nil))
		refused(t, s, &state.ConflictError{Key: "medium", Seen: seen, Current: current}, state.ErrConflict,
			state.Put("other", nil), state.Check("medium", seen))
		refused(t, s, &state.ConflictError{Key: "gone", Seen: seen}, state.ErrConflict, state.Check("gone", seen))
	}},
	{"a check of revision 0 wants no such key", "it is how absence is guarded", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Check("a", 0), state.Create("b", nil))
		refused(t, s, &state.ConflictError{Key: "b", Current: at}, state.ErrConflict, state.Check("b", 0), state.Put("c", nil))
	}},
	{"checks alone change nothing", "the revision counts changes", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Create("a", nil))
		equal(t, "revision of a check", commit(t, s, state.Check("a", at)), at)
		equal(t, "revision of no ops", commit(t, s), at)
		equal(t, "revision after them", revision(t, s), at)
	}},
	{"all ops or none", "a half-made object must never be seen", func(t *testing.T, s state.Store) {
		commit(t, s, state.Create("b", []byte("old")))
		refused(t, s, &state.ExistsError{Key: "b"}, state.ErrExists,
			state.Create("a", nil), state.Create("b", nil), state.Create("c", nil))
	}},
	{"the first failing op is named", "the error must be the same each time", func(t *testing.T, s state.Store) {
		commit(t, s, state.Create("y", nil), state.Create("z", nil))
		refused(t, s, &state.ExistsError{Key: "z"}, state.ErrExists,
			state.Put("p", nil), state.Create("a", nil), state.Create("z", nil), state.Create("y", nil), state.Delete("gone", 0))
	}},
	{"all kinds of op in one commit", "moving an object is one change", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Create("u", nil), state.Create("d", nil), state.Create("k", nil))
		made := commit(t, s, state.Create("c", nil), state.Update("u", []byte("2"), at), state.Put("p", nil), state.Delete("d", at), state.Check("k", at))
		entries, _ := list(t, s, "")
		equal(t, "keys", keysOf(entries), []string{"c", "k", "p", "u"})
		equal(t, "revision of the update", get(t, s, "u").Revision, made)
		equal(t, "revision of what was checked", get(t, s, "k").Revision, at)
	}},
	{"a cancelled context refuses a commit", "who gave up must not change anything later", func(t *testing.T, s state.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Commit(ctx, state.Put("a", nil))
		wantIs(t, err, context.Canceled)
		equal(t, "revision", revision(t, s), state.Revision(1))
	}},
}

// refused wants a commit to fail with want, and to leave the store as it was.
func refused(t *testing.T, s state.Store, want, is error, ops ...state.Op) {
	t.Helper()
	before, at := list(t, s, "")
	_, err := s.Commit(t.Context(), ops...)
	equal(t, "error", err, want)
	wantIs(t, err, is)
	after, now := list(t, s, "")
	equal(t, "entries after a refused commit", after, before)
	equal(t, "revision after a refused commit", now, at)
}
