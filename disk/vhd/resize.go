package vhd

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// Resize makes the disk longer or shorter. The footer is what switches from
// the old size to the new one; the table has room for both while it does.
func (m *image) Resize(size int64) error {
	if !m.CanWrite() {
		return disk.ErrReadOnly
	}
	if err := checkSize(size); err != nil {
		return err
	}
	return m.AloneSettled(func() error {
		switch {
		case size < m.Shape.Size:
			return m.shrink(size)
		case size > m.Shape.Size:
			return m.grow(size)
		}
		return nil
	})
}

// resizeTo commits the footer with another size.
func (m *image) resizeTo(size int64) error {
	if err := m.commit(func(f footer) { f.resize(size); f.touch() }); err != nil {
		return err
	}
	m.Shape = shapeOf(m.foot, m.head)
	return nil
}

// shrink gives up the blocks behind the new end, once the footer has no more
// use for them.
func (m *image) shrink(size int64) error {
	old := m.Shape.Blocks()
	if err := m.resizeTo(size); err != nil {
		return err
	}
	for index := m.Shape.Blocks(); index < old; index++ {
		start, err := m.Pointer(index)
		if err != nil {
			return err
		}
		if start == free {
			continue
		}
		if err := m.GiveUp(blockmap.Held{Pointer: start, Index: index}); err != nil {
			return err
		}
	}
	if err := m.Flush(); err != nil {
		return err
	}
	if m.batmap == nil { // which lies where the table ends
		next := m.head.clone()
		next.setU32(atEntries, uint32(m.Shape.Blocks()))
		if err := m.writeHeader(next); err != nil {
			return err
		}
		m.Shape = shapeOf(m.foot, m.head)
	}
	if err := m.Reclaim(); err != nil {
		return err
	}
	return m.File.Sync()
}

// grow makes the table longer, makes zero what would come to light, and
// switches.
func (m *image) grow(size int64) error {
	blocks := (size + m.Shape.Block - 1) / m.Shape.Block
	if err := m.clearTail(); err != nil {
		return err
	}
	if err := m.lengthenTable(blocks); err != nil {
		return err
	}
	if m.Parent() != nil && m.Parent().Size() > m.Shape.Size {
		old := m.Shape.Size
		m.Shape.Size = size // for the lengths of blocks
		err := m.Each(old, min(size, m.Parent().Size())-old, m.isZero, m.storeZeros)
		m.Shape.Size = old
		if err != nil {
			return err
		}
	}
	if err := m.Flush(); err != nil {
		return err
	}
	return m.resizeTo(size)
}

// clearTail makes zero what the last block has behind the end of the disk.
func (m *image) clearTail() error {
	within := m.Shape.Size % m.Shape.Block
	if within == 0 {
		return nil
	}
	start, err := m.Pointer(m.Shape.Size / m.Shape.Block)
	if err != nil || start == free {
		return err
	}
	return m.File.Clear(m.Shape.DataAt(start)+within, m.Shape.Block-within)
}

// lengthenTable gives the table more entries: where it is if it can grow, and
// else behind the last block.
func (m *image) lengthenTable(blocks int64) error {
	for index := m.Shape.Blocks(); index < min(blocks, m.Shape.Entries); index++ {
		if start, err := m.Pointer(index); err != nil || start == free {
			if err != nil {
				return err
			}
			continue
		}
		if err := m.Set(index, free); err != nil { // of a size that it once had
			return err
		}
	}
	if blocks <= m.Shape.Entries {
		return m.Flush()
	}
	if m.batmap != nil {
		return disk.Unsupported(name, "XenServer's batmap has room for %d blocks; convert the image to a new one of the other size", m.Shape.Entries)
	}
	at := m.Shape.Table
	if at+4*blocks > roundUp(at+4*m.Shape.Entries, sector) {
		at = m.Space.End()
	}
	if err := m.copyTable(at, blocks); err != nil {
		return err
	}
	if at != m.Shape.Table {
		m.Space.Append(4 * blocks)
		if err := m.writeTail(); err != nil {
			return err
		}
	}
	if err := m.File.Sync(); err != nil {
		return err
	}
	next := m.head.clone()
	next.setU64(atTable, uint64(at))
	next.setU32(atEntries, uint32(blocks))
	if err := m.writeHeader(next); err != nil {
		return err
	}
	m.Table.Drop()
	size := m.Shape.Size
	m.Shape = shapeOf(m.foot, m.head)
	m.Shape.Size = size
	return nil
}

// copyTable writes the table to at, with more entries.
func (m *image) copyTable(at, blocks int64) error {
	if err := m.Flush(); err != nil {
		return err
	}
	const batch = 64 << 10
	p := make([]byte, 0, 4*min(batch, blocks))
	for index := int64(0); index < blocks; {
		from := index
		for p = p[:0]; index < min(blocks, from+batch); index++ {
			start := uint32(free)
			if index < m.Shape.Entries {
				var err error
				if start, err = m.Pointer(index); err != nil {
					return err
				}
			}
			p = binary.BigEndian.AppendUint32(p, start)
		}
		if _, err := m.File.WriteAt(p, at+4*from); err != nil {
			return err
		}
	}
	return m.File.Fill(at+4*blocks, roundUp(at+4*blocks, sector)-at-4*blocks)
}
