package blockmap

import (
	"bytes"
	"io"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// Page is the unit in which hosts cache files and make holes in them.
const Page = 4096

// copyPiece is how much is copied or looked at at once.
const copyPiece = 1 << 20

// File is the file of an image. It knows where it ends without asking.
type File struct {
	raw disk.File
	end atomic.Int64
}

// NewFile takes a file over.
func NewFile(f disk.File) (*File, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	file := &File{raw: f}
	file.end.Store(size)
	return file, nil
}

// Raw is the file itself, with all that it can do.
func (f *File) Raw() disk.File { return f.raw }

// End is where the file ends.
func (f *File) End() int64 { return f.end.Load() }

// ReadAt reads the file.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.raw.ReadAt(p, off) }

// WriteAt writes to the file, and remembers how long that made it.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.raw.WriteAt(p, off)
	end := off + int64(n)
	if err != nil {
		if size, failed := f.raw.Size(); failed == nil {
			end = size
		}
	}
	for old := f.end.Load(); end > old && !f.end.CompareAndSwap(old, end); old = f.end.Load() {
	}
	return n, err
}

// Sync makes durable what was written.
func (f *File) Sync() error { return f.raw.Sync() }

// Extend makes the file longer, up to end; what is added is zero.
func (f *File) Extend(end int64) error {
	if end <= f.End() {
		return nil
	}
	return f.truncate(end)
}

// Cut makes the file end at end, if it is longer.
func (f *File) Cut(end int64) error {
	if end >= f.End() {
		return nil
	}
	return f.truncate(end)
}

func (f *File) truncate(end int64) error {
	if err := f.raw.Truncate(end); err != nil {
		return err
	}
	f.end.Store(end)
	return nil
}

// Fill writes zeros.
func (f *File) Fill(off, n int64) error {
	for n > 0 {
		k, err := f.WriteAt(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}

// Blank writes zeros as far as the file has anything.
func (f *File) Blank(off, n int64) error { return f.Fill(off, min(off+n, f.End())-off) }

// Clear makes a range zero as far as the file goes, and gives its pages back.
// Where it covers only a part of a page it is written, for the order of writes
// and holes within one sector is nobody's promise.
func (f *File) Clear(off, n int64) error {
	end := min(off+n, f.End())
	from, to := roundUp(off, Page), end/Page*Page
	if from >= to {
		return f.Fill(off, end-off)
	}
	if err := f.Fill(off, from-off); err != nil {
		return err
	}
	if err := disk.PunchHole(f.raw, from, to-from); err != nil {
		return err
	}
	return f.Fill(to, end-to)
}

// giveBack gives the whole pages of a range back to the host, if that can be
// done.
func (f *File) giveBack(off, n int64) {
	from, to := roundUp(off, Page), (off+n)/Page*Page
	if p, ok := f.raw.(disk.Puncher); ok && from < to {
		_ = p.PunchHole(from, to-from) // space that stays taken is no reason to fail
	}
}

// Copy copies n bytes within the file; what lies behind its end is zero. Nothing
// is written behind the end but for the first byte, where that is zero as it is.
func (f *File) Copy(to, from, n int64) error {
	buffer := make([]byte, min(n, copyPiece))
	for at := int64(0); at < n; at += int64(len(buffer)) {
		piece := buffer[:min(int64(len(buffer)), n-at)]
		k, err := f.ReadAt(piece, from+at)
		if err != nil && err != io.EOF {
			return err
		}
		clear(piece[k:])
		if at > 0 && to+at >= f.End() && IsZero(piece) {
			continue
		}
		if _, err := f.WriteAt(piece, to+at); err != nil {
			return err
		}
	}
	return nil
}

// HoldsZeros tells whether a range is zero; what lies behind the end is.
func (f *File) HoldsZeros(off, n int64) (bool, error) {
	buffer := make([]byte, min(n, copyPiece))
	for n > 0 {
		k, err := f.ReadAt(buffer[:min(n, int64(len(buffer)))], off)
		if err != nil && err != io.EOF {
			return false, err
		}
		if !IsZero(buffer[:k]) {
			return false, nil
		}
		if err == io.EOF {
			return true, nil
		}
		off, n = off+int64(k), n-int64(k)
	}
	return true, nil
}

// Allocated is what the file occupies on its store; its length, where that
// cannot be told.
func (f *File) Allocated() int64 {
	if a, ok := f.raw.(disk.Allocated); ok {
		if n, err := a.Allocated(); err == nil {
			return n
		}
	}
	return f.End()
}

var zeros [64 << 10]byte

// IsZero tells whether p is all zero.
func IsZero(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), Page)
		if !bytes.Equal(p[:n], zeros[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
