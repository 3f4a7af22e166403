package vdi

// ZeroAt makes whole blocks zero in the map, and parts of blocks in the file.
func (m *image) ZeroAt(off, n int64) error { return m.eachBlock(off, n, m.zeroBlock) }

// DiscardAt gives up whole blocks, and punches holes into parts of them. What
// has no place is left to the parent, as it was.
func (m *image) DiscardAt(off, n int64) error { return m.eachBlock(off, n, m.discardBlock) }

// eachBlock does something with the blocks of a range that are not zero already.
func (m *image) eachBlock(off, n int64, do func(index, within, n int64, place uint32) error) error {
	return m.EachBlock(off, n, m.isZero, func(index, within, n int64, place uint32) error {
		if err := m.touch(); err != nil {
			return err
		}
		return do(index, within, n, place)
	})
}

// isZero tells whether a block reads as zeros by its place.
func (m *image) isZero(place uint32) bool {
	return place == zeroed || place == unallocated && !m.based
}

func (m *image) zeroBlock(index, within, n int64, place uint32) error {
	whole := within == 0 && n == m.Shape.Length(index)
	switch {
	case place == unallocated && whole:
		return m.setAll(index, 1, zeroed, 0)
	case place == unallocated:
		return m.newPart(index, within, n, nil)
	}
	return m.discardBlock(index, within, n, place)
}

func (m *image) discardBlock(index, within, n int64, place uint32) error {
	if place == unallocated {
		return nil
	}
	if within == 0 && n == m.Shape.Length(index) && !m.fixed {
		m.Space.Give(place)
		return m.setAll(index, 1, zeroed, 0)
	}
	return m.File.Clear(m.Shape.DataAt(place)+within, n)
}
