package vhd

import (
	"github.com/panalvm/panal/disk"
)

// ZeroAt gives up whole blocks where there is no parent, and stores zeros where
// there is one, for a VHD has no other way to say them.
func (m *image) ZeroAt(off, n int64) error {
	return m.eachBlock(off, n, func(index, within, n int64, start uint32) error {
		if m.based {
			return m.storeZeros(index, within, n, start)
		}
		return m.dropPart(index, within, n, start)
	})
}

// DiscardAt gives up whole blocks where there is no parent, and punches holes
// into what else the image has.
func (m *image) DiscardAt(off, n int64) error {
	return m.eachBlock(off, n, func(index, within, n int64, start uint32) error {
		switch {
		case start == free:
			return nil
		case m.based:
			return m.punch(m.geo.dataAt(start)+within, n)
		}
		return m.dropPart(index, within, n, start)
	})
}

// eachBlock does something with each block of a range, with both locks held.
// Rows of blocks that are missing and zero are passed over.
func (m *image) eachBlock(off, n int64, do func(index, within, n int64, start uint32) error) error {
	m.layout.RLock()
	defer m.layout.RUnlock()
	if err := m.prepare(off, n); err != nil {
		return err
	}
	m.alloc.Lock()
	defer m.alloc.Unlock()
	return m.eachOf(off, n, do)
}

func (m *image) eachOf(off, n int64, do func(index, within, n int64, start uint32) error) error {
	for end := off + n; off < end; {
		index, within := off/m.geo.block, off%m.geo.block
		start, err := m.entry(index)
		if err != nil {
			return err
		}
		length := min(end-off, m.geo.block-within)
		if start == free && !m.based {
			if length, err = m.missing(index, length, end-off); err != nil {
				return err
			}
		} else if err := do(index, within, length, start); err != nil {
			return err
		}
		off += length
	}
	return nil
}

// dropPart makes a part of a block zero in an image without parent.
func (m *image) dropPart(index, within, n int64, start uint32) error {
	if within == 0 && n == m.blockLength(index) {
		return m.giveUp(index, start)
	}
	return m.punch(m.geo.dataAt(start)+within, n)
}

// giveUp makes a block missing.
func (m *image) giveUp(index int64, start uint32) error {
	if err := m.leaveBatmap(index); err != nil {
		return err
	}
	m.space.given = append(m.space.given, start)
	return m.setEntry(index, free)
}

// storeZeros makes a part of a block zero, whatever the parent holds there.
func (m *image) storeZeros(index, within, n int64, start uint32) error {
	if start == free {
		if m.parent != nil && index*m.geo.block+within >= m.parent.Size() {
			return nil
		}
		if err := m.newEmpty(index); err != nil {
			return err
		}
		var err error
		if start, err = m.entry(index); err != nil {
			return err
		}
	}
	first, last := roundUp(within, sector), (within+n)/sector*sector
	if first > last { // within one sector
		return m.zeroWithin(index, within, n, start)
	}
	if err := m.zeroWithin(index, within, first-within, start); err != nil {
		return err
	}
	if err := m.zeroSectors(index, first, last-first, start); err != nil {
		return err
	}
	return m.zeroWithin(index, last, within+n-last, start)
}

// zeroWithin makes a part of one sector zero.
func (m *image) zeroWithin(index, within, n int64, start uint32) error {
	if n == 0 {
		return nil
	}
	here, _, err := m.sectorsAlike(index, start, within, n)
	if err != nil {
		return err
	}
	if here {
		return m.fill(m.geo.dataAt(start)+within, n)
	}
	_, err = m.writePart(zeros[:n], index, within, start)
	return err
}

// zeroSectors makes whole sectors zero.
func (m *image) zeroSectors(index, within, n int64, start uint32) error {
	if n == 0 {
		return nil
	}
	if err := m.punch(m.geo.dataAt(start)+within, n); err != nil {
		return err
	}
	if err := m.bitmaps.set(index, start, within/sector, n/sector); err != nil {
		return err
	}
	return m.flushIfMuch()
}

// punch makes a range of the file zero, as far as the file goes. Where it
// covers only a part of a page it is written, for the order of writes and holes
// within one sector is nobody's promise.
func (m *image) punch(pos, n int64) error {
	end := min(pos+n, m.fileEnd.Load())
	from, to := roundUp(pos, page), end/page*page
	if from >= to {
		return m.fill(pos, max(0, end-pos))
	}
	if err := m.fill(pos, from-pos); err != nil {
		return err
	}
	if err := disk.PunchHole(m.file, from, to-from); err != nil {
		return err
	}
	return m.fill(to, end-to)
}
