package vdi

import (
	"cmp"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// Resize makes the disk longer or shorter. The header, one sector, is what
// switches from the old size to the new one.
func (m *image) Resize(size int64) error {
	if !m.CanWrite() {
		return disk.ErrReadOnly
	}
	if size < 0 {
		return disk.Usage("a disk cannot have %d bytes", size)
	}
	if size != wholeSectors(size) {
		return disk.Unsupported(name, "the size must be a multiple of 512; the nearest is %d", wholeSectors(size))
	}
	if m.head.at.offData == 0 {
		return disk.Unsupported(name, "an image of version 0 of the format has its data right behind the map and cannot be resized; convert it to version 1.1")
	}
	if size == m.Size() {
		return nil
	}
	return m.AloneSettled(func() error {
		if err := m.touch(); err != nil {
			return err
		}
		if size < m.Shape.Size {
			return m.shrink(size)
		}
		return m.grow(size)
	})
}

// shrink gives up the blocks behind the new end, once the header has no
// more use for them.
func (m *image) shrink(size int64) error {
	blocks := (size + m.Shape.Block - 1) / m.Shape.Block
	var cut []uint32
	for index := blocks; index < m.Shape.Entries; index++ {
		place, err := m.Pointer(index)
		if err != nil {
			return err
		}
		if place < zeroed {
			cut = append(cut, place)
		}
	}
	if err := m.commit(func(h header) { h.setSize(size, blocks) }); err != nil {
		return err
	}
	for _, place := range cut {
		m.Space.Give(place)
	}
	m.Space.Settle()
	if err := m.Reclaim(); err != nil {
		return err
	}
	return m.File.Sync()
}

// setSize changes the size of the disk and the number of its blocks.
func (h header) setSize(size, blocks int64) {
	h.setDiskSize(size)
	h.setU32(h.at.blocks, uint32(blocks))
	if h.at.logical != 0 && h.geometry(h.at.logical) != nil {
		h.setGeometry(h.at.logical, geometryFor(size))
	}
}

// commit makes a changed header durable, and all that depends on it. When that
// fails nobody knows which header the file has: the next Sync writes the old one.
func (m *image) commit(change func(header)) error {
	next := m.head.clone()
	change(next)
	m.stale = true
	if _, err := m.File.WriteAt(next.raw, 0); err != nil {
		return err
	}
	if err := m.File.Sync(); err != nil {
		return err
	}
	m.head, m.Shape, m.stale = next, shapeOf(next), false
	m.used.Store(int64(next.used()))
	return nil
}

// grow prepares the map for the new blocks, then switches.
func (m *image) grow(size int64) error {
	blocks := (size + m.Shape.Block - 1) / m.Shape.Block
	if blocks >= zeroed || m.Shape.Table+4*blocks > 0xffffffff {
		return disk.Unsupported(name, "with blocks of %d bytes the disk can have at most %d bytes", m.Shape.Block, (0xffffffff-m.Shape.Table)/4*m.Shape.Block)
	}
	if err := m.clearTail(); err != nil {
		return err
	}
	if m.Shape.Table+4*blocks > m.Shape.Base {
		return m.growMoving(size, blocks)
	}
	if err := m.Flush(); err != nil {
		return err
	}
	used := m.placesBefore(m.Space.End())
	place := m.newEntries(used)
	for index := m.Shape.Entries; index < blocks; index++ {
		if err := m.Set(index, place(index)); err != nil {
			return err
		}
	}
	if m.fixed {
		used += blocks - m.Shape.Entries
	}
	return m.switchTo(used, m.Shape.Base, func(h header) {
		h.setSize(size, blocks)
		h.setU32(h.at.used, uint32(used))
	})
}

// switchTo makes the map durable, the file long enough for its used places, and
// then commits.
func (m *image) switchTo(used, offData int64, change func(header)) error {
	if err := m.File.Extend(offData + used*m.Shape.Unit); err != nil {
		return err
	}
	if err := m.Table.Flush(); err != nil {
		return err
	}
	if err := m.File.Sync(); err != nil {
		return err
	}
	if err := m.commit(change); err != nil {
		return err
	}
	m.Forget()
	return nil
}

// newEntries says what stands in the map for blocks that are added: in a
// fixed image, places behind those that are used; otherwise zeros, which must be
// said when a parent could be seen.
func (m *image) newEntries(used int64) func(index int64) uint32 {
	switch old := m.Shape.Entries; {
	case m.fixed:
		return func(index int64) uint32 { return uint32(used + index - old) }
	case m.based:
		return func(int64) uint32 { return zeroed }
	}
	return func(int64) uint32 { return unallocated }
}

// clearTail makes zero what the last block has behind the end of the disk.
func (m *image) clearTail() error {
	within := m.Shape.Size % m.Shape.Block
	if within == 0 {
		return nil
	}
	index := m.Shape.Size / m.Shape.Block
	place, err := m.Pointer(index)
	if err != nil {
		return err
	}
	if place == unallocated && m.Parent() != nil && m.Parent().Size() > m.Shape.Size {
		if err := m.newPart(index, 0, 0, nil); err != nil { // holds what the parent has before the end
			return err
		}
		if place, err = m.Pointer(index); err != nil {
			return err
		}
	}
	if place >= zeroed {
		return nil
	}
	return m.File.Clear(m.Shape.DataAt(place)+within, m.Shape.Block-within)
}

// growMoving makes a longer map than there is room for before the data: in the
// space of the first places, whose blocks move to the end. The first place is
// counted from behind the new map then, so all numbers become smaller.
func (m *image) growMoving(size, blocks int64) error {
	places := (4*blocks + m.Shape.Unit - 1) / m.Shape.Unit
	offMap, offData := m.Shape.Base, m.Shape.Base+places*m.Shape.Unit
	if offData > 0xffffffff || offMap%4 != 0 {
		return disk.Unsupported(name, "the block map cannot be made longer in this image; convert it to a new one of %d bytes", size)
	}
	if err := m.vacate(places); err != nil {
		return err
	}
	used := m.placesBefore(m.Space.End()) - places
	next := m.newEntries(used)
	h := header{raw: m.head.clone().raw, at: m.head.at}
	h.setU32(h.at.offMap, uint32(offMap))
	h.setU32(h.at.offData, uint32(offData))
	h.setSize(size, blocks)
	if m.fixed {
		used += blocks - m.Shape.Entries
	}
	h.setU32(h.at.used, uint32(used))
	var failed error
	err := writeMap(m.File.Raw(), h, func(index int64) uint32 {
		if index >= m.Shape.Entries {
			return next(index)
		}
		place, err := m.Pointer(index)
		if err != nil {
			failed = err
		}
		if place < zeroed {
			place -= uint32(places)
		}
		return place
	})
	if err = cmp.Or(err, failed); err != nil {
		return err
	}
	return m.switchTo(used, offData, func(now header) { copy(now.raw, h.raw) })
}

// vacate moves the blocks in the first places behind all others, durably.
func (m *image) vacate(places int64) error {
	// Gaps leak until they are found again; none is among the first places then.
	m.Space = blockmap.Behind(m.Shape, max(m.Space.End(), m.Shape.Base+places*m.Shape.Unit))
	for index := range m.Shape.Entries {
		place, err := m.Pointer(index)
		if err != nil {
			return err
		}
		if int64(place) >= places {
			continue
		}
		to, _, err := m.Take(1)
		if err != nil {
			return err
		}
		if err := m.File.Copy(m.Shape.At(to), m.Shape.At(place), m.Shape.Unit); err != nil {
			return err
		}
		if err := m.Point(index, to); err != nil {
			return err
		}
	}
	return m.Flush()
}
