package vhd

import (
	"github.com/panalvm/panal/disk"
)

// MapAt describes the range at off: a row of missing blocks, or sectors of one
// block.
func (m *image) MapAt(off, n int64) (disk.Extent, error) {
	index, within := off/m.Shape.Block, off%m.Shape.Block
	start, err := m.Pointer(index)
	if err != nil {
		return disk.Extent{}, err
	}
	e := disk.Extent{Off: off, Len: min(n, m.Shape.Block-within), State: disk.Unallocated}
	if start == free {
		e.Len, err = m.Run(index, free, e.Len, n, 0)
		return e, err
	}
	if m.Lost(start) {
		return e, disk.Corrupt(name, int64(start)*sector, "the block at %d of the disk is said to lie here, and the file ends at %#x: it was cut off", index*m.Shape.Block, m.File.End())
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
	e.State, e.File, e.HostOff = disk.Data, m.File.Raw(), m.Shape.DataAt(start)+within
	return m.withinFile(e), nil
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
	end := m.File.End()
	switch {
	case e.HostOff+e.Len <= end:
	case e.HostOff < end:
		e.Len = end - e.HostOff
	default:
		e.State, e.File, e.HostOff = disk.Zeroed, nil, 0
	}
	return e
}

// Lost tells whether a block begins behind the end of the file.
func (m *image) Lost(start uint32) bool { return m.Shape.At(start) >= m.File.End() }
