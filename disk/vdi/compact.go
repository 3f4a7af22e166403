package vdi

import (
	"context"
	"io"

	"github.com/panalvm/panal/disk"
)

// movedAtOnce is how many bytes are copied before the map is made durable.
const movedAtOnce = 64 << 20

// Compact gives up blocks of zeros, then moves the last blocks into the gaps.
// A block is copied to a free place before the map points there, and its old
// place is cut off only when the map is durable.
func (m *image) Compact(ctx context.Context, progress func(done, total int64)) (int64, error) {
	if !m.write {
		return 0, disk.ErrReadOnly
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	if m.geo.fixed {
		return 0, nil
	}
	if err := m.first(); err != nil {
		return 0, err
	}
	before, err := m.file.Size()
	if err != nil {
		return 0, err
	}
	if err := m.giveUpZeros(ctx, progress); err != nil {
		return 0, errorsFirst(err, m.flush())
	}
	if err := m.closeGaps(ctx); err != nil {
		return 0, errorsFirst(err, m.flush())
	}
	after, err := m.file.Size()
	return max(0, before-after), err
}

// giveUpZeros marks blocks that hold only zeros.
func (m *image) giveUpZeros(ctx context.Context, progress func(done, total int64)) error {
	s, err := m.survey(ctx)
	if err != nil {
		return err
	}
	entry := uint32(unallocated)
	if m.based {
		entry = zeroed
	}
	buffer := make([]byte, min(m.geo.block, 1<<20))
	total := int64(len(s.held)) * m.geo.block
	for i, h := range s.held {
		if err := ctx.Err(); err != nil {
			return err
		}
		zero, err := m.placeIsZero(h.place, m.blockLength(int64(h.index)), buffer)
		if err != nil {
			return err
		}
		if zero {
			m.places.given = append(m.places.given, h.place)
			if err := m.setAll(int64(h.index), 1, entry, 0); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(int64(i+1)*m.geo.block, total)
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	return m.reclaim()
}

// placeIsZero tells whether the first length bytes of a place are zero.
func (m *image) placeIsZero(place uint32, length int64, buffer []byte) (bool, error) {
	pos := m.geo.dataAt(place)
	for length > 0 {
		n, err := m.file.ReadAt(buffer[:min(length, int64(len(buffer)))], pos)
		if err != nil && err != io.EOF {
			return false, err
		}
		if !allZero(buffer[:n]) {
			return false, nil
		}
		if err == io.EOF {
			return true, nil
		}
		pos, length = pos+int64(n), length-int64(n)
	}
	return true, nil
}

// closeGaps moves the blocks in the highest places to the lowest free ones, and
// cuts the file.
func (m *image) closeGaps(ctx context.Context) error {
	s, err := m.survey(ctx)
	if err != nil {
		return err
	}
	m.places = newAllocator(s, s.next())
	m.noteUsed()
	m.stale = true
	copied := int64(0)
	for i := len(s.held) - 1; i >= 0 && len(m.places.free) > 0 && m.places.free[0].start < int64(s.held[i].place); i-- {
		if err := m.move(s.held[i]); err != nil {
			return err
		}
		if copied += m.geo.stride; copied < movedAtOnce {
			continue
		}
		copied = 0
		if err := errorsFirst(m.flush(), ctx.Err()); err != nil {
			return err
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	if err := m.reclaim(); err != nil {
		return err
	}
	if err := m.truncate(m.geo.placeEnd(m.places.next - 1)); err != nil {
		return err
	}
	return m.flush()
}

// move puts a block into the lowest free place.
func (m *image) move(h held) error {
	to, _, err := m.places.take(1)
	if err != nil {
		return err
	}
	if err := m.copyPlace(int64(h.place), to); err != nil {
		return err
	}
	m.places.given = append(m.places.given, h.place)
	return m.setAll(int64(h.index), 1, uint32(to), 1)
}
