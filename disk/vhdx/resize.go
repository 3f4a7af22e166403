package vhdx

import (
	"encoding/binary"
	"slices"

	"github.com/panalvm/panal/disk"
)

// Resize changes the size of the disk. Of a smaller disk the size is changed
// first and the blocks are given back then; of a larger one what is added is
// made zero first. So a power cut leaves it of the one size or the other.
func (m *image) Resize(size int64) error {
	if err := expressible(size, m.sectorSize()); err != nil {
		return err
	}
	return m.alone(true, func() error {
		if err := m.flushHeld(); err != nil {
			return err
		}
		switch old := m.Size(); {
		case size > old:
			return m.grow(old, size)
		case size < old:
			return m.shrink(size)
		}
		return nil
	})
}

// grow makes room in the table and makes what is added zero.
func (m *image) grow(old, size int64) error {
	if err := m.fitTable(size, m.metadata.hasParent); err != nil {
		return err
	}
	if err := m.clearNew(old, size); err != nil {
		return err
	}
	m.bytes.Store(size)
	err := m.added(old, size)
	if err == nil {
		err = m.flushHeld()
	}
	if err == nil {
		err = m.putSize(size)
	}
	if err != nil {
		m.bytes.Store(old)
	}
	return err
}

// clearNew clears the entries that the larger disk needs and the smaller did
// not: something may stand there when shrinking was cut off by the power.
func (m *image) clearNew(old, size int64) error {
	for b := m.blocks(old); b < m.blocks(size); b++ {
		if err := m.clearEntry(m.payloadIndex(b)); err != nil {
			return err
		}
	}
	for c := m.chunks(old); c < m.chunks(size) && m.metadata.hasParent; c++ {
		if err := m.clearEntry(m.bitmapIndex(c)); err != nil {
			return err
		}
	}
	return nil
}

// clearEntry clears an entry that is not zero, and flushes when there are
// many.
func (m *image) clearEntry(i int64) error {
	m.mu.Lock()
	err := m.clearEntries(i, i+1)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.relieve()
}

// added makes [old, size) zero: the rest of the last block, and what a longer
// parent holds. A fixed image gets blocks for it.
func (m *image) added(old, size int64) error {
	end := min(roundUp(old, m.blockSize()), size)
	if m.metadata.hasParent {
		end = size
		if m.parent != nil {
			end = min(size, max(end, m.parent.Size()))
		}
	}
	for off := old; off < end; {
		b := off >> m.block
		next := min(m.blockEnd(b), end)
		var err error
		if off == b<<m.block && next == m.blockEnd(b) {
			err = m.zeroWhole(b)
		} else {
			err = m.zeroPart(off, next-off)
		}
		if err != nil {
			return err
		}
		off = next
		if err := m.relieve(); err != nil {
			return err
		}
	}
	if m.metadata.leave {
		return m.fillUp(roundUp(old, m.blockSize()), size)
	}
	return nil
}

// relieve flushes when much was changed.
func (m *image) relieve() error {
	if m.pages.full() {
		return m.flushHeld()
	}
	return nil
}

// fillUp allocates all blocks of a range.
func (m *image) fillUp(off, end int64) error {
	for off < end {
		r, err := m.room(off, min(end-off, 4096*m.blockSize()))
		if err == nil {
			err = m.relieve()
		}
		if err != nil {
			return err
		}
		off += r.n
	}
	return nil
}

// clearEntries clears those of the table that are not zero. m.mu must be
// held.
func (m *image) clearEntries(from, to int64) error {
	for i := from; i < to; i++ {
		e, err := m.pages.entryAt(m.table.off + i*entryLength)
		if err == nil && e != 0 {
			err = m.pages.setEntry(m.table.off+i*entryLength, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shrink gives back what lies behind the new end.
func (m *image) shrink(size int64) error {
	old := m.Size()
	if err := m.putSize(size); err != nil {
		return err
	}
	m.bytes.Store(size)
	for b := m.blocks(size); b < m.blocks(old); b++ {
		if err := m.forgo(m.payloadIndex(b), m.blockSize()); err != nil {
			return err
		}
	}
	if m.metadata.hasParent {
		for c := m.chunks(size); c < m.chunks(old); c++ {
			if err := m.forgo(m.bitmapIndex(c), bitmapLength); err != nil {
				return err
			}
		}
	}
	if err := m.flushHeld(); err != nil {
		return err
	}
	return m.shorten()
}

// forgo clears an entry and gives back what it points to.
func (m *image) forgo(index, length int64) error {
	m.mu.Lock()
	at := m.table.off + index*entryLength
	e, err := m.pages.entryAt(at)
	if err == nil && e.present() && m.placeable(span{e.host(), mib}, index) == nil {
		m.release(span{e.host(), length})
		m.pages.forget(span{e.host(), length})
	}
	if err == nil && e != 0 {
		err = m.pages.setEntry(at, 0)
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.relieve()
}

// putSize writes the disk's size into the metadata.
func (m *image) putSize(size int64) error {
	at := m.metadata.place(itemSize)
	if err := m.patch(piece64(at, uint64(size))); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.metadata.size = size
	return nil
}

// patched is a piece of the file that is to be changed.
type patched struct {
	off  int64
	data []byte
}

func piece64(off int64, v uint64) patched {
	return patched{off, binary.LittleEndian.AppendUint64(nil, v)}
}

// patch changes pieces of the file through the log, all or none. What is in
// m.pages must not be among them. When it fails nobody knows whether the file has the
// change: what was there is put back before anything else is done.
func (m *image) patch(list ...patched) error {
	if err := m.undo(); err != nil {
		return err
	}
	sectors, before := map[int64][]byte{}, map[int64][]byte{}
	for _, p := range list {
		for n := p.off / logSector; n*logSector < p.off+int64(len(p.data)); n++ {
			if sectors[n] == nil {
				s, err := disk.ReadFull(m.file, n*logSector, logSector, name, "sector")
				if err != nil {
					return err
				}
				sectors[n], before[n] = s, slices.Clone(s)
			}
			from := max(n*logSector, p.off)
			copy(sectors[n][from-n*logSector:], p.data[from-p.off:])
		}
	}
	all, was := make([]sector, 0, len(sectors)), make([]sector, 0, len(sectors))
	for n, data := range sectors {
		all = append(all, sector{n * logSector, data})
		was = append(was, sector{n * logSector, before[n]})
	}
	if len(all) > m.journal.capacity() {
		return disk.Unsupported(name, "the log is too small for a change of %d bytes", int64(len(all))*logSector)
	}
	slices.SortFunc(all, func(x, y sector) int { return int((x.off - y.off) / logSector) })
	m.undone = was
	if err := m.throughLog(all); err != nil {
		return err
	}
	m.undone = nil
	return nil
}

// throughLog makes sectors durable where they belong.
func (m *image) throughLog(list []sector) error {
	size, err := m.file.Size()
	if err != nil {
		return err
	}
	if err := m.logged(list, size); err != nil {
		return err
	}
	return m.disown()
}

// undo puts back what a patch was to change that failed.
func (m *image) undo() error {
	if m.undone == nil {
		return nil
	}
	if err := m.throughLog(m.undone); err != nil {
		return err
	}
	m.undone = nil
	return nil
}

// fitTable moves the table to the end of the file when it is too short for a
// disk. The pages must be flushed.
func (m *image) fitTable(size int64, hasParent bool) error {
	need := roundUp(m.entries(size, hasParent)*entryLength, mib)
	if need <= m.table.length {
		return nil
	}
	m.mu.Lock()
	old := m.table
	where := span{m.end, need}
	m.end += need
	m.mu.Unlock()
	if err := m.file.Truncate(where.end()); err != nil {
		return err
	}
	if err := m.copyBlock(old.off, where.off, old.length); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	return m.moveTable(old, where)
}

// moveTable points the region tables to where the table is now.
func (m *image) moveTable(old, where span) error {
	list := slices.Clone(m.regions.list)
	for i := range list {
		if list[i].id.String() == regionBAT {
			list[i].span = where
		}
	}
	if err := m.rewriteRegions(list); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.regions.list, m.table = list, where
	m.reserve()
	m.pages.forget(old)
	m.pages.forget(where)
	m.release(old)
	return nil
}

// rewriteRegions writes both region tables.
func (m *image) rewriteRegions(list []region) error {
	p := encodeRegions(list)
	if err := m.patch(patched{regionPlaces[0], p}, patched{regionPlaces[1], p}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.regions.faults = [2]error{}
	return nil
}
