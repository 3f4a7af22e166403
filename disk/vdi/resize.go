package vdi

import (
	"github.com/panalvm/panal/disk"
)

// Resize makes the disk longer or shorter. The header, one sector, is what
// switches from the old size to the new one.
func (m *image) Resize(size int64) error {
	if !m.write {
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
	m.layout.Lock()
	defer m.layout.Unlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	if size == m.geo.size {
		return nil
	}
	if err := m.first(); err != nil {
		return err
	}
	if size < m.geo.size {
		return m.shrink(size)
	}
	return m.grow(size)
}

// shrink gives up the blocks behind the new end, once the header has no
// more use for them.
func (m *image) shrink(size int64) error {
	if err := m.flush(); err != nil {
		return err
	}
	blocks := (size + m.geo.block - 1) / m.geo.block
	var cut []uint32
	for index := blocks; index < m.geo.blocks; index++ {
		place, err := m.place(index)
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
	m.places.durable = append(m.places.durable, cut...)
	if err := m.reclaim(); err != nil {
		return err
	}
	return m.file.Sync()
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
	if _, err := m.file.WriteAt(next.raw, 0); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	m.head, m.geo, m.stale = next, geometryOf(next), false
	m.used.Store(int64(next.used()))
	return nil
}

// grow prepares the map for the new blocks, then switches.
func (m *image) grow(size int64) error {
	blocks := (size + m.geo.block - 1) / m.geo.block
	if blocks >= zeroed || m.geo.offMap+4*blocks > 0xffffffff {
		return disk.Unsupported(name, "with blocks of %d bytes the disk can have at most %d bytes", m.geo.block, (0xffffffff-m.geo.offMap)/4*m.geo.block)
	}
	if err := m.clearTail(); err != nil {
		return err
	}
	if m.geo.offMap+4*blocks > m.geo.offData {
		return m.growMoving(size, blocks)
	}
	if err := m.flush(); err != nil {
		return err
	}
	used := m.places.next
	place := m.newEntries(used)
	for index := m.geo.blocks; index < blocks; index++ {
		if err := m.blockMap.SetUint32(m.geo.offMap+4*index, place(index)); err != nil {
			return err
		}
	}
	if m.geo.fixed {
		used += blocks - m.geo.blocks
	}
	return m.switchTo(used, m.geo.offData, func(h header) {
		h.setSize(size, blocks)
		h.setU32(h.at.used, uint32(used))
	})
}

// switchTo makes the map durable, the file long enough for its used places, and
// then commits.
func (m *image) switchTo(used, offData int64, change func(header)) error {
	if end := offData + used*m.geo.stride; end > m.fileEnd.Load() {
		if err := m.file.Truncate(end); err != nil {
			return err
		}
		m.fileEnd.Store(end)
	}
	if err := m.blockMap.Flush(); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	if err := m.commit(change); err != nil {
		return err
	}
	m.forget()
	return nil
}

// forget makes the next change look at the map anew.
func (m *image) forget() {
	m.blockMap.Drop()
	m.places = nil
	m.ready.Store(false)
}

// newEntries says what stands in the map for blocks that are added: in a
// fixed image, places behind those that are used; otherwise zeros, which must be
// said when a parent could be seen.
func (m *image) newEntries(used int64) func(index int64) uint32 {
	switch old := m.geo.blocks; {
	case m.geo.fixed:
		return func(index int64) uint32 { return uint32(used + index - old) }
	case m.based:
		return func(int64) uint32 { return zeroed }
	}
	return func(int64) uint32 { return unallocated }
}

// clearTail makes zero what the last block has behind the end of the disk.
func (m *image) clearTail() error {
	within := m.geo.size % m.geo.block
	if within == 0 {
		return nil
	}
	index := m.geo.size / m.geo.block
	place, err := m.place(index)
	if err != nil {
		return err
	}
	if place == unallocated && m.parent != nil && m.parent.Size() > m.geo.size {
		if err := m.newPart(index, 0, 0, nil); err != nil { // holds what the parent has before the end
			return err
		}
		if place, err = m.place(index); err != nil {
			return err
		}
	}
	if place >= zeroed {
		return nil
	}
	return m.punch(m.geo.dataAt(place)+within, m.geo.block-within)
}

// growMoving makes a longer map than there is room for before the data: in the
// space of the first places, whose blocks move to the end. The first place is
// counted from behind the new map then, so all numbers become smaller.
func (m *image) growMoving(size, blocks int64) error {
	places := (4*blocks + m.geo.stride - 1) / m.geo.stride
	offMap, offData := m.geo.offData, m.geo.offData+places*m.geo.stride
	if offData > 0xffffffff || offMap%4 != 0 {
		return disk.Unsupported(name, "the block map cannot be made longer in this image; convert it to a new one of %d bytes", size)
	}
	if err := m.vacate(places); err != nil {
		return err
	}
	used := m.places.next - places
	next := m.newEntries(used)
	h := header{raw: m.head.clone().raw, at: m.head.at}
	h.setU32(h.at.offMap, uint32(offMap))
	h.setU32(h.at.offData, uint32(offData))
	h.setSize(size, blocks)
	if m.geo.fixed {
		used += blocks - m.geo.blocks
	}
	h.setU32(h.at.used, uint32(used))
	var failed error
	err := writeMap(m.file, h, func(index int64) uint32 {
		if index >= m.geo.blocks {
			return next(index)
		}
		place, err := m.place(index)
		if err != nil {
			failed = err
		}
		if place < zeroed {
			place -= uint32(places)
		}
		return place
	})
	if err != nil || failed != nil {
		return errorsFirst(err, failed)
	}
	return m.switchTo(used, offData, func(now header) { copy(now.raw, h.raw) })
}

// vacate moves the blocks in the first places behind all others, durably.
func (m *image) vacate(places int64) error {
	m.places.next = max(m.places.next, places)
	m.places.free = nil // leaks until they are found again, and none is among the first
	for index := range m.geo.blocks {
		place, err := m.place(index)
		if err != nil {
			return err
		}
		if place >= zeroed || int64(place) >= places {
			continue
		}
		to, _, err := m.places.take(1)
		if err != nil {
			return err
		}
		if err := m.copyPlace(int64(place), to); err != nil {
			return err
		}
		if err := m.setAll(index, 1, uint32(to), 1); err != nil {
			return err
		}
	}
	return m.flush()
}

// copyPlace copies a place, extra bytes and all, as far as the file has it.
func (m *image) copyPlace(from, to int64) error {
	buffer := make([]byte, min(m.geo.stride, 1<<20))
	source, target := m.geo.placeEnd(from-1), m.geo.placeEnd(to-1)
	for at := int64(0); at < m.geo.stride; at += int64(len(buffer)) {
		n := min(int64(len(buffer)), m.geo.stride-at, m.fileEnd.Load()-source-at)
		if n <= 0 {
			return m.fillBelow(target+at, target+m.geo.stride)
		}
		if _, err := m.file.ReadAt(buffer[:n], source+at); err != nil {
			return err
		}
		if target+at >= m.fileEnd.Load() && allZero(buffer[:n]) {
			continue // nothing is there, which is zero
		}
		if _, err := m.put(buffer[:n], target+at); err != nil {
			return err
		}
	}
	return nil
}

// fillBelow writes zeros from pos to end, as far as the file has anything.
func (m *image) fillBelow(pos, end int64) error {
	if n := min(end, m.fileEnd.Load()) - pos; n > 0 {
		return m.fill(pos, n)
	}
	return nil
}

func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
