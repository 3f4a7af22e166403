package hostfs

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// QEMU's image locks (block/file-posix.c, raw_apply_lock_bytes): a process that
// uses a permission holds a shared lock on the byte permBase+bit, and one that
// does not let others have a permission on shareBase+bit. Whoever finds a byte
// locked that contradicts its own wish gives up.
const (
	permBase  = 100
	shareBase = 200

	permRead   = 0 // BLK_PERM_CONSISTENT_READ
	permWrite  = 1 // BLK_PERM_WRITE
	permResize = 3 // BLK_PERM_RESIZE
)

// lock takes the locks of a reader or a writer, neither of which lets others
// write. A file system without such locks has none.
func lock(file *os.File, write bool) error {
	fd := file.Fd()
	held := []int64{permBase + permRead, shareBase + permWrite, shareBase + permResize}
	contradicting := []int64{permBase + permWrite, permBase + permResize}
	if write {
		held = append(held, permBase+permWrite, permBase+permResize)
		contradicting = append(contradicting, shareBase+permWrite, shareBase+permResize)
	}
	for _, at := range held {
		err := retry(func() error { return unix.FcntlFlock(fd, unix.F_OFD_SETLK, byteLock(unix.F_RDLCK, at)) })
		switch {
		case err == unix.EAGAIN || err == unix.EACCES:
			return busy(file, write)
		case err != nil:
			return nil // not to be had here
		}
	}
	for _, at := range contradicting {
		probe := byteLock(unix.F_WRLCK, at)
		if err := retry(func() error { return unix.FcntlFlock(fd, unix.F_OFD_GETLK, probe) }); err != nil {
			return nil
		}
		if probe.Type != unix.F_UNLCK {
			return busy(file, write)
		}
	}
	return nil
}

func byteLock(kind int16, at int64) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: at, Len: 1}
}

func busy(file *os.File, write bool) error {
	if write {
		return &Busy{file.Name(), "another process uses it (a running machine?); it can be written when that has ended"}
	}
	return &Busy{file.Name(), "another process writes to it (a running machine?); stop that first"}
}

// Written tells whether another open file description, of this process or another one, says by QEMU's locks that it writes a
// file. It takes no lock. A file that is not there, and one of a file system without such locks, is not written.
func Written(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	probe := byteLock(unix.F_WRLCK, permBase+permWrite)
	err = retry(func() error { return unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, probe) })
	return err == nil && probe.Type != unix.F_UNLCK
}
