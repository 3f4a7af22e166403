package vdi

import (
	"github.com/panalvm/panal/disk"
)

// ZeroAt makes whole blocks zero in the map, and parts of blocks in the file.
func (m *image) ZeroAt(off, n int64) error { return m.eachBlock(off, n, m.zeroBlock) }

// DiscardAt gives up whole blocks, and punches holes into parts of them. What
// has no place is left to the parent, as it was.
func (m *image) DiscardAt(off, n int64) error { return m.eachBlock(off, n, m.discardBlock) }

// eachBlock does something with each block of a range that is not zero
// already, with both locks held.
func (m *image) eachBlock(off, n int64, do func(index, within, n int64, place uint32) error) error {
	m.layout.RLock()
	defer m.layout.RUnlock()
	if err := m.prepare(off, n); err != nil {
		return err
	}
	m.alloc.Lock()
	defer m.alloc.Unlock()
	for end := off + n; off < end; {
		index, within := off/m.geo.block, off%m.geo.block
		place, err := m.place(index)
		if err != nil {
			return err
		}
		length := min(end-off, m.geo.block-within)
		if place == zeroed || place == unallocated && !m.based {
			if length, err = m.runLength(index, place, length, end-off, 0); err != nil {
				return err
			}
		} else if err := do(index, within, length, place); err != nil {
			return err
		}
		off += length
	}
	return nil
}

func (m *image) zeroBlock(index, within, n int64, place uint32) error {
	whole := within == 0 && n == m.blockLength(index)
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
	if within == 0 && n == m.blockLength(index) && !m.geo.fixed {
		m.places.given = append(m.places.given, place)
		return m.setAll(index, 1, zeroed, 0)
	}
	return m.punch(m.geo.dataAt(place)+within, n)
}

// hostBlock is the unit in which files have holes.
const hostBlock = 4096

// punch makes a range of the file zero, as far as the file goes. Where it
// covers only a part of a unit it is written, for the order of writes and holes
// within one sector is nobody's promise.
func (m *image) punch(pos, n int64) error {
	end := min(pos+n, m.fileEnd.Load())
	from, to := (pos+hostBlock-1)&^(hostBlock-1), end&^(hostBlock-1)
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
