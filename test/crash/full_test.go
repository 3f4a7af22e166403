package crash

import (
	"errors"
	"os"
	"path/filepath"
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
	program, guest := needs(t)
	w := newWorld(t, program, guest)
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

// exhaust fills the data directory's file system to the last byte.
func (w *world) exhaust() string {
	w.t.Helper()
	path := filepath.Join(w.Data, "ballast")
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
	return path
}
