package vdi

import (
	"github.com/panalvm/panal/disk"
)

// longestRun is how many entries of the map one Map looks at, at most.
const longestRun = 1 << 16

// ReadAt reads from the blocks, the parent or nowhere.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	return disk.ReadThrough(settled{m}, p, off, nil)
}

// Map describes the range at off. Blocks that follow each other in the file as
// on the disk are one extent.
func (m *image) Map(off, n int64) (disk.Extent, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	e, err := m.mapAt(off, n)
	if err != nil || !m.geo.fixed || e.State != disk.Data {
		return e, err
	}
	return m.holes(e)
}

// holes tells apart what a fixed image has and what is only a hole in its
// file.
func (m *image) holes(e disk.Extent) (disk.Extent, error) {
	h, ok := m.file.(disk.Holed)
	if !ok {
		return e, nil
	}
	start, end, err := h.NextData(e.HostOff)
	switch {
	case err != nil:
		return e, err
	case start > e.HostOff:
		return disk.Extent{Off: e.Off, Len: min(e.Len, start-e.HostOff), State: disk.Zeroed}, nil
	case end > e.HostOff:
		e.Len = min(e.Len, end-e.HostOff)
	}
	return e, nil
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
	index := off / m.geo.block
	first, err := m.place(index)
	if err != nil {
		return disk.Extent{}, err
	}
	within := off - index*m.geo.block
	e := disk.Extent{Off: off, Len: min(n, m.geo.block-within)}
	if first >= zeroed {
		e.State = disk.Unallocated
		if first == zeroed {
			e.State = disk.Zeroed
		}
		e.Len, err = m.runLength(index, first, e.Len, n, 0)
		return e, err
	}
	e.State, e.File, e.HostOff = disk.Data, m.file, m.geo.dataAt(first)+within
	step := uint32(1)
	if m.geo.extra == 0 {
		if e.Len, err = m.runLength(index, first, e.Len, n, step); err != nil {
			return e, err
		}
	}
	return m.withinFile(e, first)
}

// place is the entry of the block map for a block.
func (m *image) place(index int64) (uint32, error) {
	return m.blockMap.Uint32(m.geo.offMap + 4*index)
}

// runLength makes an extent longer as long as each next entry is the last one
// plus step.
func (m *image) runLength(index int64, entry uint32, length, n int64, step uint32) (int64, error) {
	for range longestRun {
		if length >= n {
			return n, nil
		}
		index++
		next, err := m.place(index)
		if err != nil {
			return length, err
		}
		if entry += step; next != entry || step > 0 && next >= zeroed {
			return length, nil
		}
		length += m.geo.block
	}
	return min(length, n), nil
}

// withinFile cuts an extent where the file ends. The last used place may lie
// beyond, in part or whole: programs that cut zeros off a file's end leave it
// so, and it reads as zeros. Any other place beyond the end is data that was lost.
func (m *image) withinFile(e disk.Extent, first uint32) (disk.Extent, error) {
	end := m.fileEnd.Load()
	if e.HostOff+e.Len <= end {
		return e, nil
	}
	if e.HostOff < end {
		e.Len = end - e.HostOff
		return e, nil
	}
	if start := m.geo.dataAt(first) - m.geo.extra; start >= end && int64(first)+1 != m.used.Load() {
		return e, disk.Corrupt(name, start, "the block at %d of the disk is said to lie here, and the file ends at %#x: it was cut off", e.Off/m.geo.block*m.geo.block, end)
	}
	e.Len = min(e.Len, m.geo.block-e.Off%m.geo.block)
	e.State, e.File, e.HostOff = disk.Zeroed, nil, 0
	return e, nil
}
