package memfs

import (
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// File is an open file of an [FS].
type File struct {
	fs     *FS
	name   string
	node   *node
	write  bool
	closed atomic.Bool
}

var (
	_ disk.File      = (*File)(nil)
	_ disk.Puncher   = (*File)(nil)
	_ disk.Holed     = (*File)(nil)
	_ disk.Allocated = (*File)(nil)
	_ disk.Samer     = (*File)(nil)
)

// Name is the file's name.
func (f *File) Name() string { return f.name }

// ReadAt reads.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d: %w", f.name, off, fs.ErrInvalid)
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	n := f.node.current.readAt(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := f.usable("write", true); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("write %s at %d: %w", f.name, off, fs.ErrInvalid)
	}
	f.node.change(change{kind: wrote, off: off, data: append([]byte(nil), p...)})
	return len(p), nil
}

// Same tells whether another file is this one, opened again.
func (f *File) Same(other disk.File) bool {
	o, ok := other.(*File)
	return ok && o.node == f.node
}

// Truncate sets the length.
func (f *File) Truncate(size int64) error {
	if err := f.usable("truncate", true); err != nil {
		return err
	}
	f.node.change(change{kind: truncated, off: size})
	return nil
}

// PunchHole zeroes a range.
func (f *File) PunchHole(off, n int64) error {
	if err := f.usable("punch", true); err != nil {
		return err
	}
	f.node.change(change{kind: punched, off: off, n: n})
	return nil
}

// Sync makes durable what was written.
func (f *File) Sync() error {
	if err := f.usable("sync", false); err != nil {
		return err
	}
	if hook := f.fs.OnOp; hook != nil {
		hook("sync", f.name)
	}
	f.node.sync()
	return nil
}

// Size is the length.
func (f *File) Size() (int64, error) {
	if err := f.usable("size", false); err != nil {
		return 0, err
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	return f.node.current.size, nil
}

// Allocated is what the pages take.
func (f *File) Allocated() (int64, error) {
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	return int64(len(f.node.current.pages)) * page, nil
}

// NextData finds the next pages that were written.
func (f *File) NextData(off int64) (start, end int64, err error) {
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	start, end = f.node.current.nextData(off)
	return start, end, nil
}

// Close ends the use of the file; a second Close is an error, and so is any
// use after it.
func (f *File) Close() error {
	if f.closed.Swap(true) {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}

func (f *File) usable(op string, write bool) error {
	if f.closed.Load() {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	if !write {
		return nil
	}
	if !f.write {
		return &fs.PathError{Op: op, Path: f.name, Err: disk.ErrReadOnly}
	}
	if hook := f.fs.OnOp; hook != nil {
		hook(op, f.name)
	}
	return nil
}
