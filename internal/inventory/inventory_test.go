package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

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

// What a machine stands on only in a snapshot has it for a user all the same.
func TestSnapshotsUseImages(t *testing.T) {
	inv, store := open(t)
	clone := record("u1", "clone")
	clone.Snapshots = []api.Snapshot{{ID: "aaaaaaaa", Sources: []string{"/machines/golden/disks/disk0.qcow2"}}}
	if err := create(inv, store, clone); err != nil {
		t.Fatal(err)
	}
	if users, err := inv.UsersOf(t.Context(), "/machines/golden/disks/disk0.qcow2"); err != nil || !slices.Equal(users, []string{"u1"}) {
		t.Errorf("users are %v, %v", users, err)
	}
	if used, err := inv.UsersBelow(t.Context(), "/machines/golden"); err != nil || len(used) != 1 {
		t.Errorf("used are %v, %v", used, err)
	}
	_, err := inv.Modify(t.Context(), "u1", func(r *Record) error { r.Snapshots = nil; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if used, err := inv.UsersBelow(t.Context(), "/machines/golden"); err != nil || len(used) != 0 {
		t.Errorf("without the snapshot, used are %v, %v", used, err)
	}
}

// Schedules are told of when they are set, attended to and taken away, and not
// otherwise.
func TestSchedulesAreToldOf(t *testing.T) {
	inv, store := open(t)
	if err := create(inv, store, record("u1", "web")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what   string
		change func(*Record)
		tells  bool
		count  int
	}{
		{"renamed", func(r *Record) { r.Spec.Description = "x" }, false, 0},
		{"set", func(r *Record) { r.Spec.Snapshots.Daily = 7 }, true, 1},
		{"renamed", func(r *Record) { r.Spec.Description = "y" }, false, 1},
		{"attended to", func(r *Record) { r.Status.Schedule = &api.Scheduled{Attended: time.Unix(1, 0)} }, true, 1},
		{"taken away", func(r *Record) { r.Spec.Snapshots.Daily = 0 }, true, 0},
	} {
		_, changed, err := inv.Scheduled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inv.Modify(t.Context(), "u1", func(r *Record) error { step.change(r); return nil }); err != nil {
			t.Fatal(err)
		}
		scheduled, _, err := inv.Scheduled(t.Context())
		if err != nil || len(scheduled) != step.count {
			t.Errorf("%s: %v, %v", step.what, scheduled, err)
		}
		select {
		case <-changed:
			if !step.tells {
				t.Errorf("%s: told of", step.what)
			}
		default:
			if step.tells {
				t.Errorf("%s: not told of", step.what)
			}
		}
	}
}

// Why disks could not be drawn in outlives the runs of a machine, whose status begins anew,
// and is told for as long as something is to be drawn in.
func TestStreamsThatFailedAreToldOf(t *testing.T) {
	inv, store := open(t)
	r := record("u1", "web")
	r.Spec.Drives = []api.Drive{{Name: "disk0", Mode: api.Overlay, Source: "/old.vdi"}}
	r.StreamFailed = "the source has gone"
	if err := create(inv, store, r); err != nil {
		t.Fatal(err)
	}
	told := func() []string {
		object, err := inv.Get(t.Context(), "u1")
		if err != nil {
			t.Fatal(err)
		}
		return AsMachine(object).Status.Warnings
	}
	modify := func(change func(*Record)) {
		if _, err := inv.Modify(t.Context(), "u1", func(r *Record) error { change(r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	modify(func(r *Record) { r.Status = api.Status{State: api.StateRunning, Warnings: []string{"of this run"}} })
	if got, want := told(), []string{"of this run", streamWarning + "the source has gone"}; !slices.Equal(got, want) {
		t.Errorf("told %q, not %q", got, want)
	}
	modify(func(r *Record) { r.Spec.Drives[0].Mode, r.Spec.Drives[0].Source = api.Own, "" })
	if got := told(); !slices.Equal(got, []string{"of this run"}) {
		t.Errorf("told of what is its own by now: %q", got)
	}
}
