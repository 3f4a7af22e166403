package runner

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
)

// TestSaveLiveKeepsMemoryAndDisksOfOneInstant has a machine saved while it runs, and
// another one go on from that.
func TestSaveLiveKeepsMemoryAndDisksOfOneInstant(t *testing.T) {
	for _, way := range []string{LiveBackground, LivePrecopy} {
		t.Run(way, func(t *testing.T) {
			b := newBench(t)
			if way == LiveBackground {
				if os.Geteuid() != 0 {
					t.Skip("the kernel may not let this user have userfaultfd")
				}
				b.machine.User = nil // root may
			}
			b.paused = false
			b.disk("a", b.image("a.qcow2", ""))
			b.start()
			b.fill("a", 1, 0, 1)
			var state bytes.Buffer
			reports := 0
			stood, err := b.SaveLive(t.Context(), &state, func(ctx context.Context) error {
				if running, _, err := b.Running(ctx); running || err != nil {
					t.Errorf("the guest runs at the instant: %v", err)
				}
				return b.Branch(ctx, []Overlay{{Drive: "a", Path: b.image("a1.qcow2", "a.qcow2")}})
			}, func(_, _ int64) { reports++ })
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, the guest stood still for %s; %d bytes", stood.Way, stood.Stood, state.Len())
			if os.Geteuid() == 0 && stood.Way != way || stood.Stood <= 0 {
				t.Errorf("it was done as %+v", stood)
			}
			if running, state, err := b.Running(t.Context()); !running {
				t.Errorf("the guest is left %s: %v", state, err)
			}
			b.fill("a", 2, 0, 1)
			b.sees("a", b.path("a1.qcow2"), 2, 0, 1)
			b.goesOn(&state)
		})
	}
}

// goesOn has another machine with the same first disk go on from a state.
func (b *bench) goesOn(state io.Reader) {
	b.Helper()
	other := newBench(b.T)
	other.machine.User = b.machine.User
	other.spec.UUID, other.machine.UUID = b.spec.UUID, b.machine.UUID
	other.disk("a", other.image("a.qcow2", b.path("a.qcow2")), b.path("a.qcow2"))
	other.waits = true
	other.start()
	if err := other.Restore(b.Context(), state, func(int64) {}); err != nil {
		b.Fatal(err)
	}
	if err := other.Resume(b.Context()); err != nil {
		b.Fatal(err)
	}
	other.sees("a", other.path("a.qcow2"), 1, 0, 1)
}

func TestSaveLiveThatFailsLeavesTheGuestRunning(t *testing.T) {
	b := newBench(t)
	b.paused = false
	b.disk("a", b.image("a.qcow2", ""))
	b.start()
	full := errors.New("the disk is full")
	nothing := func(context.Context) error { return nil }
	ctx, cancel := context.WithCancel(t.Context())
	for name, try := range map[string]func() error{
		"the instant cannot be taken": func() error {
			_, err := b.SaveLive(t.Context(), io.Discard, func(context.Context) error { return full }, func(_, _ int64) {})
			return err
		},
		"it cannot be written": func() error {
			_, err := b.SaveLive(t.Context(), failing{full}, nothing, func(_, _ int64) {})
			return err
		},
		"it is cancelled at the instant": func() error {
			_, err := b.SaveLive(ctx, io.Discard, func(ctx context.Context) error { cancel(); return ctx.Err() }, func(_, _ int64) {})
			return err
		},
	} {
		if err := try(); !errors.Is(err, full) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if running, state, err := b.Running(t.Context()); !running {
			t.Errorf("%s: the guest is left %s: %v", name, state, err)
		}
	}
	var state bytes.Buffer
	if _, err := b.SaveLive(t.Context(), &state, nothing, func(_, _ int64) {}); err != nil {
		t.Fatalf("after failures: %v", err)
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }
