package disk

import (
	"fmt"
	"io"
)

// ReadThrough does a format's ReadAt by its Map: data is read from where it
// lies, what is unallocated from the parent, and the rest is zero. decode reads the
// extents that have no File or are Compressed; it may be nil when there are none.
// Data that lies behind the end of its file reads as zeros: whether that is
// legal is the format's to say in Map.
func ReadThrough(img interface {
	Image
	Mapper
}, p []byte, off int64, decode func(e Extent, p []byte) error,
) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, ErrRange)
	}
	total := min(int64(len(p)), img.Size()-off)
	if total <= 0 {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	for done := int64(0); done < total; {
		e, err := img.Map(off+done, total-done)
		if err != nil {
			return int(done), err
		}
		if err := readExtent(img, e, p[done:done+e.Len], decode); err != nil {
			return int(done), err
		}
		done += e.Len
	}
	if total < int64(len(p)) {
		return int(total), io.EOF
	}
	return int(total), nil
}

func readExtent(img Image, e Extent, p []byte, decode func(Extent, []byte) error) error {
	switch {
	case e.State == Zeroed:
		clear(p)
		return nil
	case e.State == Unallocated:
		return ReadParent(Parent(img), p, e.Off)
	case e.File == nil || e.Compressed:
		return decode(e, p)
	}
	n, err := e.File.ReadAt(p, e.HostOff)
	if err == io.EOF {
		clear(p[n:])
		return nil
	}
	if err == nil || n == len(p) {
		return nil
	}
	return err
}

// ReadParent fills p with what a parent holds at off: zeros where it ends, or
// when it is nil.
func ReadParent(parent Image, p []byte, off int64) error {
	if parent == nil || off >= parent.Size() {
		clear(p)
		return nil
	}
	n, err := parent.ReadAt(p[:min(int64(len(p)), parent.Size()-off)], off)
	clear(p[n:])
	if err == io.EOF {
		return nil
	}
	return err
}

// InRange tells whether a disk of the given size has the range; the error is
// ErrRange.
func InRange(off, n, size int64) error {
	if off < 0 || n < 0 || off > size || n > size-off {
		return fmt.Errorf("[%d,+%d) of %d: %w", off, n, size, ErrRange)
	}
	return nil
}

// Zero makes a range read as zeros.
func Zero(img Image, off, n int64) error {
	if z, ok := img.(Zeroer); ok {
		return z.ZeroAt(off, n)
	}
	w, ok := img.(Writer)
	if !ok {
		return ErrReadOnly
	}
	if err := InRange(off, n, img.Size()); err != nil {
		return err
	}
	return writeZeros(w, off, n)
}

// Discard gives up a range; without a Discarder nothing happens, which the
// contract allows.
func Discard(img Image, off, n int64) error {
	if d, ok := img.(Discarder); ok {
		return d.DiscardAt(off, n)
	}
	if !Writable(img) {
		return ErrReadOnly
	}
	return InRange(off, n, img.Size())
}

// Resize changes the size of a disk.
func Resize(img Image, size int64) error {
	if size < 0 {
		return Usage("a disk cannot have %d bytes", size)
	}
	if r, ok := img.(Resizer); ok {
		return r.Resize(size)
	}
	return Unsupported(Describe(img).Format, "images of this kind cannot be resized; convert it to one of another size")
}
