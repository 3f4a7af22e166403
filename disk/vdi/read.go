package vdi

import (
	"github.com/panalvm/panal/disk"
)

// Map describes the range at off. Blocks that follow each other in the file as
// on the disk are one extent.
func (m *image) Map(off, n int64) (disk.Extent, error) {
	e, err := m.Image.Map(off, n)
	if err != nil || !m.fixed || e.State != disk.Data {
		return e, err
	}
	return m.holes(e)
}

// holes tells apart what a fixed image has and what is only a hole in its
// file.
func (m *image) holes(e disk.Extent) (disk.Extent, error) {
	h, ok := e.File.(disk.Holed)
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

// MapAt describes the range at off, without holes.
func (m *image) MapAt(off, n int64) (disk.Extent, error) {
	index, within := off/m.Shape.Block, off%m.Shape.Block
	place, err := m.Pointer(index)
	if err != nil {
		return disk.Extent{}, err
	}
	e := disk.Extent{Off: off, Len: min(n, m.Shape.Block-within)}
	if place >= zeroed {
		e.State = disk.Unallocated
		if place == zeroed {
			e.State = disk.Zeroed
		}
		e.Len, err = m.Run(index, place, e.Len, n, 0)
		return e, err
	}
	e.State, e.File, e.HostOff = disk.Data, m.File.Raw(), m.Shape.DataAt(place)+within
	if m.Shape.Before == 0 {
		if e.Len, err = m.Run(index, place, e.Len, n, 1); err != nil {
			return e, err
		}
	}
	return m.withinFile(e, place)
}

// withinFile cuts an extent where the file ends. The last used place may lie
// beyond, in part or whole: programs that cut zeros off a file's end leave it
// so, and it reads as zeros. Any other place beyond the end is data that was lost.
func (m *image) withinFile(e disk.Extent, place uint32) (disk.Extent, error) {
	end := m.File.End()
	if e.HostOff+e.Len <= end {
		return e, nil
	}
	if e.HostOff < end {
		e.Len = end - e.HostOff
		return e, nil
	}
	if m.Lost(place) {
		return e, disk.Corrupt(name, m.Shape.At(place), "the block at %d of the disk is said to lie here, and the file ends at %#x: it was cut off", e.Off/m.Shape.Block*m.Shape.Block, end)
	}
	e.Len = min(e.Len, m.Shape.Block-e.Off%m.Shape.Block)
	e.State, e.File, e.HostOff = disk.Zeroed, nil, 0
	return e, nil
}

// Lost tells whether a place lies behind the end of the file though it is not
// the last one that is used.
func (m *image) Lost(place uint32) bool {
	return m.Shape.At(place) >= m.File.End() && int64(place)+1 != m.used.Load()
}
