package parallels

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// plain is a file that holds the disk, or a storage of it, byte for byte.
type plain struct {
	file  disk.File
	write bool
	lone  bool // no descriptor says what it is
	size  atomic.Int64
}

var _ layer = (*plain)(nil)

func openPlain(file disk.File, write, lone bool) (*plain, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size%sector != 0 {
		return nil, disk.Corrupt(name, size, "there is no header, and as a plain disk the file would not be whole sectors")
	}
	x := &plain{file: file, write: write, lone: lone}
	x.size.Store(size)
	return x, nil
}

// Size is the file's.
func (x *plain) Size() int64 { return x.size.Load() }

// Parent is none.
func (x *plain) Parent() disk.Image { return nil }

// Map tells the file's holes from the rest.
func (x *plain) Map(off, n int64) (disk.Extent, error) {
	e := disk.Extent{Off: off, Len: n, State: disk.Data, File: x.file, HostOff: off}
	h, ok := x.file.(disk.Holed)
	if !ok {
		return e, nil
	}
	start, end, err := h.NextData(off)
	if err != nil {
		return e, err
	}
	if start > off || end <= off {
		hole := n
		if start > off {
			hole = min(n, start-off)
		}
		return disk.Extent{Off: off, Len: hole}, nil
	}
	e.Len = min(n, end-off)
	return e, nil
}

// ReadAt reads the file.
func (x *plain) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, disk.ErrRange)
	}
	return x.file.ReadAt(p, off)
}

// CanWrite tells whether the image was opened for writing.
func (x *plain) CanWrite() bool { return x.write }

func (x *plain) mayWrite(off, n int64) error {
	if !x.write {
		return disk.ErrReadOnly
	}
	return disk.InRange(off, n, x.Size())
}

// WriteAt writes to the file. A lone file is refused what would make it an
// expanding image when it is looked at the next time.
func (x *plain) WriteAt(p []byte, off int64) (int, error) {
	if err := x.mayWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	if x.lone && off < int64(len(magicNew)) {
		head := make([]byte, len(magicNew))
		if _, err := x.file.ReadAt(head, 0); ignoreEOF(err) != nil {
			return 0, err
		}
		copy(head[off:], p)
		if hasMagic(head) {
			return 0, disk.ErrLookalike
		}
	}
	return x.file.WriteAt(p, off)
}

// ZeroAt makes a hole.
func (x *plain) ZeroAt(off, n int64) error {
	if err := x.mayWrite(off, n); err != nil || n == 0 {
		return err
	}
	return disk.PunchHole(x.file, off, n)
}

// DiscardAt makes a hole where the file can have some.
func (x *plain) DiscardAt(off, n int64) error {
	if err := x.mayWrite(off, n); err != nil || n == 0 {
		return err
	}
	if p, ok := x.file.(disk.Puncher); ok {
		if err := p.PunchHole(off, n); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// Sync syncs the file.
func (x *plain) Sync() error {
	if !x.write {
		return disk.ErrReadOnly
	}
	return x.file.Sync()
}

// Resize changes the file's length.
func (x *plain) Resize(size int64) error {
	if !x.write {
		return disk.ErrReadOnly
	}
	if size%sector != 0 {
		return disk.Unsupported(name, "a disk of %d bytes is not whole sectors; the nearest size is %d", size, roundUp(size, sector))
	}
	if err := x.file.Truncate(size); err != nil {
		return err
	}
	x.size.Store(size)
	return x.file.Sync()
}

// Check finds nothing: every content is right.
func (x *plain) Check(context.Context) (disk.Report, error) {
	n := x.Size() / sector
	return disk.Report{Blocks: n, Allocated: n}, nil
}

// Repair has nothing to do.
func (x *plain) Repair(ctx context.Context) (disk.Report, error) {
	if !x.write {
		return disk.Report{}, disk.ErrReadOnly
	}
	return x.Check(ctx)
}

// Dump shows that there is nothing but the disk.
func (x *plain) Dump(context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		yield(disk.Field{Part: "disk", Len: int(min(x.Size(), 1<<30)), Name: "content", Value: "plain", Note: fmt.Sprintf("%d bytes, without a header", x.Size())}, nil)
	}
}

// Describe says what the image is.
func (x *plain) Describe() disk.Info {
	return disk.Info{Format: name, Variant: variantPlain, Size: x.Size(), Allocated: occupied(x.file), SectorSize: sector}
}

// Close syncs what was written and closes the file.
func (x *plain) Close() error {
	var err error
	if x.write {
		err = x.file.Sync()
	}
	return errors.Join(err, x.file.Close())
}
