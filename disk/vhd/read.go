package vhd

import (
	"github.com/panalvm/panal/disk"
)

// longestRun is how many entries of the table one Map looks at, at most.
const longestRun = 1 << 16

// ReadAt reads from the blocks, the parent or nowhere.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	return disk.ReadThrough(settled{m}, p, off, nil)
}

// Map describes the range at off: a row of missing blocks, or sectors of one
// block.
func (m *image) Map(off, n int64) (disk.Extent, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	return m.mapAt(off, n)
}

// settled is an image whose layout lock is held already.
type settled struct{ *image }

// Size is the length of the disk.
func (s settled) Size() int64 { return s.geo.size }

// Map describes the range at off.
func (s settled) Map(off, n int64) (disk.Extent, error) { return s.mapAt(off, n) }

func (m *image) mapAt(off, n int64) (disk.Extent, error) {
	if err := disk.InRange(off, n, m.geo.size); err != nil {
		return disk.Extent{}, err
	}
	index, within := off/m.geo.block, off%m.geo.block
	start, err := m.entry(index)
	if err != nil {
		return disk.Extent{}, err
	}
	e := disk.Extent{Off: off, Len: min(n, m.geo.block-within), State: disk.Unallocated}
	if start == free {
		e.Len, err = m.missing(index, e.Len, n)
		return e, err
	}
	if int64(start)*sector >= m.fileEnd.Load() {
		return e, disk.Corrupt(name, int64(start)*sector, "the block at %d of the disk is said to lie here, and the file ends at %#x: it was cut off", index*m.geo.block, m.fileEnd.Load())
	}
	if m.tracked {
		here, length, err := m.sectorsAlike(index, start, within, e.Len)
		if err != nil {
			return e, err
		}
		if e.Len = length; !here {
			return e, nil
		}
	}
	e.State, e.File, e.HostOff = disk.Data, m.file, m.geo.dataAt(start)+within
	return m.withinFile(e), nil
}

// entry is what the table has for a block.
func (m *image) entry(index int64) (uint32, error) {
	return m.table.Uint32(m.geo.table + 4*index)
}

// missing makes a range longer as long as the next blocks are missing too.
func (m *image) missing(index, length, n int64) (int64, error) {
	for range longestRun {
		if length >= n {
			return n, nil
		}
		index++
		start, err := m.entry(index)
		if err != nil || start != free {
			return length, err
		}
		length += m.geo.block
	}
	return min(length, n), nil
}

// sectorsAlike tells whether the byte at within of a block is in the block,
// and how many from there on, at most n, are alike.
func (m *image) sectorsAlike(index int64, start uint32, within, n int64) (here bool, length int64, err error) {
	first := within / sector
	count := (within+n+sector-1)/sector - first
	here, alike, err := m.bitmaps.run(index, start, first, count)
	return here, min(n, (first+alike)*sector-within), err
}

// withinFile cuts an extent where the file ends. The rest of a block that the
// file has begun is zero.
func (m *image) withinFile(e disk.Extent) disk.Extent {
	end := m.fileEnd.Load()
	switch {
	case e.HostOff+e.Len <= end:
	case e.HostOff < end:
		e.Len = end - e.HostOff
	default:
		e.State, e.File, e.HostOff = disk.Zeroed, nil, 0
	}
	return e
}
