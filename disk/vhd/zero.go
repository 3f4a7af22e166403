package vhd

import "github.com/panalvm/panal/disk/blockmap"

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
			return m.File.Clear(m.Shape.DataAt(start)+within, n)
		}
		return m.dropPart(index, within, n, start)
	})
}

// eachBlock does something with the blocks of a range that are not zero already.
func (m *image) eachBlock(off, n int64, do func(index, within, n int64, start uint32) error) error {
	return m.EachBlock(off, n, m.isZero, func(index, within, n int64, start uint32) error {
		if err := m.touch(); err != nil {
			return err
		}
		return do(index, within, n, start)
	})
}

// isZero tells whether a block reads as zeros by its table entry.
func (m *image) isZero(start uint32) bool { return start == free && !m.based }

// dropPart makes a part of a block zero in an image without parent.
func (m *image) dropPart(index, within, n int64, start uint32) error {
	if within == 0 && n == m.Shape.Length(index) {
		return m.GiveUp(blockmap.Held{Pointer: start, Index: index})
	}
	return m.File.Clear(m.Shape.DataAt(start)+within, n)
}

// GiveUp makes a block missing.
func (m *image) GiveUp(h blockmap.Held) error {
	if err := m.leaveBatmap(h.Index); err != nil {
		return err
	}
	m.Space.Give(h.Pointer)
	return m.Lose(h.Index)
}

// storeZeros makes a part of a block zero, whatever the parent holds there.
func (m *image) storeZeros(index, within, n int64, start uint32) error {
	if start == free {
		if m.Parent() != nil && index*m.Shape.Block+within >= m.Parent().Size() {
			return nil
		}
		if err := m.newEmpty(index); err != nil {
			return err
		}
		var err error
		if start, err = m.Pointer(index); err != nil {
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
		return m.File.Fill(m.Shape.DataAt(start)+within, n)
	}
	_, err = m.writePart(make([]byte, n), index, within, start)
	return err
}

// zeroSectors makes whole sectors zero.
func (m *image) zeroSectors(index, within, n int64, start uint32) error {
	if n == 0 {
		return nil
	}
	if err := m.File.Clear(m.Shape.DataAt(start)+within, n); err != nil {
		return err
	}
	if err := m.bitmaps.set(index, start, within/sector, n/sector); err != nil {
		return err
	}
	return m.Relieve()
}
