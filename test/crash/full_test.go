package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// TestDiskFull fills the data directory's file system. Every operation fails
// with a word about it and leaves nothing, what runs goes on, and with space
// again all is well.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small file system")
	}
	program := needs(t)
	w := newWorld(t, program, tiny(t))
	w.must(w.remove(bystander))
	w.must(w.daemon.Stop())
	if err := unix.Mount("panal-test", w.Data, "tmpfs", 0, "size=256m,mode=0711"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(w.Data, unix.MNT_DETACH) })
	w.begin("")
	w.must(w.create(bystander))
	w.must(w.do(bystander, (*client.Client).Start))
	w.pid = w.get(bystander).Status.PID

	ballast := w.exhaust()
	for name, operation := range map[string]func() error{
		"save":   func() error { return w.do(bystander, (*client.Client).Save) },
		"create": func() error { return w.create(subject, api.DiskSource{Path: w.image()}) },
	} {
		if err := operation(); client.KindOf(err) != api.KindNoSpace {
			t.Errorf("%s on a full disk: %q: %v", name, client.KindOf(err), err)
		}
	}
	if state := w.state(); state != absent {
		t.Errorf("the machine is %s", state)
	}
	w.sound()
	w.must(os.Remove(ballast))
	w.must(w.create(subject, api.DiskSource{Path: w.image()}))
	w.stopsUnrecorded()
	w.must(w.do(bystander, (*client.Client).Save))
	w.must(w.do(bystander, (*client.Client).Start))
	w.pid = w.get(bystander).Status.PID
	w.sound()
	w.must(w.remove(subject))
	w.must(w.remove(bystander))
	w.must(w.daemon.Stop())
	w.must(unix.Unmount(w.Data, 0))
	w.begin("")
}

// stopsUnrecorded powers a machine off, on a disk that is full, while something is at work on it: nobody has to wait for
// space until the end of that is stored.
func (w *world) stopsUnrecorded() {
	w.t.Helper()
	w.must(w.do(subject, (*client.Client).Start))
	w.restart("wait:save.begun")
	w.must(w.with(func(c *client.Client) error {
		_, err := c.Save(w.ctx, subject)
		return err
	}))
	ballast := w.exhaust()
	if err := w.do(subject, (*client.Client).Stop); client.KindOf(err) != api.KindNoSpace {
		w.t.Errorf("stop on a full disk, while it is being saved: %q: %v", client.KindOf(err), err)
	}
	if err := w.delete(subject, true); client.KindOf(err) != api.KindNoSpace {
		w.t.Errorf("delete on a full disk: %q: %v", client.KindOf(err), err)
	}
	w.must(os.Remove(ballast))
	w.restart("")
	if state := w.state(); state != api.StateOff {
		w.t.Errorf("the machine is %s", state)
	}
}

// TestSnapshotsOnAFullDisk carries the operations on snapshots out where the disk gets full in the middle of them: they are done or say so,
// every snapshot reads as it did, nothing is left over, and with space again they can be done.
func TestSnapshotsOnAFullDisk(t *testing.T) {
	t.Parallel()
	w, pool := smallPool(t)
	for _, op := range snapshotOperations {
		for _, room := range roomsFor(op.name) {
			w.onFullDisk(op, pool, room)
		}
	}
}

// TestMachinesOnAFullDisk does the same for those that bring machines in.
func TestMachinesOnAFullDisk(t *testing.T) {
	t.Parallel()
	w, pool := smallPool(t)
	for _, name := range []string{"create", "create, moving an image in", "import", "import from a pipe", "clone", "clone, linked"} {
		i := slices.IndexFunc(operations, func(op operation) bool { return op.name == name })
		if i < 0 {
			t.Fatalf("there is no operation %q", name)
		}
		w.onFullDisk(operations[i], pool, 100<<10)
	}
}

// smallPool makes a world whose machines' folders are on a small file system of their own, and returns where.
func smallPool(t *testing.T) (*world, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small file system")
	}
	w := newWorld(t, needs(t), still(t))
	pool := filepath.Join(w.Data, "machines")
	w.must(w.remove(bystander))
	w.must(w.daemon.Stop())
	if err := unix.Mount("panal-test", pool, "tmpfs", 0, "size=400m,mode=0711"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	// After the machines have gone, which newWorld sees to: what is registered last is done first.
	t.Cleanup(func() { _ = unix.Unmount(pool, unix.MNT_DETACH) })
	t.Cleanup(w.end)
	w.begin("")
	w.must(w.create(bystander))
	w.must(w.do(bystander, (*client.Client).Start))
	w.pid = w.get(bystander).Status.PID
	return w, pool
}

// onFullDisk carries an operation out with so many bytes left.
func (w *world) onFullDisk(op operation, pool string, room int64) {
	w.t.Helper()
	w.must(op.ready(w))
	before, _ := w.find(subject)
	ballast := w.leave(pool, room)
	err := op.act(w)
	if err != nil && client.KindOf(err) != api.KindNoSpace {
		w.t.Errorf("%s, with %d bytes left: %q: %v", op.name, room, client.KindOf(err), err)
	}
	if err != nil && strings.HasPrefix(op.name, "delete a snapshot") {
		w.t.Errorf("%s, with %d bytes left: what gives space back needs some: %v", op.name, room, err)
	}
	w.t.Logf("%s, with %d bytes left: %v", op.name, room, err)
	w.must(os.Remove(ballast))
	w.restart("") // which takes up what was left to be merged
	w.checked(op, before, fmt.Sprintf("%s, with %d bytes left, which ended with %v", op.name, room, err))
	w.again(op, "full disk")
}

// roomsFor are numbers of bytes with which an operation comes to an end of the disk: before anything is made, and in the middle.
func roomsFor(name string) []int64 {
	switch {
	case strings.Contains(name, "memory"), strings.Contains(name, "keeping"):
		return []int64{0, 2 << 20}
	case strings.Contains(name, "delete"), strings.Contains(name, "shorten"):
		return []int64{0, 32 << 10}
	}
	return []int64{300 << 10}
}

// exhaust fills the data directory's file system to the last byte.
func (w *world) exhaust() string {
	w.t.Helper()
	return w.leave(w.Data, 0)
}

// leave fills a directory's file system but for some bytes, and returns the file that does.
func (w *world) leave(dir string, room int64) string {
	w.t.Helper()
	path := filepath.Join(dir, "ballast")
	file, err := os.Create(path)
	w.must(err)
	defer file.Close()
	for size := 1 << 20; size > 0; {
		if _, err := file.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else {
			w.must(err)
		}
	}
	if room > 0 {
		info, err := file.Stat()
		w.must(err)
		w.must(file.Truncate(max(info.Size()-room, 0)))
	}
	return path
}

// TestStreamFillsNoPool draws in more than a small pool holds: that is refused before anything is
// written, and said, the machine is free, and it goes once there is room.
func TestStreamFillsNoPool(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small file system")
	}
	program := needs(t)
	w := newWorld(t, program, still(t))
	w.must(w.remove(bystander))
	large := filepath.Join(w.images, "large.vdi")
	w.must(w.original(large, 256<<20))
	w.must(w.daemon.Stop())
	if err := unix.Mount("panal-test", w.Data, "tmpfs", 0, "size=200m,mode=0711"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(w.Data, unix.MNT_DETACH) })
	w.begin("")
	w.must(w.create(subject, api.DiskSource{Path: large}))
	if err := w.do(subject, (*client.Client).Stream); client.KindOf(err) != api.KindNoSpace {
		t.Errorf("drawing in more than there is room for: %q: %v", client.KindOf(err), err)
	}
	if m := w.get(subject); m.Status.Task != "" || len(m.Status.Warnings) != 1 || !strings.Contains(m.Status.Warnings[0], "originals are still needed") {
		t.Errorf("it says %+v", m.Status)
	}
	w.must(w.do(subject, (*client.Client).Start))
	w.must(w.do(subject, (*client.Client).Stop))
	w.must(unix.Mount("panal-test", w.Data, "tmpfs", unix.MS_REMOUNT, "size=800m,mode=0711"))
	w.must(w.do(subject, (*client.Client).Stream))
	if m := w.get(subject); len(m.Status.Warnings) > 0 {
		t.Errorf("what was drawn in is warned of: %q", m.Status.Warnings)
	}
	w.must(w.remove(subject))
	w.must(w.daemon.Stop())
	w.must(unix.Unmount(w.Data, 0))
	w.begin("")
}
