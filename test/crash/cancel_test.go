package crash

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// cancel begins an operation, cancels it as soon as it reports progress (or at
// once, if asked to), and returns how it ended.
func (w *world) cancel(atOnce bool, begin func(*client.Client) (api.Task, error)) api.Task {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.ctx, patience)
	defer stop()
	c := w.Client()
	defer c.Close()
	task, err := begin(c)
	w.must(err)
	asked := false
	ask := func() {
		if asked {
			return
		}
		asked = true
		_, err := c.CancelTask(ctx, task.ID)
		w.must(err)
	}
	if atOnce {
		ask()
	}
	ended, err := c.WaitTask(ctx, task, func(t api.Task) {
		if t.Progress.Done > 0 {
			ask()
		}
	})
	if client.KindOf(err) != api.KindCancelled {
		w.t.Errorf("it ended with %q: %v", client.KindOf(err), err)
	}
	return ended
}

// TestCancelSave cancels a save: the machine runs on.
func TestCancelSave(t *testing.T) {
	program := needs(t)
	w := newWorld(t, program, tiny(t))
	w.must(w.running())
	pid := w.get(subject).Status.PID
	ended := w.cancel(true, func(c *client.Client) (api.Task, error) { return c.Save(w.ctx, subject) })
	if ended.State != api.TaskCancelled {
		t.Errorf("the task is %s: %v", ended.State, ended.Error)
	}
	if m := w.get(subject); m.Status.State != api.StateRunning || m.Status.PID != pid {
		t.Errorf("the machine is %s in process %d, and ran in %d", m.Status.State, m.Status.PID, pid)
	}
	w.sound()
	w.must(w.do(subject, (*client.Client).Save))
	w.must(w.do(subject, (*client.Client).Start))
}

// TestCancelMove cancels a create that moves an image in from another file
// system: the image is where it was, and nothing else is left.
func TestCancelMove(t *testing.T) {
	program := needs(t)
	dir := otherFileSystem(t)
	source := filepath.Join(dir, "source.raw")
	fill(t, source, 1<<30)
	w := newWorld(t, program, still(t))
	ended := w.cancel(false, func(c *client.Client) (api.Task, error) {
		return c.Create(w.ctx, api.CreateRequest{
			Spec: w.spec(subject), Disks: []api.DiskSource{{Path: source, Mode: api.Own, Format: "raw"}},
		})
	})
	if ended.State != api.TaskCancelled {
		t.Errorf("the task is %s: %v", ended.State, ended.Error)
	}
	if info, err := os.Stat(source); err != nil || info.Size() != 1<<30 {
		t.Errorf("the image is not as it was: %v", err)
	}
	if state := w.state(); state != absent {
		t.Errorf("the machine is %s", state)
	}
	w.sound()
}

// otherFileSystem is a directory on another file system than tests' own.
func otherFileSystem(t *testing.T) string {
	t.Helper()
	var here, there unix.Stat_t
	if unix.Stat("/tmp", &here) != nil || unix.Stat("/dev/shm", &there) != nil || here.Dev == there.Dev {
		t.Skip("/dev/shm is no file system of its own")
	}
	dir, err := os.MkdirTemp("/dev/shm", "panal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// fill makes a file that has no holes.
func fill(t *testing.T, path string, size int) {
	t.Helper()
	part := make([]byte, 1<<20)
	_, _ = rand.Read(part)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range size / len(part) {
		if _, err := file.Write(part); err != nil {
			t.Fatal(err)
		}
	}
}
