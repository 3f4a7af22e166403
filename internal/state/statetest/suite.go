package statetest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/internal/state"
)

// Open returns a new, empty store, which the suite closes. It fails t when it cannot.
type Open func(t testing.TB) state.Store

// check is one line of the contract.
type check struct {
	name string
	// because is printed when the check fails.
	because string
	run     func(t *testing.T, s state.Store)
}

// Run runs the whole suite against the stores that open makes.
func Run(t *testing.T, open Open) {
	for _, group := range []struct {
		name   string
		checks []check
	}{
		{"Read", readChecks},
		{"Commit", commitChecks},
		{"Limits", limitChecks},
		{"Watch", watchChecks},
		{"Compact", compactChecks},
		{"Close", closeChecks},
		{"Together", concurrentChecks},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.checks {
				t.Run(c.name, func(t *testing.T) { c.try(t, opened(t, open)) })
			}
		})
	}
	t.Run("Model", func(t *testing.T) { testModel(t, open) })
}

func (c check) try(t *testing.T, s state.Store) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("this matters because %s", c.because)
		}
	})
	c.run(t, s)
}

func opened(t testing.TB, open Open) state.Store {
	t.Helper()
	s := open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// commit commits and fails t if that fails.
func commit(t testing.TB, s state.Store, ops ...state.Op) state.Revision {
	t.Helper()
	revision, err := s.Commit(t.Context(), ops...)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return revision
}

func get(t testing.TB, s state.Store, key string) state.Entry {
	t.Helper()
	entry, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return entry
}

func list(t testing.TB, s state.Store, prefix string) ([]state.Entry, state.Revision) {
	t.Helper()
	entries, at, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return entries, at
}

func revision(t testing.TB, s state.Store) state.Revision {
	t.Helper()
	at, err := s.Revision(t.Context())
	if err != nil {
		t.Fatalf("revision: %v", err)
	}
	return at
}

// take returns the first n changes of a watch.
func take(t testing.TB, s state.Store, prefix string, from state.Revision, n int) []state.Change {
	t.Helper()
	var changes []state.Change
	for change, err := range s.Watch(t.Context(), prefix, from) {
		if err != nil {
			t.Fatalf("watch gave %v after %d of %d changes", err, len(changes), n)
		}
		if changes = append(changes, change); len(changes) == n {
			break
		}
	}
	return changes
}

// watchError returns the error that ends a watch.
func watchError(ctx context.Context, s state.Store, prefix string, from state.Revision) error {
	for _, err := range s.Watch(ctx, prefix, from) {
		if err != nil {
			return err
		}
	}
	return nil
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error is %v, want one that is %q", err, target)
	}
}

// reporter is the part of testing.TB that rapid.T has, too.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

func equal(t reporter, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func keysOf(entries []state.Entry) []string {
	keys := []string{}
	for _, entry := range entries {
		keys = append(keys, entry.Key)
	}
	return keys
}
