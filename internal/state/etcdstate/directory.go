package etcdstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/internal/state"
)

// lockDirectory makes dir if need be and locks it for this process. The lock ends
// with the file's closing or with the process, however that ends.
func lockDirectory(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(dir, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(locked(dir, file, err), file.Close())
	}
	if err := writePID(file); err != nil {
		return nil, errors.Join(unwritable(dir, err), file.Close())
	}
	return file, nil
}

func locked(dir string, file *os.File, err error) error {
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("lock the store in %s: %w", dir, err)
	}
	var text [20]byte
	n, _ := file.ReadAt(text[:], 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:n]))) // 0 when unreadable: the error then names nobody
	return &LockedError{Dir: dir, PID: pid}
}

// writePID overwrites in place, so that it works on a full disk, too.
func writePID(file *os.File) error {
	_, err := file.WriteAt(fmt.Appendf(nil, "%-19d\n", os.Getpid()), 0)
	if errors.Is(err, syscall.ENOSPC) {
		return nil // whoever meets the lock is told less, but it holds
	}
	return err
}

func unwritable(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("open the store in %s: this user may not write there: choose another directory, or give it to this user: %w", dir, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("open the store in %s: %w: free some space on its file system: %w", dir, state.ErrNoSpace, err)
	}
	return fmt.Errorf("open the store in %s: %w", dir, err)
}

// checkDatabase looks for damage that etcd would meet by a crash: a database that
// is not one, or shorter than its own header says, or one whose log is gone.
func checkDatabase(dir string) (err error) {
	path := filepath.Join(dir, "member", "snap", "db")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unwritable(dir, err)
	}
	// A read past the end of a mapped file is a fault, which kills the process
	// unless asked for as a panic.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if caught := recover(); caught != nil {
			err = corrupt(dir, fmt.Errorf("%s: %v", path, caught))
		}
	}()
	if info.Size() == 0 && !wal.Exist(filepath.Join(dir, "member", "wal")) {
		return nil // made a moment before a crash, and nothing else yet
	}
	database, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return corrupt(dir, fmt.Errorf("%s: %w", path, err))
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	return database.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return corrupt(dir, fmt.Errorf("%s has %d bytes where %d belong", path, info.Size(), tx.Size()))
		}
		if applied(tx) > 0 && !wal.Exist(filepath.Join(dir, "member", "wal")) {
			return corrupt(dir, fmt.Errorf("the log %s is missing", filepath.Join(dir, "member", "wal")))
		}
		return nil
	})
}

// applied returns how many log entries etcd has worked into the database. It is 0 when
// the process ended while it made the directory, before there was a log.
func applied(tx *bbolt.Tx) uint64 {
	meta := tx.Bucket([]byte("meta"))
	if meta == nil {
		return 0
	}
	index := meta.Get([]byte("consistent_index"))
	if len(index) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(index)
}

func corrupt(dir string, err error) error {
	return fmt.Errorf("open the store in %s: %w: %w: put back a backup of the whole directory; "+
		"or move it away and register the machines again from their folders", dir, ErrCorrupt, err)
}

// free returns how many bytes this user may still write to dir's file system.
func free(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}
