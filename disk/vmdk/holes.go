package vmdk

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// Limits of the search for places in holes.
const (
	// Tables are read for it when at least one byte in so many of a file lies in
	// holes: reading them takes less than a thousandth of what is gained.
	worthShare = 512
	// mostPlaces is how many places are noted at once; the search is done again
	// when they are taken.
	mostPlaces = 1 << 16
	// mostUsage is how many grains a file may have room for, for a bit each.
	mostUsage = 1 << 28
)

// findHoles looks for places that were given up when the image was open
// before: holes of the file that no table leads to. That is asked of the tables as
// they are on the store for certain, so the file is synced first: a place is never
// used again while a durable entry leads to it. w.alloc is held.
func (w *writer) findHoles() error {
	w.searched = true
	file, ok := w.s.part.file.(disk.Holed)
	if !ok || w.shared || w.dir.rgdErr != nil || w.s.end.Load()/w.s.grain > mostUsage || !w.worthwhile(file) {
		return nil
	}
	w.s.part.touch()
	if err := w.syncLocked(); err != nil {
		return err
	}
	used := newUsage(w.s.grain, w.s.end.Load())
	if !w.markAll(used, file) {
		return nil
	}
	for _, at := range w.waiting {
		used.take(at, w.s.grain)
	}
	w.eachHole(file, func(from, to int64) bool {
		for at := roundUp(from, w.s.grain); at+w.s.grain <= to && len(w.free) < mostPlaces; at += w.s.grain {
			if !used.has(at) {
				w.free = append(w.free, at)
			}
		}
		return len(w.free) < mostPlaces
	})
	w.searched = len(w.free) < mostPlaces
	return nil
}

// eachHole goes over the holes behind the first grain's place until it is told
// that it is enough.
func (w *writer) eachHole(file disk.Holed, do func(from, to int64) bool) {
	end := w.s.end.Load()
	for from := int64(w.s.header.overhead) * sector; from < end; {
		data, next, err := file.NextData(from)
		if err != nil || data > from && !do(from, min(data, end)) || next <= data {
			return
		}
		from = next
	}
}

// worthwhile tells whether there are holes enough to look for what is free.
func (w *writer) worthwhile(file disk.Holed) bool {
	sum, want := int64(0), max(w.s.grain, w.s.end.Load()/worthShare)
	w.eachHole(file, func(from, to int64) bool {
		sum += to - from
		return sum < want
	})
	return sum >= want
}

// markAll notes what both copies of the tables lead to, and where they lie. It
// is false when something is damaged: then nobody knows what is free.
func (w *writer) markAll(used *usage, file disk.Holed) bool {
	h := w.s.header
	used.take(0, int64(h.overhead)*sector)
	if h.descOffset < maxCapacity && h.descSize < maxCapacity {
		used.take(int64(h.descOffset)*sector, int64(h.descSize)*sector)
	}
	used.take(w.dir.gdAt, 4*int64(len(w.dir.gd)))
	used.take(int64(h.rgd)*sector, 4*int64(len(w.dir.rgd)))
	return w.markTables(used, file, w.dir.gd) && w.markTables(used, file, w.dir.rgd)
}

// markTables notes one copy of the tables, and what they lead to. Those in holes
// lead to nothing.
func (w *writer) markTables(used *usage, file disk.Holed, gd []uint32) bool {
	buffer := make([]byte, 4*w.dir.entries)
	hole := gap{}
	for _, table := range gd {
		if table == 0 || w.dir.zeroed && table == zeroedEntry {
			continue
		}
		if !w.inFile(table) {
			return false
		}
		at, size := int64(table)*sector, int64(len(buffer))
		used.take(at, size)
		if at < hole.from || at+size > hole.to {
			data, _, err := file.NextData(at)
			if err != nil {
				return false
			}
			hole = gap{at, data}
		}
		if at+size <= hole.to {
			continue
		}
		if _, err := w.s.part.file.ReadAt(buffer, at); err != nil || !w.markTable(used, buffer) {
			return false
		}
	}
	return true
}

// markTable notes what the entries of a table lead to.
func (w *writer) markTable(used *usage, table []byte) bool {
	end := w.s.end.Load()
	for ; len(table) > 0; table = table[4:] {
		e := binary.LittleEndian.Uint32(table)
		if e == 0 || w.dir.zeroed && e == zeroedEntry {
			continue
		}
		at := int64(e) * sector
		if at >= end {
			return false
		}
		used.take(at, w.s.grain)
	}
	return true
}

// usage has a bit for each grain that a file has room for.
type usage struct {
	unit int64
	bits []uint64
}

func newUsage(unit, end int64) *usage {
	return &usage{unit, make([]uint64, end/unit/64+1)}
}

// take notes that a range is used.
func (u *usage) take(off, n int64) {
	for i := off / u.unit; i*u.unit < off+n && i/64 < int64(len(u.bits)); i++ {
		u.bits[i/64] |= 1 << (i % 64)
	}
}

// has tells whether the grain at off is used.
func (u *usage) has(off int64) bool {
	i := off / u.unit
	return i/64 >= int64(len(u.bits)) || u.bits[i/64]&(1<<(i%64)) != 0
}
