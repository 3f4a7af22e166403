package vhd

import (
	"context"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// Begin looks for room, and makes sure of the footer's copy, for the footer is
// about to be written over.
func (m *image) Begin() error {
	if m.doubt != nil {
		return m.doubt
	}
	if m.Space == nil {
		s, err := m.Survey(context.Background())
		if err != nil {
			return err
		}
		if err := m.Usable(s); err != nil {
			return err
		}
		m.Space = m.FindSpace(s, 0)
	}
	if !m.inFile {
		if err := m.writeCopy(); err != nil {
			return err
		}
		m.moved, m.inFile = true, true
	}
	return nil
}

// writeCopy makes the copy of the footer durable.
func (m *image) writeCopy() error {
	if _, err := m.File.WriteAt(m.foot, 0); err != nil {
		return err
	}
	return m.File.Sync()
}

// WriteSome writes the beginning of p that needs one manner of writing.
func (m *image) WriteSome(p []byte, off int64) (int, error) {
	if !m.touched.Load() {
		return m.Making(func() (int, error) { return 0, m.touch() })
	}
	index, within := off/m.Shape.Block, off%m.Shape.Block
	start, err := m.Pointer(index)
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), m.Shape.Block-within)]
	switch {
	case start == free:
		return m.Making(func() (int, error) { return m.writeNew(p, index, within) })
	case m.tracked:
		return m.writeTracked(p, index, within, start)
	}
	if err := m.complete(index, start); err != nil {
		return 0, err
	}
	return m.File.WriteAt(p, m.Shape.DataAt(start)+within)
}

// writeNew writes to a block that is not there. p lies in it.
func (m *image) writeNew(p []byte, index, within int64) (int, error) {
	if start, err := m.Pointer(index); err != nil || start != free { // it was made meanwhile
		return 0, err
	}
	if !m.based && blockmap.IsZero(p) {
		return len(p), nil
	}
	if whole := within == 0 && int64(len(p)) == m.Shape.Length(index); m.tracked && !whole {
		return 0, m.newEmpty(index) // and then as if it had been there
	}
	start, _, err := m.Take(1)
	if err != nil {
		return 0, err
	}
	if err := m.writeBlock(p, within, start); err != nil {
		m.Space.Back(start, 1)
		return 0, err
	}
	return len(p), m.setEntry(index, start)
}

// writeBlock writes bitmap and data of a new block, around them zeros.
func (m *image) writeBlock(p []byte, within int64, start uint32) error {
	data := m.Shape.DataAt(start)
	if int64(len(p)) < m.Shape.Block { // something may have been there before
		if err := m.File.Blank(data, m.Shape.Block); err != nil {
			return err
		}
	}
	bm := m.newBitmap(int64(start) * sector)
	if m.tracked {
		bm.set(0, int64(len(p))/sector)
	} else {
		bm.setAll()
	}
	if _, err := m.File.WriteAt(bm.bytes(m.Shape.Before), bm.at); err != nil {
		return err
	}
	_, err := m.File.WriteAt(p, data+within)
	return err
}

// newEmpty makes a block of which no sector is there.
func (m *image) newEmpty(index int64) error {
	start, _, err := m.Take(1)
	if err != nil {
		return err
	}
	if err := m.File.Fill(int64(start)*sector, m.Shape.Before); err != nil {
		m.Space.Back(start, 1)
		return err
	}
	return m.setEntry(index, start)
}

// setEntry points to a block whose bitmap is what it should be.
func (m *image) setEntry(index int64, start uint32) error {
	if !m.tracked {
		m.full.set(index)
	}
	return m.Point(index, start)
}

// Point points to a block.
func (m *image) Point(index int64, start uint32) error {
	m.moved = true
	if err := m.Set(index, start); err != nil {
		return err
	}
	m.bitmaps.forget(index)
	return m.Relieve()
}

// Lose makes a block missing.
func (m *image) Lose(index int64) error {
	if err := m.Set(index, free); err != nil {
		return err
	}
	m.full.unset(index)
	m.bitmaps.forget(index)
	return m.Relieve()
}

// Needless tells whether a block holds only zeros, or with a parent, none of its
// sectors.
func (m *image) Needless(h blockmap.Held) (bool, error) {
	if h.Index >= m.Shape.Blocks() {
		return true, nil
	}
	if m.tracked {
		bm, err := m.bitmaps.load(h.Index, h.Pointer)
		if err != nil || bm.empty() || m.based {
			return err == nil && bm.empty(), err
		}
	}
	return m.File.HoldsZeros(m.Shape.DataAt(h.Pointer), m.Shape.Length(h.Index))
}

// writeTracked writes to a block that has some of its sectors.
func (m *image) writeTracked(p []byte, index, within int64, start uint32) (int, error) {
	here, length, err := m.sectorsAlike(index, start, within, int64(len(p)))
	if err != nil {
		return 0, err
	}
	if here {
		return m.File.WriteAt(p[:length], m.Shape.DataAt(start)+within)
	}
	return m.Making(func() (int, error) { return m.writeAbsent(p, index, within) })
}

// writeAbsent writes sectors that are not in their block yet: whole ones as
// they are, parts of one with what it held.
func (m *image) writeAbsent(p []byte, index, within int64) (int, error) {
	start, err := m.Pointer(index)
	if err != nil || start == free {
		return 0, err
	}
	here, length, err := m.sectorsAlike(index, start, within, int64(len(p)))
	if err != nil || here { // it came meanwhile
		return 0, err
	}
	pos := m.Shape.DataAt(start) + within
	if within%sector != 0 || length < sector {
		return m.writePart(p[:min(length, sector-within%sector)], index, within, start)
	}
	length -= length % sector
	if _, err := m.File.WriteAt(p[:length], pos); err != nil {
		return 0, err
	}
	if err := m.bitmaps.set(index, start, within/sector, length/sector); err != nil {
		return 0, err
	}
	return int(length), m.Relieve()
}

// writePart writes a part of one sector that is not in its block yet.
func (m *image) writePart(p []byte, index, within int64, start uint32) (int, error) {
	first := within - within%sector
	var buffer [sector]byte
	if err := disk.ReadParent(m.Parent(), buffer[:], index*m.Shape.Block+first); err != nil {
		return 0, err
	}
	copy(buffer[within-first:], p)
	if _, err := m.File.WriteAt(buffer[:], m.Shape.DataAt(start)+first); err != nil {
		return 0, err
	}
	if err := m.bitmaps.set(index, start, first/sector, 1); err != nil {
		return 0, err
	}
	return len(p), m.Relieve()
}
