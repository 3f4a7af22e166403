package vdi

import (
	"bytes"
	"context"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// maxDirty is how much of the block map may wait to be written, in bytes.
const maxDirty = 8 << 20

// WriteAt writes in place where a block has one, and gives one to the others.
func (m *image) WriteAt(p []byte, off int64) (int, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	if err := m.prepare(off, int64(len(p))); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := m.writeSome(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// prepare checks a change of a range, and does what the first change needs.
func (m *image) prepare(off, n int64) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	if err := disk.InRange(off, n, m.geo.size); err != nil {
		return err
	}
	if m.ready.Load() {
		return nil
	}
	m.alloc.Lock()
	defer m.alloc.Unlock()
	return m.first()
}

// first looks for free places and changes the modification UUID, by which
// children notice that their parent is no longer what it was. alloc is held.
func (m *image) first() error {
	if m.places == nil {
		s, err := m.survey(context.Background())
		if err != nil {
			return err
		}
		if err := m.usable(s); err != nil {
			return err
		}
		m.places = newAllocator(s, min(int64(m.head.used()), m.filePlaces()))
	}
	if !m.touched {
		id, err := uuid.NewRandom()
		if err != nil {
			return err
		}
		m.head.setUUID(m.head.at.modified, id)
		if err := m.writeHeader(); err != nil {
			return err
		}
		m.touched = true
	}
	m.ready.Store(true)
	return nil
}

// filePlaces is how many places the file has, a part of one counted.
func (m *image) filePlaces() int64 {
	return max(0, m.fileEnd.Load()-m.geo.offData+m.geo.stride-1) / m.geo.stride
}

// writeSome writes the beginning of p that lies in one row of places, or that
// needs new ones. layout is held.
func (m *image) writeSome(p []byte, off int64) (int, error) {
	index, within := off/m.geo.block, off%m.geo.block
	place, err := m.place(index)
	if err != nil {
		return 0, err
	}
	if place >= zeroed {
		m.alloc.Lock()
		defer m.alloc.Unlock()
		return m.writeNew(p, off)
	}
	n := min(int64(len(p)), m.geo.block-within)
	if m.geo.extra == 0 {
		if n, err = m.runLength(index, place, n, int64(len(p)), 1); err != nil {
			return 0, err
		}
	}
	return m.put(p[:n], m.geo.dataAt(place)+within)
}

// put writes to the file and remembers how long that made it.
func (m *image) put(p []byte, pos int64) (int, error) {
	n, err := m.file.WriteAt(p, pos)
	end := pos + int64(n)
	if err != nil {
		if size, failed := m.file.Size(); failed == nil {
			end = size
		}
	}
	for old := m.fileEnd.Load(); end > old && !m.fileEnd.CompareAndSwap(old, end); old = m.fileEnd.Load() {
	}
	return n, err
}

// writeNew writes the beginning of p, where blocks have no place yet: whole
// blocks, as many as there are, at once. alloc is held.
func (m *image) writeNew(p []byte, off int64) (int, error) {
	index, within := off/m.geo.block, off%m.geo.block
	place, err := m.place(index)
	if err != nil || place < zeroed { // it was given a place meanwhile
		return 0, err
	}
	length := m.blockLength(index)
	if within > 0 || int64(len(p)) < length {
		n := min(int64(len(p)), length-within)
		return int(n), m.newPart(index, within, n, p[:n])
	}
	blocks, zero, err := m.wholeBlocks(p, index)
	if err != nil {
		return 0, err
	}
	if zero {
		return int(min(blocks*m.geo.block, int64(len(p)))), m.setAll(index, blocks, zeroed, 0)
	}
	return m.newBlocks(p, index, blocks)
}

// blockLength is how much of a block the disk has: the last one may be cut.
func (m *image) blockLength(index int64) int64 {
	return min(m.geo.block, m.geo.size-index*m.geo.block)
}

// wholeBlocks counts the blocks from index on that p covers, that have no
// place, and that are all zero or all not.
func (m *image) wholeBlocks(p []byte, index int64) (count int64, zero bool, err error) {
	for length := m.blockLength(index); length > 0 && int64(len(p)) >= length; length = m.blockLength(index) {
		place, err := m.place(index)
		if err != nil {
			return count, zero, err
		}
		z := allZero(p[:length])
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
	if m.geo.extra > 0 {
		blocks = 1
	}
	start, got, err := m.places.take(blocks)
	if err != nil {
		return 0, err
	}
	n, err := m.put(p[:min(got*m.geo.block, int64(len(p)))], m.geo.dataAt(uint32(start)))
	if err != nil {
		m.places.free = append([]run{{start, got}}, m.places.free...)
		return 0, err
	}
	return n, m.setAll(index, got, uint32(start), 1)
}

// newPart gives a place to a block of which n bytes are written: p, or zeros
// if that is nil. The rest is what it was: the parent's, or zero.
func (m *image) newPart(index, within, n int64, p []byte) error {
	was, err := m.place(index)
	if err != nil {
		return err
	}
	place, _, err := m.places.take(1)
	if err != nil {
		return err
	}
	pos, length := m.geo.dataAt(uint32(place)), m.blockLength(index)
	clean := pos >= m.fileEnd.Load() // nothing was ever there, so it is zero
	if was == zeroed || m.parent == nil {
		err = m.surround(pos, within, n, length, clean, p)
	} else {
		err = m.copyUp(pos, index*m.geo.block, within, n, length, clean, p)
	}
	if err != nil {
		m.places.free = append([]run{{place, 1}}, m.places.free...)
		return err
	}
	return m.setAll(index, 1, uint32(place), 1)
}

// surround writes a part of a block, with zeros on both sides.
func (m *image) surround(pos, within, n, length int64, clean bool, p []byte) error {
	if !clean {
		if err := m.fillBelow(pos, pos+length); err != nil {
			return err
		}
	}
	if p == nil {
		return m.fill(pos, min(length, sector)) // so that the file has the place
	}
	_, err := m.put(p, pos+within)
	return err
}

// copyUp writes a part of a block, with what the parent holds on both sides.
func (m *image) copyUp(pos, off, within, n, length int64, clean bool, p []byte) error {
	buffer := make([]byte, min(length, 1<<20))
	for at := int64(0); at < length; at += int64(len(buffer)) {
		piece := buffer[:min(int64(len(buffer)), length-at)]
		if err := disk.ReadParent(m.parent, piece, off+at); err != nil {
			return err
		}
		overlay(piece, at, within, n, p)
		if clean && allZero(piece) && at+int64(len(piece)) < length {
			continue
		}
		if _, err := m.put(piece, pos+at); err != nil {
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
	m.stale = true
	for range count {
		if err := m.blockMap.SetUint32(m.geo.offMap+4*index, place); err != nil {
			return err
		}
		index++
		place += step
	}
	m.noteUsed()
	if m.blockMap.Dirty() > maxDirty {
		return m.flush()
	}
	return nil
}

// noteUsed puts the number of used places into the header.
func (m *image) noteUsed() {
	m.head.setU32(m.head.at.used, uint32(m.places.next))
	m.used.Store(m.places.next)
}

// fill writes zeros.
func (m *image) fill(pos, n int64) error {
	for n > 0 {
		k, err := m.put(zeroes[:min(n, int64(len(zeroes)))], pos)
		if err != nil {
			return err
		}
		pos, n = pos+int64(k), n-int64(k)
	}
	return nil
}

// allZero tells whether p is all zero.
func allZero(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), 4096)
		if !bytes.Equal(p[:n], zeroes[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

var zeroes [64 << 10]byte
