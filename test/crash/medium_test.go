package crash

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// TestOneTaskAtAPlace asks for several images at one place at once: the first that came has it until it has ended, and
// what takes its work back takes nothing of another's.
func TestOneTaskAtAPlace(t *testing.T) {
	program := needs(t)
	w := newWorld(t, program, still(t))
	w.must(w.mediumAdded())
	from, to := w.mediumPlaces()
	w.must(os.Symlink(w.images, filepath.Join(w.Dir, "alias")))
	alias := filepath.Join(w.Dir, "alias", filepath.Base(to))

	w.arm("wait:medium.begun")
	ended := w.cancel(false, func(c *client.Client) (api.Task, error) {
		begun, err := c.MakeMedium(w.ctx, api.MakeMediumRequest{Path: to, Size: 8 * api.MiB})
		w.must(err)
		for _, path := range []string{to, alias} {
			_, err := c.MakeMedium(w.ctx, api.MakeMediumRequest{Path: path, Size: 16 * api.MiB})
			w.busyAt("make another at "+path, err)
		}
		w.busyAt("move one there", w.moveMedium())
		_, err = c.CancelTask(w.ctx, begun.ID)
		return begun, err
	})
	if ended.State != api.TaskCancelled || exists(to) || !exists(from) {
		t.Errorf("the task is %s, %s is there: %t, %s: %t", ended.State, to, exists(to), from, exists(from))
	}
	w.arm("")
	w.mediumSomewhere()
}

// TestACopyHoldsOthersOff: while what a machine has attached is copied, another one that has the same image attached is not
// started, or what is copied would change under it.
func TestACopyHoldsOthersOff(t *testing.T) {
	w := newWorld(t, needs(t), still(t))
	const other = "other"
	disk := api.DiskSource{Path: w.image(), Mode: api.Attach}
	w.must(w.create(subject, disk))
	w.must(w.create(other, disk))
	passes := w.waitAt("clone.begun")
	w.cancel(false, func(c *client.Client) (api.Task, error) {
		begun, err := c.Clone(w.ctx, subject, api.CloneRequest{Name: "copy"})
		w.must(err)
		passes()
		_, err = c.Start(w.ctx, other)
		w.busyAt("start another one meanwhile", err)
		_, err = c.CancelTask(w.ctx, begun.ID)
		return begun, err
	})
	w.must(w.do(other, (*client.Client).Start))
	w.busyAt("clone it while the other one runs", w.with(func(c *client.Client) error {
		_, err := c.Clone(w.ctx, subject, api.CloneRequest{Name: "copy"})
		return err
	}))
}

func (w *world) busyAt(what string, err error) {
	w.t.Helper()
	if client.KindOf(err) != api.KindBusy {
		w.t.Errorf("%s: %v", what, err)
	}
}
