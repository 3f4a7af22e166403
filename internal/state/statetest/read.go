package statetest

import (
	"context"
	"testing"

	"github.com/panalvm/panal/internal/state"
)

var readChecks = []check{
	{"a new store is empty at revision 1", "0 must mean none everywhere", func(t *testing.T, s state.Store) {
		entries, at := list(t, s, "")
		equal(t, "revision of the list", at, state.Revision(1))
		equal(t, "revision", revision(t, s), state.Revision(1))
		if entries == nil || len(entries) != 0 {
			t.Errorf("entries are %#v, want an empty list", entries)
		}
	}},
	{"get returns what was put", "this is what a store is for", func(t *testing.T, s state.Store) {
		at := commit(t, s, state.Create("a/x", []byte("one")))
		equal(t, "entry", get(t, s, "a/x"), state.Entry{Key: "a/x", Value: []byte("one"), Created: at, Revision: at})
	}},
	{"get of a missing key names it", "the user is told which object does not exist", func(t *testing.T, s state.Store) {
		_, err := s.Get(t.Context(), "a/x")
		wantIs(t, err, state.ErrNotFound)
		equal(t, "error", err, error(&state.NotFoundError{Key: "a/x"}))
	}},
	{"an empty value is a value", "an object without content still exists", func(t *testing.T, s state.Store) {
		commit(t, s, state.Create("a", nil))
		if value := get(t, s, "a").Value; value == nil || len(value) != 0 {
			t.Errorf("value is %#v, want an empty one", value)
		}
	}},
	{"any bytes are a value", "values are not text to the store", func(t *testing.T, s state.Store) {
		value := make([]byte, 256)
		for i := range value {
			value[i] = byte(i)
		}
		commit(t, s, state.Put("a", value))
		equal(t, "value", get(t, s, "a").Value, value)
	}},
	{"the caller owns the value", "writing into a result must not change the store", func(t *testing.T, s state.Store) {
		value := []byte("one")
		commit(t, s, state.Put("a", value))
		value[0] = 'X'
		get(t, s, "a").Value[1] = 'X'
		entries, _ := list(t, s, "")
		entries[0].Value[2] = 'X'
		equal(t, "value", string(get(t, s, "a").Value), "one")
	}},
	{"list is ordered by key", "tables and paging rely on it", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("p/b", nil), state.Put("p/a/z", nil), state.Put("p/ä", nil), state.Put("p/B", nil), state.Put("p/a", nil))
		entries, _ := list(t, s, "p/")
		equal(t, "keys", keysOf(entries), []string{"p/B", "p/a", "p/a/z", "p/b", "p/ä"})
	}},
	{"a prefix matches exactly", "machines/ must never show machines2", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("machines/a", nil), state.Put("machines2/b", nil), state.Put("machines", nil), state.Put("machine/c", nil))
		entries, _ := list(t, s, "machines/")
		equal(t, "keys", keysOf(entries), []string{"machines/a"})
		all, _ := list(t, s, "")
		equal(t, "number of all", len(all), 4)
	}},
	{"list tells the revision of its snapshot", "a watch goes on from there", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("a/x", nil))
		other := commit(t, s, state.Put("b/y", nil))
		_, at := list(t, s, "a/")
		equal(t, "revision", at, other)
	}},
	{"a cancelled context ends reads", "a client that went away frees the server", func(t *testing.T, s state.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Get(ctx, "a")
		wantIs(t, err, context.Canceled)
		_, _, err = s.List(ctx, "")
		wantIs(t, err, context.Canceled)
		_, err = s.Revision(ctx)
		wantIs(t, err, context.Canceled)
	}},
}
