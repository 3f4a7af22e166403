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

func (w *world) busyAt(what string, err error) {
	w.t.Helper()
	if client.KindOf(err) != api.KindBusy {
		w.t.Errorf("%s: %v", what, err)
	}
}
