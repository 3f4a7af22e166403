package vhd

import (
	"bytes"
	"context"

	"github.com/panalvm/panal/disk"
)

// maxDirty is how much of table and bitmaps may wait to be written, in bytes.
const maxDirty = 8 << 20

// WriteAt writes in place where the image has a block, and makes the others.
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

// first looks for room, and makes sure of the footer's copy, for the footer is
// about to be written over. alloc is held.
func (m *image) first() error {
	if m.ready.Load() {
		return nil
	}
	if m.doubt != nil {
		return m.doubt
	}
	s, err := m.survey(context.Background())
	if err != nil {
		return err
	}
	if err := m.usable(s); err != nil {
		return err
	}
	m.space = m.allocatorFor(s)
	if !m.inFile {
		if err := m.writeCopy(); err != nil {
			return err
		}
		m.moved, m.inFile = true, true
	}
	m.ready.Store(true)
	return nil
}

// writeCopy makes the copy of the footer durable.
func (m *image) writeCopy() error {
	if _, err := m.put(m.foot, 0); err != nil {
		return err
	}
	return m.file.Sync()
}

// writeSome writes the beginning of p that needs one manner of writing. layout
// is held.
func (m *image) writeSome(p []byte, off int64) (int, error) {
	index, within := off/m.geo.block, off%m.geo.block
	start, err := m.entry(index)
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), m.geo.block-within)]
	switch {
	case start == free:
		m.alloc.Lock()
		defer m.alloc.Unlock()
		return m.writeNew(p, index, within)
	case m.tracked:
		return m.writeTracked(p, index, within, start)
	}
	if err := m.complete(index, start); err != nil {
		return 0, err
	}
	return m.put(p, m.geo.dataAt(start)+within)
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

// blockLength is how much of a block the disk has: the last one may be cut.
func (m *image) blockLength(index int64) int64 {
	return min(m.geo.block, m.geo.size-index*m.geo.block)
}

// writeNew writes to a block that is not there. p lies in it. alloc is held.
func (m *image) writeNew(p []byte, index, within int64) (int, error) {
	if start, err := m.entry(index); err != nil || start != free { // it was made meanwhile
		return 0, err
	}
	if !m.based && allZero(p) {
		return len(p), nil
	}
	if whole := within == 0 && int64(len(p)) == m.blockLength(index); m.tracked && !whole {
		return 0, m.newEmpty(index) // and then as if it had been there
	}
	start, err := m.space.take()
	if err != nil {
		return 0, err
	}
	if err := m.writeBlock(p, within, start); err != nil {
		m.space.back(start)
		return 0, err
	}
	return len(p), m.setEntry(index, start)
}

// writeBlock writes bitmap and data of a new block, around them zeros.
func (m *image) writeBlock(p []byte, within int64, start uint32) error {
	data := m.geo.dataAt(start)
	if int64(len(p)) < m.geo.block { // something may have been there before
		if err := m.fill(data, max(0, min(data+m.geo.block, m.fileEnd.Load())-data)); err != nil {
			return err
		}
	}
	bm := m.newBitmap(int64(start) * sector)
	if m.tracked {
		bm.set(0, int64(len(p))/sector)
	} else {
		bm.setAll()
	}
	if _, err := m.put(bm.bytes(m.geo.bitmap), bm.at); err != nil {
		return err
	}
	_, err := m.put(p, data+within)
	return err
}

// newEmpty makes a block of which no sector is there.
func (m *image) newEmpty(index int64) error {
	start, err := m.space.take()
	if err != nil {
		return err
	}
	if err := m.fill(int64(start)*sector, m.geo.bitmap); err != nil {
		m.space.back(start)
		return err
	}
	return m.setEntry(index, start)
}

// setEntry points to a block.
func (m *image) setEntry(index int64, start uint32) error {
	if err := m.table.SetUint32(m.geo.table+4*index, start); err != nil {
		return err
	}
	if start == free {
		m.full.unset(index)
	} else {
		m.moved = true
		if !m.tracked {
			m.full.set(index)
		}
	}
	m.bitmaps.forget(index)
	return m.flushIfMuch()
}

func (m *image) flushIfMuch() error {
	if int64(m.table.Dirty())+m.bitmaps.pending() > maxDirty {
		return m.flush()
	}
	return nil
}

// writeTracked writes to a block that has some of its sectors.
func (m *image) writeTracked(p []byte, index, within int64, start uint32) (int, error) {
	here, length, err := m.sectorsAlike(index, start, within, int64(len(p)))
	if err != nil {
		return 0, err
	}
	if here {
		return m.put(p[:length], m.geo.dataAt(start)+within)
	}
	m.alloc.Lock()
	defer m.alloc.Unlock()
	return m.writeAbsent(p, index, within)
}

// writeAbsent writes sectors that are not in their block yet: whole ones as
// they are, parts of one with what it held. alloc is held.
func (m *image) writeAbsent(p []byte, index, within int64) (int, error) {
	start, err := m.entry(index)
	if err != nil || start == free {
		return 0, err
	}
	here, length, err := m.sectorsAlike(index, start, within, int64(len(p)))
	if err != nil || here { // it came meanwhile
		return 0, err
	}
	pos := m.geo.dataAt(start) + within
	if within%sector != 0 || length < sector {
		return m.writePart(p[:min(length, sector-within%sector)], index, within, start)
	}
	length -= length % sector
	if _, err := m.put(p[:length], pos); err != nil {
		return 0, err
	}
	if err := m.bitmaps.set(index, start, within/sector, length/sector); err != nil {
		return 0, err
	}
	return int(length), m.flushIfMuch()
}

// writePart writes a part of one sector that is not in its block yet.
func (m *image) writePart(p []byte, index, within int64, start uint32) (int, error) {
	first := within - within%sector
	var buffer [sector]byte
	if err := disk.ReadParent(m.parent, buffer[:], index*m.geo.block+first); err != nil {
		return 0, err
	}
	copy(buffer[within-first:], p)
	if _, err := m.put(buffer[:], m.geo.dataAt(start)+first); err != nil {
		return 0, err
	}
	if err := m.bitmaps.set(index, start, first/sector, 1); err != nil {
		return 0, err
	}
	return len(p), m.flushIfMuch()
}

// fill writes zeros.
func (m *image) fill(pos, n int64) error {
	for n > 0 {
		k, err := m.put(zeros[:min(n, int64(len(zeros)))], pos)
		if err != nil {
			return err
		}
		pos, n = pos+int64(k), n-int64(k)
	}
	return nil
}

var zeros [64 << 10]byte

// allZero tells whether p is all zero.
func allZero(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), page)
		if !bytes.Equal(p[:n], zeros[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}
