package vhd

import (
	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// SetUUID gives the image another identity. Images that have it for a parent
// do not accept it then.
func (m *image) SetUUID(text string) error {
	id, err := parseUUID(text)
	if err != nil {
		return err
	}
	return m.settle(func() error {
		return m.commit(func(f footer) { f.setID(id) })
	})
}

// settle does something with all locks held, when all else is durable.
func (m *image) settle(do func() error) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	if err := m.first(); err != nil {
		return err
	}
	if err := m.flush(); err != nil {
		return err
	}
	return do()
}

// SetParent names another parent, by its UUID and path. The path is written
// behind the last block; the header, which is written at once, then points there.
func (m *image) SetParent(parent disk.Image, path, _ string) error {
	if parent == nil {
		return m.settle(m.setNoParent)
	}
	id, written, err := identityOf(parent)
	if err != nil {
		return err
	}
	return m.settle(func() error {
		next := m.head.clone()
		next.setParent(id, written)
		end, err := writePaths(m.put, next, m.space.end, path)
		if err != nil {
			return err
		}
		m.space.end = end
		if err := m.writeTail(); err != nil {
			return err
		}
		if err := m.file.Sync(); err != nil {
			return err
		}
		if err := m.writeHeader(next); err != nil {
			return err
		}
		if m.foot.kind() == kindDiff {
			return nil
		}
		return m.commit(func(f footer) { f.setU32(atKind, kindDiff) })
	})
}

// setNoParent makes the image a dynamic one: first of the footer's kind, so
// that nobody looks for a parent that the header does not name.
func (m *image) setNoParent() error {
	if err := m.completeAll(); err != nil {
		return err
	}
	if err := m.commit(func(f footer) { f.setU32(atKind, kindDynamic) }); err != nil {
		return err
	}
	next := m.head.clone()
	next.setParent(uuid.Nil, 0)
	if _, err := writePaths(m.put, next, 0, ""); err != nil {
		return err
	}
	return m.writeHeader(next)
}

// completeAll makes sectors that no bit is set for zero: in a dynamic image
// the bitmaps do not count.
func (m *image) completeAll() error {
	for index := range m.geo.blocks() {
		start, err := m.entry(index)
		if err != nil {
			return err
		}
		if start == free {
			continue
		}
		if err := m.completeBlock(index, start); err != nil {
			return err
		}
	}
	return m.flush()
}

func (m *image) completeBlock(index int64, start uint32) error {
	for within := int64(0); within < m.blockLength(index); {
		here, n, err := m.sectorsAlike(index, start, within, m.blockLength(index)-within)
		if err != nil {
			return err
		}
		if !here {
			if err := m.punch(m.geo.dataAt(start)+within, n); err != nil {
				return err
			}
		}
		within += n
	}
	return nil
}

// writeHeader makes a changed header durable. When that fails nobody knows which
// header the file has: the next Sync writes the old one.
func (m *image) writeHeader(next header) error {
	torn := m.torn
	m.torn = true
	if _, err := m.put(next.seal(), int64(m.foot.u64(atDataOffset))); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	m.head, m.torn = next, torn
	return nil
}
