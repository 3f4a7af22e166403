package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

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

// TestWorkOnImagesCancelledAnywhere cancels what works on a running machine's images at every place where it
// looks whether it is cancelled. Either nothing has happened, or all of it and the caller knows: no job is left that would
// keep the machine from being saved, no guest that stands still, and none that writes where nobody looks for it.
func TestWorkOnImagesCancelledAnywhere(t *testing.T) {
	for name, test := range map[string]struct {
		work          func(b *bench, ctx context.Context, pivoted func(context.Context) error) error
		before, after []string
		pivots        bool
	}{
		"commit below": {
			func(b *bench, ctx context.Context, pivoted func(context.Context) error) error {
				return b.Commit(ctx, "d", b.path("b.qcow2"), b.path("a.qcow2"), pivoted, nil)
			}, []string{"c.qcow2", "b.qcow2", "a.qcow2"}, []string{"c.qcow2", "a.qcow2"}, false,
		},
		"commit what the guest writes": {
			func(b *bench, ctx context.Context, pivoted func(context.Context) error) error {
				return b.Commit(ctx, "d", b.path("c.qcow2"), b.path("a.qcow2"), pivoted, nil)
			}, []string{"c.qcow2", "b.qcow2", "a.qcow2"}, []string{"a.qcow2"}, true,
		},
		"pull": {
			func(b *bench, ctx context.Context, _ func(context.Context) error) error {
				return b.Pull(ctx, "d", b.path("a.qcow2"), nil)
			}, []string{"c.qcow2", "b.qcow2", "a.qcow2"}, []string{"c.qcow2", "a.qcow2"}, false,
		},
		"mirror": {
			func(b *bench, ctx context.Context, pivoted func(context.Context) error) error {
				to := filepath.Join(filepath.Dir(b.path("")), "to.qcow2")
				b.tool("qemu-img", "create", "-q", "-f", "qcow2", to, "64M")
				defer os.Remove(to)
				return b.Mirror(ctx, api.Drive{Name: "d"}, to, "qcow2", pivoted, nil)
			}, []string{"c.qcow2"}, []string{"../to.qcow2"}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := threeLayers(t)
			if len(test.before) == 1 {
				if err := b.Pull(t.Context(), "d", "", nil); err != nil {
					t.Fatal(err)
				}
			}
			for looks := int64(1); ; looks++ {
				pivots := 0
				ctx := newCountdown(t.Context(), looks)
				err := test.work(b, ctx, func(context.Context) error { pivots++; return nil })
				ctx.cancel()
				if err == nil {
					b.stands(test.after...)
					if test.pivots != (pivots == 1) {
						t.Errorf("cancelled at look %d, it was done, and told %d times of a pivot", looks, pivots)
					}
					t.Logf("looked %d times", looks)
					return
				}
				if b.stands(test.before...); pivots != 0 || t.Failed() {
					t.Fatalf("cancelled at look %d it ended with %v, and told %d times of a pivot", looks, err, pivots)
				}
			}
		})
	}
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
