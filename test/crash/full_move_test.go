package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// mounted mounts a small file system for a test, with the options that say how small.
func mounted(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("panal-test", dir, "tmpfs", 0, options+",mode=0711"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestMovesToAFullDisk moves machines, off and running, to a file system that gets full in the middle of it, at one file
// after the other: they stay what they were, where they were, in the process that they had; nothing is left over there, and with room they move.
func TestMovesToAFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs(t), still(t))
	for _, runs := range []bool{false, true} {
		w.must(w.branched())
		if runs {
			w.must(w.do(subject, (*client.Client).Start))
		}
		from, done := w.get(subject).Folder, false
		for files := 6; !done; files += 6 {
			// Files are what it runs out of: that there are too few bytes is seen before.
			to := mounted(t, fmt.Sprintf("size=2g,nr_inodes=%d", files))
			pid := w.get(subject).Status.PID
			err := w.moveTo(to)
			if done = err == nil; done {
				break
			}
			if client.KindOf(err) != api.KindNoSpace {
				t.Errorf("with room for %d files: %q: %v", files, client.KindOf(err), err)
			}
			w.holdsOnly(to, nil)
			if m := w.get(subject); m.Folder != from || m.Status.PID != pid {
				t.Errorf("with room for %d files: it is in %s and runs in process %d, and ran in %d", files, m.Folder, m.Status.PID, pid)
			}
			w.sound()
			w.readable()
			if files > 200 || t.Failed() {
				t.Fatalf("with room for %d files: %v", files, err)
			}
		}
		w.readable()
		w.must(w.remove(subject))
	}
	if err := w.tooLarge(mounted(t, "size=16m")); client.KindOf(err) != api.KindNoSpace {
		t.Errorf("a machine that does not fit moves: %v", err)
	}
}

// tooLarge moves a running machine whose memory alone is more than there is room for.
func (w *world) tooLarge(to string) error {
	w.must(w.branched())
	w.must(w.do(subject, (*client.Client).Start))
	err := w.moveTo(to)
	w.holdsOnly(to, nil)
	w.sound()
	return err
}

// TestMediaOnAFullDisk moves and copies an image to a file system that gets full in the middle of it.
func TestMediaOnAFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs(t), still(t))
	to := mounted(t, "size=2m")
	from := filepath.Join(w.images, "large.vdi")
	w.must(w.original(from, 8<<20))
	before, err := os.ReadFile(from)
	w.must(err)
	for name, act := range map[string]func(c *client.Client) error{
		"move": func(c *client.Client) error {
			_, err := c.MoveMedium(w.ctx, from, api.MoveMediumRequest{Path: filepath.Join(to, "there.vdi")})
			return err
		},
		"copy": func(c *client.Client) error {
			task, err := c.MakeMedium(w.ctx, api.MakeMediumRequest{Source: from, Path: filepath.Join(to, "there.qcow2"), Format: "qcow2"})
			return w.wait(c, task, err)
		},
	} {
		if name == "move" {
			w.must(w.with(func(c *client.Client) error {
				_, err := c.AddMedium(w.ctx, api.AddMediumRequest{Path: from})
				return err
			}))
		}
		err := w.with(act)
		t.Logf("%s: %v", name, err)
		if client.KindOf(err) != api.KindNoSpace {
			t.Errorf("%s: %q: %v", name, client.KindOf(err), err)
		}
		w.holdsOnly(to, nil)
		if after, err := os.ReadFile(from); err != nil || string(after) != string(before) {
			t.Errorf("%s: the image is not what it was: %v", name, err)
		}
		w.sound()
	}
	w.liveOnAFullDisk(to)
}

// liveOnAFullDisk moves an image that a running machine writes to where there is too little room: the machine runs on, on the image where
// it was.
func (w *world) liveOnAFullDisk(to string) {
	w.t.Helper()
	from := filepath.Join(w.images, "live-large.qcow2")
	w.must(w.original(from, 8<<20))
	w.must(errors.Join(w.remove(subject), w.create(subject, api.DiskSource{Path: from, Mode: api.Attach}), w.do(subject, (*client.Client).Start)))
	pid := w.get(subject).Status.PID
	if err := w.moveLive(from, filepath.Join(to, "there.qcow2")); client.KindOf(err) != api.KindNoSpace {
		w.t.Errorf("move, running: %q: %v", client.KindOf(err), err)
	}
	w.holdsOnly(to, nil)
	if m := w.get(subject); m.Status.PID != pid || m.Spec.Drives[0].Source != from {
		w.t.Errorf("it runs in process %d, and ran in %d, on %s", m.Status.PID, pid, m.Spec.Drives[0].Source)
	}
	w.sound()
}
