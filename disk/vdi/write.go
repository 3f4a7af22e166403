package vdi

import (
	"context"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// Begin looks for free places.
func (m *image) Begin() error {
	if m.Space != nil {
		return nil
	}
	s, err := m.Survey(context.Background())
	if err != nil {
		return err
	}
	if err := m.Usable(s); err != nil {
		return err
	}
	m.Space = m.FindSpace(s, m.Shape.At(uint32(min(int64(m.head.used()), m.filePlaces()))))
	return nil
}

// touch changes the modification UUID when the image is about to hold something
// else, for the first time after opening it: by that children notice that their
// parent is no longer what it was. The space's lock is held.
func (m *image) touch() error {
	if m.touched.Load() {
		return nil
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	m.head.setUUID(m.head.at.modified, id)
	if err := m.writeHeader(); err != nil {
		return err
	}
	m.touched.Store(true)
	return nil
}

// filePlaces is how many places the file has, a part of one counted.
func (m *image) filePlaces() int64 { return m.placesBefore(m.File.End()) }

// placesBefore is how many places begin before an offset in the file.
func (m *image) placesBefore(end int64) int64 {
	return max(0, end-m.Shape.Base+m.Shape.Unit-1) / m.Shape.Unit
}

// WriteSome writes the beginning of p that lies in one row of places, or that
// needs new ones.
func (m *image) WriteSome(p []byte, off int64) (int, error) {
	if !m.touched.Load() {
		return m.Making(func() (int, error) { return 0, m.touch() })
	}
	index, within := off/m.Shape.Block, off%m.Shape.Block
	place, err := m.Pointer(index)
	if err != nil {
		return 0, err
	}
	if place >= zeroed {
		return m.Making(func() (int, error) { return m.writeNew(p, index, within) })
	}
	n := min(int64(len(p)), m.Shape.Block-within)
	if m.Shape.Before == 0 {
		if n, err = m.Run(index, place, n, int64(len(p)), 1); err != nil {
			return 0, err
		}
	}
	return m.File.WriteAt(p[:n], m.Shape.DataAt(place)+within)
}

// writeNew writes the beginning of p, where blocks have no place yet: whole
// blocks, as many as there are, at once.
func (m *image) writeNew(p []byte, index, within int64) (int, error) {
	place, err := m.Pointer(index)
	if err != nil || place < zeroed { // it was given a place meanwhile
		return 0, err
	}
	length := m.Shape.Length(index)
	if within > 0 || int64(len(p)) < length {
		n := min(int64(len(p)), length-within)
		return int(n), m.newPart(index, within, n, p[:n])
	}
	blocks, zero, err := m.wholeBlocks(p, index)
	if err != nil {
		return 0, err
	}
	if zero {
		return int(min(blocks*m.Shape.Block, int64(len(p)))), m.setAll(index, blocks, zeroed, 0)
	}
	return m.newBlocks(p, index, blocks)
}

// wholeBlocks counts the blocks from index on that p covers, that have no
// place, and that are all zero or all not.
func (m *image) wholeBlocks(p []byte, index int64) (count int64, zero bool, err error) {
	for length := m.Shape.Length(index); length > 0 && int64(len(p)) >= length; length = m.Shape.Length(index) {
		place, err := m.Pointer(index)
		if err != nil {
			return count, zero, err
		}
		z := blockmap.IsZero(p[:length])
		if place < zeroed || count > 0 && z != zero {
			break
		}
		zero = z
		p = p[length:]
		count, index = count+1, index+1
	}
	return count, zero, nil
}

// newBlocks gives places to blocks and writes them. It may do fewer.
func (m *image) newBlocks(p []byte, index, blocks int64) (int, error) {
	if m.Shape.Before > 0 {
		blocks = 1
	}
	place, got, err := m.Take(blocks)
	if err != nil {
		return 0, err
	}
	n, err := m.File.WriteAt(p[:min(got*m.Shape.Block, int64(len(p)))], m.Shape.DataAt(place))
	if err != nil {
		m.Space.Back(place, got)
		return 0, err
	}
	return n, m.setAll(index, got, place, 1)
}

// newPart gives a place to a block of which n bytes are written: p, or zeros
// if that is nil. The rest is what it was: the parent's, or zero.
func (m *image) newPart(index, within, n int64, p []byte) error {
	was, err := m.Pointer(index)
	if err != nil {
		return err
	}
	place, _, err := m.Take(1)
	if err != nil {
		return err
	}
	pos, length := m.Shape.DataAt(place), m.Shape.Length(index)
	if was == zeroed || m.Parent() == nil {
		err = m.surround(pos, within, length, p)
	} else {
		err = m.copyUp(pos, index*m.Shape.Block, within, n, length, p)
	}
	if err != nil {
		m.Space.Back(place, 1)
		return err
	}
	return m.setAll(index, 1, place, 1)
}

// surround writes a part of a block, with zeros on both sides.
func (m *image) surround(pos, within, length int64, p []byte) error {
	if err := m.File.Blank(pos, length); err != nil {
		return err
	}
	if p == nil {
		return m.File.Fill(pos, min(length, sector)) // so that the file has the place
	}
	_, err := m.File.WriteAt(p, pos+within)
	return err
}

// copyUp writes a part of a block, with what the parent holds on both sides.
func (m *image) copyUp(pos, off, within, n, length int64, p []byte) error {
	clean := pos >= m.File.End() // nothing was ever there, so it is zero
	buffer := make([]byte, min(length, 1<<20))
	for at := int64(0); at < length; at += int64(len(buffer)) {
		piece := buffer[:min(int64(len(buffer)), length-at)]
		if err := disk.ReadParent(m.Parent(), piece, off+at); err != nil {
			return err
		}
		overlay(piece, at, within, n, p)
		if clean && blockmap.IsZero(piece) && at+int64(len(piece)) < length {
			continue
		}
		if _, err := m.File.WriteAt(piece, pos+at); err != nil {
			return err
		}
	}
	return nil
}

// overlay puts into a piece of a block, which begins at at, what was written
// of the block: n bytes at within, p or zeros.
func overlay(piece []byte, at, within, n int64, p []byte) {
	from, to := max(at, within), min(at+int64(len(piece)), within+n)
	if from >= to {
		return
	}
	if p == nil {
		clear(piece[from-at : to-at])
		return
	}
	copy(piece[from-at:to-at], p[from-within:])
}

// setAll points blocks to places: the first to place, each next one to the
// next if step is 1.
func (m *image) setAll(index, count int64, place, step uint32) error {
	for range count {
		if err := m.Set(index, place); err != nil {
			return err
		}
		index++
		place += step
	}
	m.noteUsed()
	return m.Relieve()
}

// Point points a block to a place.
func (m *image) Point(index int64, place uint32) error { return m.setAll(index, 1, place, 0) }

// Lose makes a block zero.
func (m *image) Lose(index int64) error { return m.setAll(index, 1, zeroed, 0) }

// Needless tells whether a block holds only zeros.
func (m *image) Needless(h blockmap.Held) (bool, error) {
	return m.File.HoldsZeros(m.Shape.DataAt(h.Pointer), m.Shape.Length(h.Index))
}

// GiveUp makes a block of zeros one without a place.
func (m *image) GiveUp(h blockmap.Held) error {
	m.Space.Give(h.Pointer)
	if m.based {
		return m.setAll(h.Index, 1, zeroed, 0)
	}
	return m.setAll(h.Index, 1, unallocated, 0)
}
