package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/qemu"
)

// threeLayers is a machine with a drive whose chain is c on b on a, each with a
// pattern of its own and something of the others beneath.
func threeLayers(t *testing.T) *bench {
	b := newBench(t)
	b.image("a.qcow2", "")
	b.image("b.qcow2", "a.qcow2")
	b.image("c.qcow2", "b.qcow2")
	for i, name := range []string{"a", "b", "c"} {
		b.tool("qemu-io", "-c", fmt.Sprintf("write -P %d %dM 8M", i+1, 4*i), b.path(name+".qcow2"))
	}
	b.disk("d", b.path("c.qcow2"), b.path("b.qcow2"), b.path("a.qcow2"))
	b.paused = false
	b.start()
	return b
}

// whole checks that the drive, which writes the image at path, holds what threeLayers
// has put there.
func (b *bench) whole(path string) {
	b.Helper()
	b.sees("d", path, 1, 0, 4)
	b.sees("d", path, 2, 4, 4)
	b.sees("d", path, 3, 8, 8)
	b.sees("d", path, 0, 16, 4)
}

// stands checks what the drive stands on, and that QEMU has nothing else open.
func (b *bench) stands(names ...string) {
	b.Helper()
	chain, err := b.chain(b.Context(), "d")
	if err != nil || len(chain) != len(names) {
		b.Fatalf("the chain is %v, want %v: %v", chain, names, err)
	}
	for i, name := range names {
		if chain[i] != qemu.NodeName("d", b.path(name)) {
			b.Errorf("the chain is %v, want %v", chain, names)
		}
	}
	nodes, err := b.monitor.QueryBlockNodes(b.Context())
	if err != nil || len(nodes) != 2*len(names) {
		b.Errorf("QEMU has %d nodes of %d images: %v", len(nodes), len(names), err)
	}
	sets, err := b.monitor.QueryFDSets(b.Context())
	if err != nil || !b.paused && len(sets) != len(names)+1 { // a serial line's log has one
		b.Errorf("QEMU has %d descriptor sets of %d images: %v", len(sets), len(names), err)
	}
	if jobs, err := b.Jobs(b.Context()); err != nil || len(jobs) != 0 {
		b.Errorf("jobs are left: %v %v", jobs, err)
	}
	if running, state, err := b.Running(b.Context()); !running {
		b.Errorf("the guest is left %s: %v", state, err)
	}
}

func TestCommitMiddle(t *testing.T) {
	b := threeLayers(t)
	var last, all int64
	err := b.Commit(t.Context(), "d", b.path("b.qcow2"), b.path("a.qcow2"), nil, func(done, total int64) { last, all = done, total })
	if err != nil {
		t.Fatal(err)
	}
	if last != all || all == 0 {
		t.Errorf("the last report is %d of %d", last, all)
	}
	b.stands("c.qcow2", "a.qcow2")
	b.whole(b.path("c.qcow2")) // its own header leads to a.qcow2 now
	if err := b.Commit(t.Context(), "d", b.path("b.qcow2"), b.path("a.qcow2"), nil, nil); err != nil {
		t.Errorf("once more: %v", err)
	}
}

func TestCommitWhatTheGuestWrites(t *testing.T) {
	b := threeLayers(t)
	pivots := 0
	pivoted := func(ctx context.Context) error {
		pivots++
		if running, _, err := b.Running(ctx); running || err != nil {
			t.Errorf("the guest goes on before its new image is on record: %v", err)
		}
		return nil
	}
	if err := b.Commit(t.Context(), "d", b.path("c.qcow2"), b.path("a.qcow2"), pivoted, nil); err != nil {
		t.Fatal(err)
	}
	if pivots != 1 {
		t.Errorf("told %d times of a pivot", pivots)
	}
	b.stands("a.qcow2")
	b.whole(b.path("a.qcow2"))
	b.fill("d", 9, 30, 1)
	b.sees("d", b.path("a.qcow2"), 9, 30, 1)
	// The chain can grow again on what is written now.
	if err := b.Branch(t.Context(), []Overlay{{Drive: "d", Path: b.image("new.qcow2", "a.qcow2")}}); err != nil {
		t.Fatal(err)
	}
	b.stands("new.qcow2", "a.qcow2")
}

func TestPivotThatCannotBePutDown(t *testing.T) {
	b := threeLayers(t)
	full := errors.New("the store is full")
	commit := func(err error) error {
		return b.Commit(t.Context(), "d", b.path("c.qcow2"), b.path("b.qcow2"), func(context.Context) error { return err }, nil)
	}
	if err := commit(full); !errors.Is(err, full) {
		t.Errorf("a pivot that cannot be put down: %v", err)
	}
	b.adopt()
	if running, _, err := b.Running(t.Context()); running || err != nil {
		t.Errorf("the guest writes into an image that is not on record: %v", err)
	}
	if err := commit(nil); err != nil {
		t.Fatal(err)
	}
	b.paused = true // it was, when descriptors were to be closed
	b.stands("b.qcow2", "a.qcow2")
	b.whole(b.path("b.qcow2"))
}

func TestPullPartAndAll(t *testing.T) {
	b := threeLayers(t)
	if err := b.Pull(t.Context(), "d", b.path("a.qcow2"), nil); err != nil {
		t.Fatal(err)
	}
	b.stands("c.qcow2", "a.qcow2")
	b.whole(b.path("c.qcow2"))
	if err := b.Pull(t.Context(), "d", "", nil); err != nil {
		t.Fatal(err)
	}
	// A kill at this moment loses nothing of it.
	if said := b.tool("qemu-io", "-U", "-r", "-c", "read -P 1 0 4M", b.path("c.qcow2")); strings.Contains(said, "ailed") {
		t.Errorf("what was drawn in is in QEMU's memory alone: %s", said)
	}
	b.stands("c.qcow2")
	b.whole(b.path("c.qcow2"))
	if err := b.Pull(t.Context(), "d", "", nil); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// QEMU may be killed at any moment: what was drawn in or committed is durable before an image says that it
// stands on another one.
func TestWhatWasMergedIsDurableBeforeItIsNeeded(t *testing.T) {
	for name, work := range map[string]func(*bench, string) error{
		"pull": func(b *bench, id string) error { return b.beginPull(b.Context(), id, "d", b.path("a.qcow2")) },
		"commit": func(b *bench, id string) error {
			return b.beginCommit(b.Context(), id, commitment{drive: "d", top: b.path("b.qcow2"), base: b.path("a.qcow2")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := threeLayers(t)
			kind := map[string]string{"pull": JobPull, "commit": JobCommit}[name]
			id := jobID(kind, "d", "test")
			j, stop, err := b.openJob(b.Context(), id, func() error { return work(b, id) }, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			flushed := false
			j.vanishes = name == "pull"
			j.flush = func(ctx context.Context) error {
				chain, err := b.chain(ctx, "d")
				if err != nil || len(chain) != 3 {
					t.Errorf("before what was merged is durable the chain is %v: %v", chain, err)
				}
				flushed = true
				return b.flushNode(ctx, map[string]string{"pull": chain[0], "commit": chain[len(chain)-1]}[name])
			}
			if _, err := j.await(t.Context()); err != nil || !flushed {
				t.Fatalf("flushed: %t, %v", flushed, err)
			}
			b.end() // it is killed
			b.disk("d", b.path("c.qcow2"), b.path("a.qcow2"))
			b.start()
			b.stands("c.qcow2", "a.qcow2")
			b.whole(b.path("c.qcow2"))
		})
	}
}

// slowly begins work on the drive's images that will not end by itself, and waits until it
// has come somewhere.
func (b *bench) slowly(work func(ctx context.Context, report func(done, total int64)) error) (cancel context.CancelCauseFunc, ended <-chan error) {
	b.Helper()
	ctx, cancel := context.WithCancelCause(b.Context())
	begun, result := make(chan struct{}), make(chan error, 1)
	first := true
	go func() {
		result <- work(ctx, func(_, _ int64) {
			if first {
				first = false
				close(begun)
			}
		})
	}()
	select {
	case <-begun:
	case err := <-result:
		b.Fatalf("it did not begin: %v", err)
	}
	return cancel, result
}

// throttle bounds the jobs that begin later to some bytes a second, and lifts the bound of
// those that are there when it is 0.
func (b *bench) throttle(speed int64) {
	b.Helper()
	b.speed = speed
	list, err := b.monitor.QueryJobs(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, job := range list {
		set := map[string]any{"device": job.ID, "speed": speed}
		if err := b.monitor.Execute(b.Context(), "block-job-set-speed", set, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestJobsEndWithTheirContextAndAreBegunAgain(t *testing.T) {
	b := threeLayers(t)
	top, base := b.path("b.qcow2"), b.path("a.qcow2")
	commit := func(ctx context.Context, report func(done, total int64)) error {
		return b.Commit(ctx, "d", top, base, nil, report)
	}
	pull := func(ctx context.Context, report func(done, total int64)) error { return b.Pull(ctx, "d", "", report) }
	for name, work := range map[string]func(context.Context, func(done, total int64)) error{
		jobID(JobCommit, "d", top, base): commit, jobID(JobPull, "d", ""): pull,
	} {
		b.throttle(1)
		cancel, ended := b.slowly(work)
		if err := b.Pull(t.Context(), "d", top, nil); problem.Of(err).Kind != api.KindBusy {
			t.Errorf("%s: another job at the same time: %v", name, err)
		}
		cancel(context.Canceled)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", name, err)
		}
		b.throttle(0)
		b.stands("c.qcow2", "b.qcow2", "a.qcow2")
		b.whole(b.path("c.qcow2"))
	}
	if err := commit(t.Context(), nil); err != nil {
		t.Errorf("after it was cancelled: %v", err)
	}
	b.stands("c.qcow2", "a.qcow2")
	b.whole(b.path("c.qcow2"))
}

func TestQEMUGoesOnWithoutTheDaemon(t *testing.T) {
	b := threeLayers(t)
	b.throttle(1)
	pull := func(ctx context.Context, report func(done, total int64)) error { return b.Pull(ctx, "d", "", report) }
	cancel, ended := b.slowly(pull)
	closing := errors.New("the daemon is stopping")
	cancel(closing)
	if err := <-ended; !errors.Is(err, closing) {
		t.Errorf("the daemon stops: %v", err)
	}
	b.adopt()
	jobs, err := b.Jobs(t.Context())
	if err != nil || len(jobs) != 1 || jobs[0].Kind != JobPull || jobs[0].Drive != "d" || jobs[0].Ended {
		t.Errorf("the jobs are %+v: %v", jobs, err)
	}
	b.throttle(0)
	if err := b.Pull(t.Context(), "d", "", nil); err != nil {
		t.Fatal(err)
	}
	b.stands("c.qcow2")
	b.whole(b.path("c.qcow2"))
}

func TestKilledInTheMiddle(t *testing.T) {
	b := threeLayers(t)
	b.throttle(1)
	_, ended := b.slowly(func(ctx context.Context, report func(done, total int64)) error { return b.Pull(ctx, "d", "", report) })
	b.end()
	if err := <-ended; err == nil {
		t.Error("it is done although QEMU was killed")
	}
	b.start()
	b.stands("c.qcow2", "b.qcow2", "a.qcow2")
	b.whole(b.path("c.qcow2"))
	if err := b.Commit(t.Context(), "d", b.path("c.qcow2"), b.path("a.qcow2"), nil, nil); err != nil {
		t.Fatal(err)
	}
	b.stands("a.qcow2")
	b.whole(b.path("a.qcow2"))
}
