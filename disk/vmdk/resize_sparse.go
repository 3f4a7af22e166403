package vmdk

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/panalvm/panal/disk"
)

// grow makes the extent longer. What it may still hold behind its end, from
// when it was longer, becomes zero first. It is durable when grow returns.
func (w *writer) grow(size int64) error {
	if err := w.mark(); err != nil {
		return err
	}
	if err := w.forget(w.s.size); err != nil {
		return err
	}
	h := w.s.header
	h.capacity = max(h.capacity, uint64(size/sector))
	if h != w.s.header || w.unsure {
		adopt := func() {}
		if h.tables() > int64(len(w.dir.gd)) {
			var err error
			if adopt, err = w.extendDirectories(&h); err != nil {
				return err
			}
		}
		if err := w.putHeader(h); err != nil {
			return err
		}
		adopt()
	}
	w.s.size, w.s.covered = size, size
	return nil
}

// shrink gives up what lies behind the end of the extent, which was made
// shorter.
func (w *writer) shrink() error {
	if err := w.mark(); err != nil {
		return err
	}
	if err := w.forget(w.s.size); err != nil {
		return err
	}
	h := w.s.header
	h.capacity = min(h.capacity, uint64(w.s.size/sector))
	if err := w.putHeader(h); err != nil {
		return err
	}
	w.dir.gd = w.dir.gd[:min(int64(len(w.dir.gd)), h.tables())]
	w.dir.rgd = w.dir.rgd[:min(int64(len(w.dir.rgd)), h.tables())]
	return nil
}

// forget gives up what the tables hold from the given size on, durably, and
// zeros the rest of the grain that the disk ends in.
func (w *writer) forget(size int64) error {
	grain := w.s.grain
	if tail := roundUp(size, grain) - size; tail > 0 {
		p, err := w.dir.at(size / grain)
		if err != nil {
			return err
		}
		if p.state == disk.Data {
			if err := disk.PunchHole(w.s.part.file, p.off+size%grain, tail); err != nil {
				return err
			}
		}
	}
	w.alloc.Lock()
	defer w.alloc.Unlock()
	for i := roundUp(size, grain) / grain; i < int64(len(w.dir.gd))*w.dir.entries; {
		if n := w.dir.missing(i); n > 0 {
			i += n
			continue
		}
		if err := w.clearEntry(i); err != nil {
			return err
		}
		i++
	}
	w.s.part.touch()
	return w.syncLocked()
}

// clearEntry clears the entry of a grain, which may be one that leads nowhere,
// and its second copy, which may differ.
func (w *writer) clearEntry(grain int64) error {
	p, failed := w.dir.at(grain)
	if failed == nil && p.state == disk.Unallocated {
		if at := w.dir.secondAt(grain); at == 0 || !w.inFile(w.dir.rgd[grain/w.dir.entries]) {
			return nil
		} else if e, err := w.dir.cache.Uint32(at); e == 0 || err != nil {
			return err
		}
	}
	if _, nowhere := errors.AsType[*disk.FormatError](failed); failed != nil && !nowhere {
		return failed
	}
	if err := w.set(grain, 0); err != nil {
		return err
	}
	if p.state == disk.Data {
		w.given = append(w.given, p.off)
	}
	return nil
}

// extendDirectories makes room for more tables, and the tables, durably; h gets
// the directories' new places. Nothing refers to them before h is written: adopt is for
// after that.
func (w *writer) extendDirectories(h *header) (adopt func(), err error) {
	w.alloc.Lock()
	defer w.alloc.Unlock()
	d := w.dir
	n, have := h.tables(), int64(len(d.gd))
	copies := []*uint64{&h.gd}
	gds := [][]uint32{d.gd}
	if len(d.rgd) > 0 {
		copies, gds = append(copies, &h.rgd), append(gds, d.rgd)
	}
	moves := sectors(4*n) != sectors(4*have)
	at := sectors(w.next)
	for k, place := range copies {
		if moves {
			*place, at = uint64(at), at+sectors(4*n)
		}
		gd, next, err := w.extended(gds[k], n, at)
		if err != nil {
			return nil, err
		}
		w.next = roundUp(next*sector, w.s.grain) // whatever fails: it may be referred to
		if err := w.storeDirectory(gd, int64(*place)); err != nil {
			return nil, err
		}
		gds[k], at = gd, next
	}
	if err := w.s.part.file.Truncate(max(at*sector, w.s.end.Load())); err != nil {
		return nil, err
	}
	w.s.end.Store(max(at*sector, w.s.end.Load()))
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.gd, d.gdAt = gds[0], int64(h.gd)*sector
		if len(gds) > 1 {
			d.rgd = gds[1]
		}
		d.used = append(d.used, make([]uint64, max(0, (n+63)/64-int64(len(d.used))))...)
		d.cache.Drop() // nothing waits; the directories were written beside it
	}, w.s.part.file.Sync()
}

// extended is a directory of n entries, the new ones for tables that lie from
// sector at on; next is behind these.
func (w *writer) extended(old []uint32, n, at int64) (gd []uint32, next int64, err error) {
	size := tableSectors(w.dir.entries)
	if at+(n-int64(len(old)))*size > math.MaxUint32 {
		return nil, 0, disk.Unsupported(name, "the tables would lie beyond the 2 TiB that can be addressed; convert the image to one with larger grains")
	}
	gd = append([]uint32(nil), old...)
	for int64(len(gd)) < n {
		gd = append(gd, uint32(at))
		at += size
	}
	return gd, at, nil
}

// storeDirectory writes a directory.
func (w *writer) storeDirectory(gd []uint32, at int64) error {
	p := make([]byte, sectors(4*int64(len(gd)))*sector)
	for i, e := range gd {
		binary.LittleEndian.PutUint32(p[4*i:], e)
	}
	_, err := w.s.part.file.WriteAt(p, at*sector)
	return err
}
