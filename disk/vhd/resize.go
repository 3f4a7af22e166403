package vhd

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// Resize makes the disk longer or shorter. The footer is what switches from
// the old size to the new one; the table has room for both while it does.
func (m *image) Resize(size int64) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	if err := checkSize(size); err != nil {
		return err
	}
	return m.settle(func() error {
		switch {
		case size < m.geo.size:
			return m.shrink(size)
		case size > m.geo.size:
			return m.grow(size)
		}
		return nil
	})
}

// resizeTo commits the footer with another size.
func (m *image) resizeTo(size int64) error {
	if err := m.commit(func(f footer) { f.resize(size) }); err != nil {
		return err
	}
	m.geo = geometryOf(m.foot, m.head)
	return nil
}

// shrink gives up the blocks behind the new end, once the footer has no more
// use for them.
func (m *image) shrink(size int64) error {
	old := m.geo.blocks()
	if err := m.resizeTo(size); err != nil {
		return err
	}
	for index := m.geo.blocks(); index < old; index++ {
		start, err := m.entry(index)
		if err != nil {
			return err
		}
		if start == free {
			continue
		}
		if err := m.giveUp(index, start); err != nil {
			return err
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	if m.batmap == nil { // which lies where the table ends
		next := m.head.clone()
		next.setU32(atEntries, uint32(m.geo.blocks()))
		if err := m.writeHeader(next); err != nil {
			return err
		}
		m.geo = geometryOf(m.foot, m.head)
	}
	if err := m.reclaim(); err != nil {
		return err
	}
	return m.file.Sync()
}

// grow makes the table longer, makes zero what would come to light, and
// switches.
func (m *image) grow(size int64) error {
	blocks := (size + m.geo.block - 1) / m.geo.block
	if err := m.clearTail(); err != nil {
		return err
	}
	if err := m.lengthenTable(blocks); err != nil {
		return err
	}
	if m.parent != nil && m.parent.Size() > m.geo.size {
		old := m.geo.size
		m.geo.size = size // for the lengths of blocks
		err := m.eachOf(old, min(size, m.parent.Size())-old, m.storeZeros)
		m.geo.size = old
		if err != nil {
			return err
		}
	}
	if err := m.flush(); err != nil {
		return err
	}
	return m.resizeTo(size)
}

// clearTail makes zero what the last block has behind the end of the disk.
func (m *image) clearTail() error {
	within := m.geo.size % m.geo.block
	if within == 0 {
		return nil
	}
	start, err := m.entry(m.geo.size / m.geo.block)
	if err != nil || start == free {
		return err
	}
	return m.punch(m.geo.dataAt(start)+within, m.geo.block-within)
}

// lengthenTable gives the table more entries: where it is if it can grow, and
// else behind the last block.
func (m *image) lengthenTable(blocks int64) error {
	for index := m.geo.blocks(); index < min(blocks, m.geo.entries); index++ {
		if start, err := m.entry(index); err != nil || start == free {
			if err != nil {
				return err
			}
			continue
		}
		if err := m.table.SetUint32(m.geo.table+4*index, free); err != nil { // of a size that it once had
			return err
		}
	}
	if blocks <= m.geo.entries {
		return m.flush()
	}
	if m.batmap != nil {
		return disk.Unsupported(name, "XenServer's batmap has room for %d blocks; convert the image to a new one of the other size", m.geo.entries)
	}
	at := m.geo.table
	if m.geo.table+4*blocks > roundUp(m.geo.table+4*m.geo.entries, sector) {
		at = m.space.end
	}
	if err := m.copyTable(at, blocks); err != nil {
		return err
	}
	if at != m.geo.table {
		m.space.end = roundUp(at+4*blocks, sector)
		if err := m.writeTail(); err != nil {
			return err
		}
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	next := m.head.clone()
	next.setU64(atTable, uint64(at))
	next.setU32(atEntries, uint32(blocks))
	if err := m.writeHeader(next); err != nil {
		return err
	}
	m.table.Drop()
	size := m.geo.size
	m.geo = geometryOf(m.foot, m.head)
	m.geo.size = size
	return nil
}

// copyTable writes the table to at, with more entries.
func (m *image) copyTable(at, blocks int64) error {
	if err := m.flush(); err != nil {
		return err
	}
	const batch = 64 << 10
	p := make([]byte, 0, 4*min(batch, blocks))
	for index := int64(0); index < blocks; {
		from := index
		for p = p[:0]; index < min(blocks, from+batch); index++ {
			start := uint32(free)
			if index < m.geo.entries {
				var err error
				if start, err = m.entry(index); err != nil {
					return err
				}
			}
			p = binary.BigEndian.AppendUint32(p, start)
		}
		if _, err := m.put(p, at+4*from); err != nil {
			return err
		}
	}
	return m.fill(at+4*blocks, roundUp(at+4*blocks, sector)-at-4*blocks)
}
