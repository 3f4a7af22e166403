package parallels

import (
	"io"

	"github.com/panalvm/panal/disk"
)

// Resize changes the size of the disk. The files of a bundle are not resized.
func (x *expanding) Resize(size int64) error {
	if !x.write {
		return disk.ErrReadOnly
	}
	if err := sizeFits(size, x.h.cluster(), x.h.isNew); err != nil {
		return err
	}
	x.alloc.Lock()
	defer x.alloc.Unlock()
	if err := x.begin(); err != nil {
		return err
	}
	if err := x.syncLocked(); err != nil {
		return err
	}
	switch old := x.Size(); {
	case size > old:
		return x.grow(old, size)
	case size < old:
		return x.shrink(size)
	}
	return nil
}

// grow makes the BAT longer, and room for it where clusters lie. The header
// is the last to change.
func (x *expanding) grow(old, size int64) error {
	h := x.h
	h.setSize(size)
	h.entries = max(h.entries, x.h.entries)
	if err := x.makeRoom(&h); err != nil {
		return err
	}
	if err := x.zeroTail(old, min(size, roundUp(old, x.h.cluster()))); err != nil {
		return err
	}
	// Entries behind the disk's old end may hold anything.
	from := min(ceilDiv(old, x.h.cluster()), int64(x.h.entries))
	if err := x.clearTable(from, int64(h.entries)); err != nil {
		return err
	}
	return x.setHeader(h)
}

// setHeader makes a header with another size the image's.
func (x *expanding) setHeader(h header) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.putHeader(h); err != nil {
		return err
	}
	x.size.Store(h.size())
	return nil
}

// zeroTail clears what the last cluster holds behind the disk's end.
func (x *expanding) zeroTail(from, to int64) error {
	if from >= to {
		return nil
	}
	e, err := x.mapLocked(from, to-from)
	if err != nil || e.State != disk.Data {
		return err
	}
	return disk.PunchHole(x.file, e.HostOff, e.Len)
}

// makeRoom moves clusters away from where h's BAT will lie, and sets h's data
// offset.
func (x *expanding) makeRoom(h *header) error {
	if h.tableEnd() <= x.h.data() {
		h.dataOff = uint32(x.h.data() / sector)
		return nil
	}
	// Whole clusters, so that those that stay are as aligned as they were.
	data := x.h.base() + roundUp(max(0, h.tableEnd()-x.h.base()), x.h.cluster())
	if data/sector > 1<<32-1 {
		return disk.Unsupported(name, "the block table of such a disk would be too long")
	}
	for _, off := range x.ext.places() {
		if off < data {
			return disk.Unsupported(name, "the format extension lies where the block table would grow to; convert the image to a larger one")
		}
	}
	if x.space.end < data {
		x.space.end = data
	}
	x.space.keepBehind(data)
	if err := x.moveFrom(data); err != nil {
		return err
	}
	h.dataOff = uint32(data / sector)
	return x.syncLocked()
}

// keepBehind forgets free places before off.
func (s *space) keepBehind(off int64) {
	kept := s.free[:0]
	for _, r := range s.free {
		if cut := min(max(0, off-r.off), r.n); cut < r.n {
			kept = append(kept, run{r.off + cut, r.n - cut})
		}
	}
	s.free = kept
}

// moveFrom copies all clusters that begin before off to places behind it.
func (x *expanding) moveFrom(off int64) error {
	for i := range int64(x.h.entries) {
		at, err := x.place(i)
		if err != nil {
			return err
		}
		if at == 0 || at >= off {
			continue
		}
		to, err := x.space.extend(x.h.cluster())
		if err != nil {
			return err
		}
		if err := x.move(i, at, to); err != nil {
			return err
		}
	}
	return x.syncLocked()
}

// move copies a cluster, and points to the copy in memory.
func (x *expanding) move(index, from, to int64) error {
	if err := x.copyAndPoint(index, from, to); err != nil {
		return err
	}
	return x.limitDirty()
}

func (x *expanding) copyAndPoint(index, from, to int64) error {
	x.mu.Lock() // nobody may overwrite the old place meanwhile
	defer x.mu.Unlock()
	if err := copyWithin(x.file, from, to, x.h.cluster()); err != nil {
		return err
	}
	return x.setPlace(index, to)
}

// copyWithin copies bytes of a file; what lies behind its end is zero. Zeros are
// not written where the file ended: a few bytes can name many large clusters
// of which they hold nothing.
func copyWithin(file disk.File, from, to, n int64) error {
	end, err := file.Size()
	if err != nil {
		return err
	}
	const unit = 64 << 10
	buffer := make([]byte, min(n, unit))
	for done := int64(0); done < n; done += unit {
		p := buffer[:min(n-done, unit)]
		k, err := file.ReadAt(p, from+done)
		if err != nil && err != io.EOF {
			return err
		}
		clear(p[k:])
		if to+done >= end && isZero(p) {
			continue
		}
		if _, err := file.WriteAt(p, to+done); err != nil {
			return err
		}
	}
	if size, err := file.Size(); err != nil || size >= to+n {
		return err
	}
	return file.Truncate(to + n)
}

// shrink changes the header first; what nothing points to then is given up.
func (x *expanding) shrink(size int64) error {
	h := x.h
	old := x.clustersHeld()
	h.setSize(size)
	h.dataOff = uint32(x.h.data() / sector)
	from := int64(h.entries)
	places := []run{}
	for i := from; i < old; i++ {
		at, err := x.place(i)
		if err != nil {
			return err
		}
		if at != 0 {
			places = append(places, run{at, h.cluster()})
		}
	}
	if err := x.setHeader(h); err != nil {
		return err
	}
	for i := from; i < old; i++ { // in memory: growing again clears them in the file
		if err := x.bat.SetUint32(entryAt(i), 0); err != nil {
			return err
		}
	}
	x.space.pending = append(x.space.pending, places...)
	return nil
}

// clustersHeld is how many clusters the BAT has entries for, of the disk.
func (x *expanding) clustersHeld() int64 {
	return min(x.h.clusters(), int64(x.h.entries))
}
