// Package diskfault lets the files below an image fail, as disks do that are
// full or broken: for tests of what an image, and whoever uses it, does then.
//
//	files := &diskfault.FS{FS: memfs.New(), Fail: func(op diskfault.Op, _ string) error {
//		if op == diskfault.Sync && full.Load() {
//			return syscall.ENOSPC
//		}
//		return nil
//	}}
package diskfault

import (
	"errors"

	"github.com/panalvm/panal/disk"
)

// Op is what is done with a file.
type Op string

// What can fail.
const (
	Read     Op = "read"
	Write    Op = "write"
	Sync     Op = "sync"
	Truncate Op = "truncate"
	Punch    Op = "punch"
	Rename   Op = "rename"
)

// FS is a file system whose files fail when Fail says so.
type FS struct {
	disk.FS
	// Fail is asked before an operation on the file of that name; its error,
	// unless nil, is what the operation gives. A read, a sync and a truncation
	// that fail did nothing. Of a write and a punch that fail, the first half was done.
	// It may be called concurrently, and is set before the FS is used.
	Fail func(op Op, name string) error
}

// Open opens a file.
func (f *FS) Open(name string, write bool) (disk.File, error) {
	return f.wrap(name)(f.FS.Open(name, write))
}

// Create makes a file.
func (f *FS) Create(name string) (disk.File, error) { return f.wrap(name)(f.FS.Create(name)) }

// Rename renames a file, if the FS below can. One that fails did nothing.
func (f *FS) Rename(from, to string) error {
	if err := f.Fail(Rename, from); err != nil {
		return err
	}
	return disk.Rename(f.FS, from, to)
}

func (f *FS) wrap(name string) func(disk.File, error) (disk.File, error) {
	return func(opened disk.File, err error) (disk.File, error) {
		if err != nil {
			return nil, err
		}
		return &File{File: opened, fs: f, name: name}, nil
	}
}

// File is a file that fails when its FS says so.
type File struct {
	disk.File
	fs   *FS
	name string
}

var (
	_ disk.Puncher   = (*File)(nil)
	_ disk.Holed     = (*File)(nil)
	_ disk.Allocated = (*File)(nil)
)

func (f *File) fail(op Op) error { return f.fs.Fail(op, f.name) }

// ReadAt reads.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fail(Read); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// WriteAt writes.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	failed := f.fail(Write)
	if failed == nil {
		return f.File.WriteAt(p, off)
	}
	n, err := f.File.WriteAt(p[:half(off, int64(len(p)))], off)
	return n, errors.Join(failed, err)
}

// half is how much of a range is done before it fails: whole sectors.
func half(off, n int64) int64 {
	const sector = 512
	return max(0, (off+n/2)/sector*sector-off)
}

// Truncate sets the length.
func (f *File) Truncate(size int64) error {
	if err := f.fail(Truncate); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Sync makes durable what was written.
func (f *File) Sync() error {
	if err := f.fail(Sync); err != nil {
		return err
	}
	return f.File.Sync()
}

// PunchHole frees a range, if the file can.
func (f *File) PunchHole(off, n int64) error {
	p, ok := f.File.(disk.Puncher)
	if !ok {
		return errors.ErrUnsupported
	}
	failed := f.fail(Punch)
	if failed == nil {
		return p.PunchHole(off, n)
	}
	if done := half(off, n); done > 0 {
		return errors.Join(failed, p.PunchHole(off, done))
	}
	return failed
}

// NextData finds data; in a file that knows no holes all is.
func (f *File) NextData(off int64) (start, end int64, err error) {
	if h, ok := f.File.(disk.Holed); ok {
		return h.NextData(off)
	}
	size, err := f.Size()
	return min(off, size), size, err
}

// Allocated is the room that the file takes, its length if it does not know.
func (f *File) Allocated() (int64, error) {
	if a, ok := f.File.(disk.Allocated); ok {
		return a.Allocated()
	}
	return f.Size()
}
