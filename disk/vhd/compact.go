package vhd

import (
	"context"
	"io"

	"github.com/panalvm/panal/disk"
)

// movedAtOnce is how many bytes are copied before the table is made durable.
const movedAtOnce = 64 << 20

// Compact gives up blocks that the disk reads the same without, then moves the
// last blocks into the gaps. A block is copied before the table points to the
// copy, and its old place is cut off only when the table is durable.
func (m *image) Compact(ctx context.Context, progress func(done, total int64)) (freed int64, err error) {
	err = m.settle(func() error {
		before, err := m.file.Size()
		if err != nil {
			return err
		}
		if err := m.giveUpNeedless(ctx, progress); err != nil {
			return first(err, m.flush())
		}
		if err := m.closeGaps(ctx); err != nil {
			return first(err, m.flush())
		}
		after, err := m.file.Size()
		freed = max(0, before-after)
		return err
	})
	return freed, err
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// giveUpNeedless gives up blocks of zeros, or with a parent, blocks that have
// none of their sectors.
func (m *image) giveUpNeedless(ctx context.Context, progress func(done, total int64)) error {
	s, err := m.survey(ctx)
	if err != nil {
		return err
	}
	buffer := make([]byte, min(m.geo.block, 1<<20))
	for i, h := range s.held {
		if err := ctx.Err(); err != nil {
			return err
		}
		needless, err := m.needless(h, buffer)
		if err != nil {
			return err
		}
		if needless {
			if err := m.giveUp(int64(h.index), h.start); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(int64(i+1)*m.geo.block, int64(len(s.held))*m.geo.block)
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	return m.reclaim()
}

func (m *image) needless(h held, buffer []byte) (bool, error) {
	if int64(h.index) >= m.geo.blocks() {
		return true, nil
	}
	if m.tracked {
		bm, err := m.bitmaps.load(int64(h.index), h.start)
		if err != nil || bm.empty() || m.based {
			return err == nil && bm.empty(), err
		}
	}
	pos, length := m.geo.dataAt(h.start), m.blockLength(int64(h.index))
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

// closeGaps moves the last blocks of the file to the first gaps, and cuts the
// file.
func (m *image) closeGaps(ctx context.Context) error {
	s, err := m.survey(ctx)
	if err != nil {
		return err
	}
	m.space = m.allocatorFor(s)
	copied := int64(0)
	for i := len(s.held) - 1; i >= 0 && m.space.gapBefore(int64(s.held[i].start)*sector); i-- {
		if err := m.move(s.held[i]); err != nil {
			return err
		}
		if copied += m.geo.stride(); copied < movedAtOnce {
			continue
		}
		copied = 0
		if err := first(m.flush(), ctx.Err()); err != nil {
			return err
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	if err := m.reclaim(); err != nil {
		return err
	}
	if err := m.writeTail(); err != nil {
		return err
	}
	return m.flush()
}

// gapBefore tells whether there is room for a block before at.
func (a *allocator) gapBefore(at int64) bool {
	for len(a.gaps) > 0 {
		g := a.gaps[0]
		if g.to-g.from >= a.stride {
			return g.from < at
		}
		a.gaps = a.gaps[1:]
	}
	return false
}

// move copies a block into the first gap.
func (m *image) move(h held) error {
	start, err := m.space.take()
	if err != nil {
		return err
	}
	if err := m.copyBlock(h.start, start); err != nil {
		return err
	}
	m.space.given = append(m.space.given, h.start)
	index := int64(h.index)
	complete := m.full.has(index)
	if err := m.setEntry(index, start); err != nil {
		return err
	}
	if !complete {
		m.full.unset(index)
	}
	return nil
}

// copyBlock copies bitmap and data, as far as the file has them. Changes of
// the bitmap are in the file already.
func (m *image) copyBlock(from, to uint32) error {
	buffer := make([]byte, min(m.geo.stride(), 1<<20))
	source, target := int64(from)*sector, int64(to)*sector
	for at := int64(0); at < m.geo.stride(); at += int64(len(buffer)) {
		piece := buffer[:min(int64(len(buffer)), m.geo.stride()-at)]
		n, err := m.file.ReadAt(piece, source+at)
		if err != nil && err != io.EOF {
			return err
		}
		clear(piece[n:])
		if at > 0 && target+at >= m.fileEnd.Load() && allZero(piece) {
			continue // nothing is there, which is zero
		}
		if _, err := m.put(piece, target+at); err != nil {
			return err
		}
	}
	return nil
}

var _ disk.Compacter = (*image)(nil)
