// Package window makes a part of a file look like a file: a member of an
// archive, a partition, an extent.
package window

import (
	"fmt"
	"io"
	"io/fs"

	"github.com/panalvm/panal/disk"
)

// File is the range [off, off+n) of another file, for reading.
type File struct {
	file disk.File
	off  int64
	n    int64
}

var (
	_ disk.File  = (*File)(nil)
	_ disk.Holed = (*File)(nil)
)

// New makes the n bytes of file at off a file. The whole file becomes the
// window's and is closed with it, also when New fails, because the range goes
// beyond its end.
func New(file disk.File, off, n int64) (*File, error) {
	size, err := file.Size()
	if err == nil {
		err = disk.InRange(off, n, size)
	}
	if err != nil {
		_ = file.Close() // nothing was written to it
		return nil, err
	}
	return &File{file: file, off: off, n: n}, nil
}

// Base is the file that the window lies in, and where.
func (w *File) Base() (file disk.File, off int64) { return w.file, w.off }

// ReadAt reads within the window.
func (w *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, fs.ErrInvalid)
	}
	if off >= w.n {
		return 0, io.EOF
	}
	short := int64(len(p)) > w.n-off
	if short {
		p = p[:w.n-off]
	}
	n, err := w.file.ReadAt(p, w.off+off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// WriteAt gives ErrReadOnly.
func (w *File) WriteAt([]byte, int64) (int, error) { return 0, disk.ErrReadOnly }

// Truncate gives ErrReadOnly.
func (w *File) Truncate(int64) error { return disk.ErrReadOnly }

// Sync has nothing to do.
func (w *File) Sync() error { return nil }

// Size is the window's.
func (w *File) Size() (int64, error) { return w.n, nil }

// NextData finds data in the window; in a file that knows no holes all is.
func (w *File) NextData(off int64) (start, end int64, err error) {
	h, ok := w.file.(disk.Holed)
	if !ok || off >= w.n {
		return min(off, w.n), w.n, nil
	}
	start, end, err = h.NextData(w.off + off)
	if err != nil {
		return 0, 0, err
	}
	return min(start-w.off, w.n), min(end-w.off, w.n), nil
}

// Close closes the whole file.
func (w *File) Close() error { return w.file.Close() }
