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
	return m.AloneSettled(func() error {
		return m.commit(func(f footer) { f.setID(id) })
	})
}

// SetParent names another parent, by its UUID and path. The path is written
// behind the last block; the header, which is written at once, then points there.
func (m *image) SetParent(parent disk.Image, path, _ string) error {
	if parent == nil {
		return m.AloneSettled(m.setNoParent)
	}
	id, written, err := identityOf(parent)
	if err != nil {
		return err
	}
	return m.AloneSettled(func() error {
		next := m.head.clone()
		next.setParent(id, written)
		end, err := writePaths(m.File.WriteAt, next, m.Space.End(), path)
		if err != nil {
			return err
		}
		m.Space.Append(end - m.Space.End())
		if err := m.writeTail(); err != nil {
			return err
		}
		if err := m.File.Sync(); err != nil {
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
	if _, err := writePaths(m.File.WriteAt, next, 0, ""); err != nil {
		return err
	}
	return m.writeHeader(next)
}

// completeAll makes sectors that no bit is set for zero: in a dynamic image
// the bitmaps do not count.
func (m *image) completeAll() error {
	for index := range m.Shape.Blocks() {
		start, err := m.Pointer(index)
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
	return m.Flush()
}

func (m *image) completeBlock(index int64, start uint32) error {
	for within := int64(0); within < m.Shape.Length(index); {
		here, n, err := m.sectorsAlike(index, start, within, m.Shape.Length(index)-within)
		if err != nil {
			return err
		}
		if !here {
			if err := m.File.Clear(m.Shape.DataAt(start)+within, n); err != nil {
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
	if _, err := m.File.WriteAt(next.seal(), int64(m.foot.u64(atDataOffset))); err != nil {
		return err
	}
	if err := m.File.Sync(); err != nil {
		return err
	}
	m.head, m.torn = next, torn
	return nil
}
