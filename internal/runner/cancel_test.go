package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
)

// countdown is a context that is cancelled when it has been looked at so many times: who walks the counts has
// work cancelled at every place where it can be.
type countdown struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64
}

func newCountdown(ctx context.Context, looks int64) *countdown {
	c := &countdown{}
	c.Context, c.cancel = context.WithCancel(ctx)
	c.left.Store(looks)
	return c
}

func (c *countdown) look() {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
}

func (c *countdown) Done() <-chan struct{} { c.look(); return c.Context.Done() }

func (c *countdown) Err() error { c.look(); return c.Context.Err() }

// cancellable is work on a running machine. Told is to be called, once, by work that has somebody else put something down.
type cancellable struct {
	work          func(ctx context.Context, b *bench, told func(context.Context) error) error
	before, after []string // the chain of the drive
	tells         bool
}

var (
	layers  = []string{"c.qcow2", "b.qcow2", "a.qcow2"}
	nothing = func(_, _ int64) {}
)

// cancellables is all that changes what a machine's process has in hand and takes a while.
var cancellables = map[string]cancellable{
	"commit below": {
		work: func(ctx context.Context, b *bench, told func(context.Context) error) error {
			return b.Commit(ctx, "d", b.path("b.qcow2"), b.path("a.qcow2"), told, nil)
		},
		before: layers, after: []string{"c.qcow2", "a.qcow2"},
	},
	"commit what the guest writes": {
		work: func(ctx context.Context, b *bench, told func(context.Context) error) error {
			return b.Commit(ctx, "d", b.path("c.qcow2"), b.path("a.qcow2"), told, nil)
		},
		before: layers, after: []string{"a.qcow2"}, tells: true,
	},
	"pull": {
		work: func(ctx context.Context, b *bench, _ func(context.Context) error) error {
			return b.Pull(ctx, "d", b.path("a.qcow2"), nil)
		},
		before: layers, after: []string{"c.qcow2", "a.qcow2"},
	},
	"mirror": {
		work: func(ctx context.Context, b *bench, told func(context.Context) error) error {
			return b.Mirror(ctx, api.Drive{Name: "d"}, b.anew("to.qcow2", ""), "qcow2", told, nil)
		},
		before: []string{"c.qcow2"}, after: []string{"to.qcow2"}, tells: true,
	},
	"branch": {
		work: func(ctx context.Context, b *bench, _ func(context.Context) error) error {
			return b.Branch(ctx, []Overlay{{Drive: "d", Path: b.anew("new.qcow2", "c.qcow2")}})
		},
		before: layers, after: append([]string{"new.qcow2"}, layers...),
	},
	"fleece": {
		work: func(ctx context.Context, b *bench, _ func(context.Context) error) error {
			fleece, err := b.Fleece(ctx, []string{"d"}, b.TempDir())
			if err != nil {
				return err
			}
			return fleece.Close()
		},
		before: layers, after: layers,
	},
	"save": {
		work: func(ctx context.Context, b *bench, _ func(context.Context) error) error {
			paused := b.Pause(b.Context())
			return errors.Join(paused, b.Save(ctx, io.Discard, nothing), b.Resume(b.Context()))
		},
		before: layers, after: layers,
	},
	"save what stays paused": {
		work: func(ctx context.Context, b *bench, _ func(context.Context) error) error {
			err := errors.Join(b.Pause(b.Context()), b.Save(ctx, io.Discard, nothing))
			again := b.Save(b.Context(), io.Discard, nothing) // without having run
			return errors.Join(err, again, b.Resume(b.Context()))
		},
		before: layers, after: layers,
	},
	"save a running guest": {
		work: func(ctx context.Context, b *bench, told func(context.Context) error) error {
			_, err := b.SaveLive(ctx, io.Discard, told, nothing)
			return err
		},
		before: layers, after: layers, tells: true,
	},
}

// TestCancelledAnywhere cancels work on a running machine at every place where that looks whether it is cancelled. Either
// nothing has happened, or all of it and the caller knows: no job is left that would keep the machine from being saved, no guest
// that stands still, and none that writes where nobody looks for it.
func TestCancelledAnywhere(t *testing.T) {
	for name, test := range cancellables {
		t.Run(name, func(t *testing.T) {
			b := threeLayers(t)
			if len(test.before) == 1 {
				if err := b.Pull(t.Context(), "d", "", nil); err != nil {
					t.Fatal(err)
				}
			}
			for looks := int64(1); ; looks++ {
				told := 0
				ctx := newCountdown(t.Context(), looks)
				err := test.work(ctx, b, func(context.Context) error { told++; return nil })
				ctx.cancel()
				if err == nil {
					b.stands(test.after...)
					if test.tells != (told == 1) {
						t.Errorf("cancelled at look %d, it was done, and told %d times", looks, told)
					}
					t.Logf("looked %d times", looks)
					return
				}
				b.stands(test.before...)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled, it ended with: %v", err)
				}
				if changed := !slices.Equal(test.before, test.after); changed && told != 0 || t.Failed() {
					t.Fatalf("cancelled at look %d it ended with %v, and told %d times", looks, err, told)
				}
			}
		})
	}
}

// anew makes an image where there may be one that nobody has any more.
func (b *bench) anew(name, on string) string {
	_ = os.Remove(b.path(name))
	return b.image(name, on)
}

// TestAMachineIsSavedWhoseImagesAreMerged ends what an earlier daemon has begun: QEMU does not save a machine whose images it writes
// by itself, and says so in its log alone.
func TestAMachineIsSavedWhoseImagesAreMerged(t *testing.T) {
	b := threeLayers(t)
	b.throttle(1)
	cancel, ended := b.slowly(func(ctx context.Context, report func(done, total int64)) error {
		return b.Commit(ctx, "d", b.path("c.qcow2"), b.path("a.qcow2"), nil, report)
	})
	cancel(errors.New("the daemon is stopping"))
	<-ended
	b.adopt()
	if err := b.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	save := func() error { return b.Save(t.Context(), io.Discard, func(_, _ int64) {}) }
	if err := save(); err == nil || !strings.Contains(err.Error(), "bdrv_inactivate_all") {
		t.Errorf("while QEMU writes images by itself: %v", err)
	}
	// QEMU saves again what could not be saved only after it has run.
	if err := errors.Join(b.EndJobs(t.Context()), b.Resume(t.Context()), b.Pause(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := save(); err != nil {
		t.Error(err)
	}
}

// TestAJobThatStays waits for the end of a job that QEMU does not end, for no longer than it is told to: it does not begin to cancel it
// anew.
func TestAJobThatStays(t *testing.T) {
	b := threeLayers(t)
	b.throttle(1)
	cancel, ended := b.slowly(func(ctx context.Context, report func(done, total int64)) error {
		return b.Pull(ctx, "d", "", report)
	})
	j := &job{Session: b.Session, id: jobID(JobPull, "d", ""), vanishes: true}
	waiting, stop := context.WithTimeoutCause(t.Context(), time.Millisecond, errStays)
	defer stop()
	if _, err := j.await(waiting); !errors.Is(err, errStays) {
		t.Errorf("it ended with %v", err)
	}
	if info, err := j.info(t.Context()); err != nil || info == nil {
		t.Errorf("the job is gone: %v", err)
	}
	cancel(context.Canceled)
	<-ended
}
