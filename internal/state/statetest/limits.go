package statetest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/state"
)

var limitChecks = []check{
	{"bad keys are refused everywhere", "a key must not be a path trick or ambiguous", func(t *testing.T, s state.Store) {
		for _, key := range []string{"", "/", "a/", "/a", "a//b", ".", "a/../b", "a/.", "a\x00b", "a\nb", "a\x7f", "\xff", strings.Repeat("k", state.MaxKeyBytes+1)} {
			_, err := s.Get(t.Context(), key)
			wantIs(t, err, state.ErrInvalid)
			_, err = s.Commit(t.Context(), state.Put(key, nil))
			wantIs(t, err, state.ErrInvalid)
		}
	}},
	{"bad prefixes are refused", "a prefix without a slash would match longer names", func(t *testing.T, s state.Store) {
		for _, prefix := range []string{"a", "/", "a//", "../", "a\x00/"} {
			_, _, err := s.List(t.Context(), prefix)
			wantIs(t, err, state.ErrInvalid)
			wantIs(t, watchError(t.Context(), s, prefix, 0), state.ErrInvalid)
		}
	}},
	{"bad ops are refused", "a mistake in the program must not look like a conflict", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("a", nil))
		for name, ops := range map[string][]state.Op{
			"no kind":             {{Key: "a"}},
			"unknown kind":        {{Key: "a", Kind: 99}},
			"update of nothing":   {state.Update("a", nil, 0)},
			"negative revision":   {state.Delete("a", -1)},
			"key twice":           {state.Put("a", nil), state.Delete("a", 0)},
			"key checked twice":   {state.Check("a", 2), state.Check("a", 2)},
			"value too large":     {state.Put("a", make([]byte, state.MaxValueBytes+1))},
			"too many ops":        manyPuts(state.MaxOps+1, 1),
			"too much altogether": manyPuts(state.MaxCommitBytes/state.MaxValueBytes+1, state.MaxValueBytes),
		} {
			t.Run(name, func(t *testing.T) {
				_, err := s.Commit(t.Context(), ops...)
				wantIs(t, err, state.ErrInvalid)
			})
		}
		equal(t, "revision", revision(t, s), state.Revision(2))
	}},
	{"what is within the limits is stored", "a limit is a promise in both directions", func(t *testing.T, s state.Store) {
		commit(t, s, manyPuts(state.MaxOps, 1)...)
		commit(t, s, manyPuts(state.MaxCommitBytes/state.MaxValueBytes-1, state.MaxValueBytes)...)
		key := strings.Repeat("k", state.MaxKeyBytes)
		commit(t, s, state.Create(key, nil))
		get(t, s, key)
		entries, _ := list(t, s, "many/")
		equal(t, "number of entries", len(entries), state.MaxOps)
	}},
	{"guarded ops reach the limits, too", "the reads of a refusal count in some stores", func(t *testing.T, s state.Store) {
		ops := manyPuts(state.MaxOps, 1)
		for i := range ops {
			ops[i].Kind = state.OpCreate
			ops[i].Key = strings.Repeat("k", state.MaxKeyBytes-len(ops[i].Key)-1) + "/" + ops[i].Key
		}
		commit(t, s, ops...)
		_, err := s.Commit(t.Context(), ops...)
		wantIs(t, err, state.ErrExists)
	}},
}

func manyPuts(n, size int) []state.Op {
	ops := make([]state.Op, n)
	for i := range ops {
		ops[i] = state.Put(fmt.Sprintf("many/%04d", i), bytes.Repeat([]byte{'v'}, size))
	}
	return ops
}
