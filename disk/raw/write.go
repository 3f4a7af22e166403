package raw

import (
	"context"
	"errors"

	"github.com/panalvm/panal/disk"
)

// change does something to a range, unless it may not be done. p is what the
// range will hold, nil for zeros.
func (i *image) change(off, n int64, p []byte, do func(file disk.File, hostOff, from, n int64) error) error {
	if !i.write {
		return disk.ErrReadOnly
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	if err := disk.InRange(off, n, i.size); err != nil {
		return err
	}
	return i.guard.allow(i, patch{off: off, n: n, p: p, size: i.size}, func() error { return i.each(off, n, do) })
}

// WriteAt writes in place.
func (i *image) WriteAt(p []byte, off int64) (int, error) {
	written := 0
	err := i.change(off, int64(len(p)), p, func(file disk.File, hostOff, from, n int64) error {
		k, err := file.WriteAt(p[from:from+n], hostOff)
		written += k
		return err
	})
	return written, err
}

// ZeroAt makes a hole, or where the file system cannot, writes zeros.
func (i *image) ZeroAt(off, n int64) error {
	return i.change(off, n, nil, func(file disk.File, hostOff, _, n int64) error {
		return disk.PunchHole(file, hostOff, n)
	})
}

// DiscardAt makes a hole, or where the file system cannot, nothing.
func (i *image) DiscardAt(off, n int64) error {
	return i.change(off, n, nil, func(file disk.File, hostOff, _, n int64) error {
		if p, ok := file.(disk.Puncher); ok {
			if err := p.PunchHole(hostOff, n); !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
		}
		return nil
	})
}

// CopyHost takes a range of another file, through the kernel.
func (i *image) CopyHost(off int64, src disk.File, srcOff, n int64) (int64, error) {
	if !i.write {
		return 0, disk.ErrReadOnly
	}
	if i.guard != nil { // what comes is not known
		return 0, errors.ErrUnsupported
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	if err := disk.InRange(off, n, i.size); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, nil
	}
	file, hostOff, have := i.at(off, n)
	copier, ok := file.(disk.RangeCopier)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return copier.CopyRange(hostOff, src, srcOff, have)
}

// Resize makes the file longer or shorter.
func (i *image) Resize(size int64) error {
	if !i.write {
		return disk.ErrReadOnly
	}
	if size < 0 {
		return disk.Usage("a disk cannot have %d bytes", size)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	file := i.parts[0].file
	switch {
	case size == i.size:
		return file.Sync()
	case isDevice(file):
		return disk.Unsupported("raw", "a block device has the size that it has, %d bytes; change the device (lvresize, fdisk …)", i.size)
	case len(i.parts) > 1:
		return disk.Unsupported("raw:split", "a disk in %d parts cannot be resized; convert it to one in one file", len(i.parts))
	}
	return i.guard.allow(i, patch{size: size}, func() error {
		if err := file.Truncate(size); err != nil {
			return err
		}
		i.size = size
		return file.Sync()
	})
}

// Compaction looks for zeros by pieces, and makes holes of whole pages.
const (
	piece = 1 << 20
	page  = 4096
)

// Compact makes holes of what is zero. The files stay as long as they are; what
// it tells is the room that they give back.
func (i *image) Compact(ctx context.Context, progress func(done, total int64)) (int64, error) {
	if !i.write {
		return 0, disk.ErrReadOnly
	}
	before := i.taken()
	size := i.Size()
	buffer := make([]byte, piece)
	for e, err := range disk.Extents(ctx, i, 0, size) {
		if err != nil {
			return 0, err
		}
		if e.State != disk.Data {
			if err := i.punchReserved(e.Off, e.Len); err != nil {
				return 0, err
			}
		}
		for off := e.Off; off < e.End() && e.State == disk.Data; off += piece {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			if err := i.punchZeros(buffer[:min(piece, e.End()-off)], off); err != nil {
				return 0, err
			}
			if progress != nil {
				progress(off, size)
			}
		}
	}
	if err := i.Sync(); err != nil {
		return 0, err
	}
	return max(0, before-i.taken()), nil
}

// punchZeros makes holes of the pages of a range that are zero. It keeps all
// writers out, so that none of them loses what it writes meanwhile.
func (i *image) punchZeros(p []byte, off int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if off+int64(len(p)) > i.size {
		return nil // made smaller meanwhile
	}
	if err := i.read(p, off); err != nil {
		return err
	}
	for begin := 0; begin < len(p); {
		end := begin
		for end < len(p) && isZero(p[end:min(end+page, len(p))]) {
			end = min(end+page, len(p))
		}
		if end == begin {
			begin += page
			continue
		}
		err := i.each(off+int64(begin), int64(end-begin), func(file disk.File, hostOff, _, n int64) error {
			return disk.PunchHole(file, hostOff, n)
		})
		if err != nil {
			return err
		}
		begin = end
	}
	return nil
}

// punchReserved gives back the room that the file system has reserved where nothing was written: it calls that a hole,
// too. It keeps all writers out, and looks again for what they wrote.
func (i *image) punchReserved(off, n int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	n = min(n, i.size-off)
	return i.each(off, n, func(file disk.File, hostOff, _, n int64) error {
		holed, tells := file.(disk.Holed)
		puncher, punches := file.(disk.Puncher)
		for end := hostOff + n; tells && punches && hostOff < end; {
			data, behind, err := holed.NextData(hostOff)
			if err == nil && data > hostOff {
				err = puncher.PunchHole(hostOff, min(data, end)-hostOff)
			}
			if errors.Is(err, errors.ErrUnsupported) {
				return nil // to write zeros would take room
			}
			if err != nil {
				return err
			}
			hostOff = max(behind, hostOff+1)
		}
		return nil
	})
}

// taken is the room that all parts take.
func (i *image) taken() int64 {
	total := int64(0)
	for _, p := range i.parts {
		total += taken(p.file)
	}
	return total
}
