package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/memstate"
)

func open(t testing.TB) (*Inventory, state.Store) {
	t.Helper()
	store := memstate.New()
	inv, err := Open(context.Background(), store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inv.Close(); _ = store.Close() })
	return inv, store
}

func record(uuid, name string) Record {
	return Record{Machine: api.Machine{Spec: api.Spec{UUID: uuid, Name: name}, Status: api.Status{State: api.StateOff}}}
}

func create(inv *Inventory, store state.Store, r Record) error {
	ops, err := inv.CreateOps(r)
	if err != nil {
		return err
	}
	_, err = store.Commit(context.Background(), ops...)
	return Explain(err, r.Spec)
}

func everything(*api.Summary) bool { return true }

func names(t testing.TB, inv *Inventory) []string {
	t.Helper()
	rows, _, err := inv.List(context.Background(), everything)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, row := range rows {
		all = append(all, row.Name)
	}
	return all
}

func TestNamesAreTakenOnce(t *testing.T) {
	inv, store := open(t)
	if err := create(inv, store, record("u1", "web")); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Record{record("u2", "web"), record("u1", "db")} {
		if err := create(inv, store, r); problem.Of(err) == nil || problem.Of(err).Kind != api.KindExists {
			t.Errorf("%s %s: %v", r.Spec.UUID, r.Spec.Name, err)
		}
	}
	object, err := inv.Find(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	before := object.Value.Spec
	object.Value.Spec.Name = "www"
	if _, err := inv.Update(t.Context(), object, before); err != nil {
		t.Fatal(err)
	}
	if err := create(inv, store, record("u2", "web")); err != nil {
		t.Errorf("a name given up is still taken: %v", err)
	}
	if got := names(t, inv); !slices.Equal(got, []string{"web", "www"}) {
		t.Errorf("machines are %v", got)
	}
}

func TestListHasSeenEveryCommitMadeBefore(t *testing.T) {
	inv, store := open(t)
	for i := range 200 {
		name := fmt.Sprintf("m%03d", i)
		if err := create(inv, store, record("u"+name, name)); err != nil {
			t.Fatal(err)
		}
		if got := names(t, inv); len(got) != i+1 {
			t.Fatalf("after %d were made, %d are listed", i+1, len(got))
		}
	}
}

func TestStaleRecordsAreConflicts(t *testing.T) {
	inv, store := open(t)
	if err := create(inv, store, record("u1", "web")); err != nil {
		t.Fatal(err)
	}
	stale, err := inv.Get(t.Context(), "u1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inv.Modify(t.Context(), "u1", func(r *Record) error { r.Status.Agent = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := inv.Update(t.Context(), stale, stale.Value.Spec); !errors.Is(err, state.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

// Whatever is made, renamed and deleted, the list in memory is what a new
// inventory reads from the store.
func TestListFollowsTheStore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := memstate.New()
		defer store.Close()
		inv, err := Open(context.Background(), store, slog.New(slog.DiscardHandler))
		if err != nil {
			rt.Fatal(err)
		}
		defer inv.Close()
		ctx := context.Background()
		uuid := rapid.SampledFrom([]string{"u1", "u2", "u3", "u4"})
		name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			id, called := uuid.Draw(rt, "uuid"), name.Draw(rt, "name")
			object, err := inv.Get(ctx, id)
			switch {
			case err != nil:
				_ = create(inv, store, record(id, called))
			case rapid.Bool().Draw(rt, "delete"):
				_, _ = store.Commit(ctx, inv.DeleteOps(object)...)
			default:
				before := object.Value.Spec
				object.Value.Spec.Name = called
				_, _ = inv.Update(ctx, object, before)
			}
		}
		fresh, err := Open(ctx, store, slog.New(slog.DiscardHandler))
		if err != nil {
			rt.Fatal(err)
		}
		defer fresh.Close()
		if got, want := names(t, inv), names(t, fresh); !slices.Equal(got, want) {
			rt.Fatalf("listed are %v, stored %v", got, want)
		}
	})
}

func TestRecordsThatCannotBeReadHideNoOthers(t *testing.T) {
	inv, store := open(t)
	if err := create(inv, store, record("u1", "web")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), state.Put(Prefix+"u2", []byte("{broken"))); err != nil {
		t.Fatal(err)
	}
	if got := names(t, inv); !slices.Equal(got, []string{"web"}) {
		t.Errorf("listed are %v", got)
	}
	again, err := Open(t.Context(), store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := names(t, again); !slices.Equal(got, []string{"web"}) {
		t.Errorf("listed at the start are %v", got)
	}
}
