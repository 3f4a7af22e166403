package parallels

import (
	"context"
	"io"

	"github.com/panalvm/panal/disk"
)

// moveBatch is how many clusters are moved between two syncs.
const moveBatch = 64

// Compact gives up clusters of zeros, moves those at the file's end to free
// places before it, and cuts the file.
func (x *expanding) Compact(ctx context.Context, progress func(done, total int64)) (int64, error) {
	if !x.write {
		return 0, disk.ErrReadOnly
	}
	if x.ext.foreign() {
		return 0, disk.Unsupported(name, "the image has a format extension that may own clusters we cannot see; convert it to a new image instead")
	}
	x.alloc.Lock()
	defer x.alloc.Unlock()
	if err := x.begin(); err != nil {
		return 0, err
	}
	before, err := x.file.Size()
	if err != nil {
		return 0, err
	}
	if err := x.dropZeros(ctx, progress); err != nil {
		return 0, err
	}
	// Clusters will move to free places. If that fails in between, what is free
	// is not known any more: then nothing is, until the image is opened again.
	x.space.free = nil
	if err := x.closeGaps(ctx); err != nil {
		return 0, err
	}
	after, err := x.cutTail()
	return max(0, before-after), err
}

// dropZeros gives up the clusters that hold only zeros, where the parent has
// zeros too.
func (x *expanding) dropZeros(ctx context.Context, progress func(done, total int64)) error {
	buffer := make([]byte, min(x.h.cluster(), copyPiece))
	total := x.clustersHeld()
	for i := range total {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress != nil && i%64 == 0 {
			progress(i, total)
		}
		if err := x.dropIfZero(i, buffer); err != nil {
			return err
		}
	}
	if progress != nil {
		progress(total, total)
	}
	return x.syncLocked()
}

func (x *expanding) dropIfZero(index int64, buffer []byte) error {
	at, err := x.place(index)
	if err != nil || at == 0 {
		return err
	}
	x.mu.Lock() // nobody may write to it between the look and the act
	defer x.mu.Unlock()
	off := index * x.h.cluster()
	n := min(x.h.cluster(), x.Size()-off)
	if zero, err := readsZero(x.file, at, n, buffer); !zero || err != nil {
		return err
	}
	if x.parent != nil {
		if zero, err := readsZero(x.parent, off, n, buffer); !zero || err != nil {
			return err
		}
	}
	x.space.pending = append(x.space.pending, run{at, x.h.cluster()})
	return x.bat.SetUint32(entryAt(index), 0)
}

// readsZero tells whether a range has only zeros; behind the end it has.
func readsZero(r io.ReaderAt, off, n int64, buffer []byte) (bool, error) {
	for n > 0 {
		p := buffer[:min(n, int64(len(buffer)))]
		k, err := r.ReadAt(p, off)
		if err != nil && err != io.EOF || !isZero(p[:k]) {
			return false, ignoreEOF(err)
		}
		if err == io.EOF {
			return true, nil
		}
		off, n = off+int64(k), n-int64(k)
	}
	return true, nil
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// closeGaps moves each cluster that lies behind where all would end to a free
// place before.
func (x *expanding) closeGaps(ctx context.Context) error {
	s, err := x.survey()
	if err != nil || !s.watched || s.unaligned > 0 {
		return err
	}
	target := s.count()
	free, moved := int64(0), 0
	for i := range x.clustersHeld() {
		at, err := x.place(i)
		if err != nil {
			return err
		}
		if at == 0 || (at-s.base)/s.h.cluster() < target {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for s.isUsed(free) {
			free++
		}
		if err := x.move(i, at, s.base+free*s.h.cluster()); err != nil {
			return err
		}
		free++
		if moved++; moved%moveBatch == 0 {
			if err := x.syncLocked(); err != nil {
				return err
			}
		}
	}
	return x.syncLocked()
}

// cutTail makes the file end behind its last cluster.
func (x *expanding) cutTail() (size int64, err error) {
	s, err := x.survey()
	if err != nil {
		return 0, err
	}
	size = s.lastUsed()
	if size >= s.size {
		x.space = s.space()
		return s.size, nil
	}
	if err := x.file.Truncate(size); err != nil {
		return 0, err
	}
	if err := x.file.Sync(); err != nil {
		return 0, err
	}
	x.known.Store(size)
	if s, err = x.survey(); err != nil {
		return 0, err
	}
	x.space = s.space()
	return size, nil
}

// lastUsed is the offset behind the last place that is used; the file's size
// if that is not known.
func (s *survey) lastUsed() int64 {
	if !s.watched || s.foreign {
		return s.size
	}
	for i := s.places - 1; i >= 0; i-- {
		if s.isUsed(i) {
			return s.base + (i+1)*s.h.cluster()
		}
	}
	return s.base
}
