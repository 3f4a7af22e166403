package events

import (
	"context"
	"errors"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/service"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/memstate"
)

func stream(t *testing.T, store state.Store) *Stream {
	t.Helper()
	s, err := Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func commit(t *testing.T, store state.Store, ops ...state.Op) {
	t.Helper()
	if _, err := store.Commit(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, s *Stream, since int64, n int) []service.Delivery {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []service.Delivery
	for delivery, err := range s.Follow(ctx, since) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, delivery); len(got) == n {
			break
		}
	}
	return got
}

func TestChangesBecomeEventsInOrder(t *testing.T) {
	store := memstate.New()
	t.Cleanup(func() { _ = store.Close() })
	off, running := []byte(`{"spec":{"name":"web"},"status":{"state":"off"}}`), []byte(`{"spec":{"name":"web"},"status":{"state":"running"}}`)
	commit(t, store, state.Create("machines/1", off), state.Create("names/web", []byte(`"1"`)))
	commit(t, store, state.Create("tasks/a", []byte(`{"id":"a","state":"running"}`)), state.Put("machines/1", off))
	commit(t, store, state.Put("machines/1", running), state.Put("tasks/a", []byte(`{"id":"a","state":"done"}`)), state.Put("zzz/hidden", nil))
	commit(t, store, state.Put("host/boot", []byte("x")))
	commit(t, store, state.Delete("machines/1", 0))

	want := []struct {
		kind api.EventType
		last bool
		from api.State
	}{
		{api.MachineCreated, true, ""},
		{api.TaskCreated, false, ""},
		{api.MachineChanged, true, ""},
		{api.MachineState, false, api.StateOff},
		{api.TaskEnded, true, ""},
		{api.MachineDeleted, true, ""},
	}
	for i, got := range take(t, stream(t, store), 1, len(want)) {
		if got.Type != want[i].kind || got.Last != want[i].last || got.From != want[i].from {
			t.Errorf("event %d is %s (from %q, last %v), want %+v", i, got.Type, got.From, got.Last, want[i])
		}
		if got.Machine != nil && got.Machine.Spec.Name != "web" {
			t.Errorf("event %d is about %q", i, got.Machine.Spec.Name)
		}
	}
}

// TestStepsOfMemory: what was done with a machine's memory is in the event that it made, and in no other; by what the host
// makes room is an event of its own.
func TestStepsOfMemory(t *testing.T) {
	store := memstate.New()
	t.Cleanup(func() { _ = store.Close() })
	machine := func(status string) []byte {
		return []byte(`{"spec":{"name":"web"},"status":{"state":"running"` + status + `}}`)
	}
	const grown = `,"memory":{"step":{"time":"2026-01-02T03:04:05Z","action":"grow","from":1,"to":2,"reason":"the guest runs short"}}`
	commit(t, store, state.Create("machines/1", machine("")))
	commit(t, store, state.Put("machines/1", machine(grown)))
	commit(t, store, state.Put("machines/1", machine(grown+`,"agent":true`)))
	commit(t, store, state.Create("memory/host", []byte(`{"stage":"swap","reason":"compressed memory (zram) is full"}`)))
	got := take(t, stream(t, store), 1, 4)
	for i, reason := range []string{"", "the guest runs short", "", ""} {
		if step := got[i].Step; (step == nil) != (reason == "") || step != nil && step.Reason != reason {
			t.Errorf("event %d tells of the step %+v", i, step)
		}
	}
	if last := got[3]; last.Type != api.HostMadeRoom || last.Memory == nil || last.Memory.Stage != api.StageSwap || last.Memory.Reason == "" {
		t.Errorf("of the host: %+v", last)
	}
}

func TestRevisionThatIsNotKeptIsGone(t *testing.T) {
	store := memstate.New()
	t.Cleanup(func() { _ = store.Close() })
	for _, err := range stream(t, store).Follow(t.Context(), 99) {
		if problem.Of(err).Kind != api.KindGone {
			t.Errorf("got %v", err)
		}
		return
	}
	t.Error("nothing was said")
}

// A follower that begins in the past goes over to what is kept in memory, and
// neither misses nor repeats an event on the way, however many were forgotten.
func TestFollowingFromAnywhereGivesEverythingOnce(t *testing.T) {
	store := memstate.New()
	t.Cleanup(func() { _ = store.Close() })
	s := stream(t, store)
	const all = 3*recent + 7
	for range all {
		commit(t, store, state.Put("machines/1", []byte(`{}`)), state.Put("tasks/1", []byte(`{}`)))
	}
	for _, since := range []int64{1, 2, recent, all - recent, all - 1} {
		next, half := since+1, false
		for _, got := range take(t, s, since, 2*int(all+1-since)) {
			if got.Revision != next || got.Last != half {
				t.Fatalf("since %d: got revision %d (last %v), want %d", since, got.Revision, got.Last, next)
			}
			if half = !half; !half {
				next++
			}
		}
	}
}

func TestFollowingEndsWithItsContext(t *testing.T) {
	store := memstate.New()
	t.Cleanup(func() { _ = store.Close() })
	s := stream(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Follow(ctx, 1) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}
