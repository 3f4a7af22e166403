package vhdx

import (
	"encoding/binary"
	"slices"

	"github.com/panalvm/panal/disk"
)

// SetUUID gives the disk another identity, the one that a guest sees in SCSI's
// page 83, [MS-VHDX] 2.6.2.3.
func (m *image) SetUUID(uuid string) error {
	id, err := identity(uuid)
	if err != nil {
		return err
	}
	return m.alone(false, func() error {
		if _, ok := m.metadata.find(itemPage83); !ok {
			return disk.Unsupported(name, "the image has no place for an identity")
		}
		if err := m.flushHeld(); err != nil {
			return err
		}
		if err := m.patch(patched{m.metadata.place(itemPage83), id[:]}); err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.metadata.page83 = id
		return nil
	})
}

// SetParent changes which parent the image names.
func (m *image) SetParent(parent disk.Image, called, _ string) error {
	if parent == nil {
		return m.alone(false, m.orphan)
	}
	list, err := newLocator(parent, "", called)
	if err != nil {
		return err
	}
	if m.metadata.leave {
		return disk.Unsupported(name, "a fixed image cannot have a parent; convert it")
	}
	return m.alone(false, func() error { return m.adopt(list) })
}

// adopt names a parent.
func (m *image) adopt(list locator) error {
	if err := m.flushHeld(); err != nil {
		return err
	}
	if !m.metadata.hasParent {
		if err := m.fitTable(m.Size(), true); err != nil {
			return err
		}
		if err := m.forgetBitmaps(); err != nil {
			return err
		}
	}
	next := m.metadata
	next.hasParent, next.locator = true, list
	return m.relocate(next, content{itemLocator, flagRequired, list.encode()})
}

// orphan makes the image one without a parent. What was the parent's of the
// blocks that the image holds in part becomes zero.
func (m *image) orphan() error {
	if !m.metadata.hasParent {
		return nil
	}
	for b := range m.blocks(m.Size()) {
		if err := m.complete(b); err != nil {
			return err
		}
	}
	if err := m.flushHeld(); err != nil {
		return err
	}
	next := m.metadata
	next.hasParent, next.locator = false, nil
	if err := m.relocate(next, content{id: itemLocator}); err != nil {
		return err
	}
	return m.forgetBitmaps()
}

// complete makes a block that the image holds in part its own.
func (m *image) complete(b int64) error {
	m.mu.Lock()
	e, err := m.payload(b)
	m.mu.Unlock()
	if err != nil || e.state() != partiallyPresent {
		return err
	}
	for off := b << m.block; off < m.blockEnd(b); {
		m.mu.RLock()
		x, err := m.piece(off, m.blockEnd(b)-off)
		m.mu.RUnlock()
		if err == nil && x.State == disk.Unallocated {
			err = disk.PunchHole(m.file, e.host()+off-b<<m.block, x.Len)
		}
		if err != nil {
			return err
		}
		off = x.End()
	}
	m.mu.Lock()
	err = m.setPayload(b, makeEntry(fullyPresent, e.host()))
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.relieve()
}

// forgetBitmaps clears the entries of all sector bitmaps, of which none
// counts.
func (m *image) forgetBitmaps() error {
	size := m.Size()
	for c := range m.chunks(size) {
		if index := m.bitmapIndex(c); index < m.table.length/entryLength {
			if err := m.forgo(index, bitmapLength); err != nil {
				return err
			}
		}
	}
	return m.flushHeld()
}

// relocate changes the file parameters and the parent locator at once; one
// without data is taken away. It then takes over next.
func (m *image) relocate(next metadata, c content) error {
	next.items = slices.DeleteFunc(slices.Clone(m.metadata.items), func(it item) bool {
		return it.flags&flagUser == 0 && it.id.String() == itemLocator
	})
	list := []patched{{m.metadata.place(itemParameters), next.parameters()}}
	if c.data != nil {
		off := int64(metadataTableLength)
		for _, it := range next.items {
			off = max(off, roundUp(it.offset+it.length, 8))
		}
		if off+int64(len(c.data)) > m.metadata.length || len(next.items) >= maxItems {
			return disk.Unsupported(name, "the metadata region has no room for a parent locator")
		}
		next.items = append(next.items, item{wellKnown(c.id), off, int64(len(c.data)), c.flags})
		list = append(list, patched{m.metadata.off + off, c.data})
	}
	list = append(list, patched{m.metadata.off, itemTable(next.items, len(m.metadata.items))})
	if err := m.patch(list...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.metadata = next
	return nil
}

// itemTable is a metadata table, and zeros where old entries stood.
func itemTable(items []item, old int) []byte {
	p := make([]byte, 32+32*max(len(items), old))
	copy(p, "metadata")
	binary.LittleEndian.PutUint16(p[10:], uint16(len(items)))
	for i, it := range items {
		e := p[32+32*i:]
		copy(e, it.id[:])
		binary.LittleEndian.PutUint32(e[16:], uint32(it.offset))
		binary.LittleEndian.PutUint32(e[20:], uint32(it.length))
		binary.LittleEndian.PutUint32(e[24:], it.flags)
	}
	return p
}
