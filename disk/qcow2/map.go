package qcow2

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// entryAt reads the L2 entry at off of the file.
func (img *image) entryAt(off int64) (entry, error) {
	word, err := img.tables.get(off, 8)
	if err != nil || !img.extended {
		return entry{word: word}, err
	}
	bitmap, err := img.tables.get(off+8, 8)
	return entry{word, bitmap}, err
}

// l2At is where the L2 table lies that speaks of a disk's offset, 0 if there is
// none, and whether it may be changed in place.
func (img *image) l2At(off int64) (table int64, copied bool, err error) {
	return img.l1Entry(off >> img.clusterBits / img.h.l2Entries())
}

func (img *image) l1Entry(index int64) (table int64, copied bool, err error) {
	if index >= img.l1Size {
		return 0, false, nil
	}
	at := img.l1Offset + index*8
	v, err := img.tables.get(at, 8)
	if err != nil {
		return 0, false, err
	}
	table = int64(v & offsetMask)
	if table&(img.clusterSize()-1) != 0 {
		return 0, false, disk.Corrupt(formatName, at, "an L1 entry %#x points at %#x, which is no cluster's begin", v, table)
	}
	return table, v&flagCopied != 0, nil
}

// slot is where the L2 entry for a disk's offset lies in its table.
func (img *image) slot(table, off int64) int64 {
	return table + off>>img.clusterBits%img.h.l2Entries()*img.h.entryBytes()
}

// lookup finds the L2 entry for a disk's offset; at is 0 where there is no
// table.
func (img *image) lookup(off int64) (e entry, at int64, err error) {
	table, _, err := img.l2At(off)
	if err != nil || table == 0 {
		return entry{}, 0, err
	}
	at = img.slot(table, off)
	if e, err = img.entryAt(at); err != nil {
		return e, at, err
	}
	return e, at, img.check(e, at)
}

// ungated is the image for those who hold gate.
type ungated struct{ *image }

// ReadAt reads what a guest would.
func (u *ungated) ReadAt(p []byte, off int64) (int, error) {
	return disk.ReadThrough(u, p, off, u.decode)
}

// Map is the image's, without locking.
func (u *ungated) Map(off, n int64) (disk.Extent, error) { return u.mapAt(off, n) }

// Map describes the range from off on; see disk.Mapper.
func (img *image) Map(off, n int64) (disk.Extent, error) {
	img.gate.RLock()
	defer img.gate.RUnlock()
	return img.mapAt(off, n)
}

// ReadAt reads what a guest would.
func (img *image) ReadAt(p []byte, off int64) (int, error) {
	img.gate.RLock()
	defer img.gate.RUnlock()
	return img.inner.ReadAt(p, off)
}

// run joins neighbours of one state.
type run struct {
	disk.Extent
	end int64 // of what was asked for
}

// add carries the extent on by n bytes in a state, lying at host; it tells
// whether it could and wants more.
func (r *run) add(n int64, s disk.State, comp bool, file disk.File, host int64) bool {
	if r.Len == 0 {
		r.State, r.Compressed, r.HostOff = s, comp, host
		if s == disk.Data && !comp {
			r.File = file
		}
	} else if s != r.State || comp != r.Compressed || r.File != nil && r.HostOff+r.Len != host {
		return false
	}
	r.Len = min(r.Len+n, r.end-r.Off)
	return r.Off+r.Len < r.end
}

// mapAt is Map for those who hold gate.
func (img *image) mapAt(off, n int64) (disk.Extent, error) {
	r := run{Extent: disk.Extent{Off: off}, end: off + n}
	span := img.h.l2Span()
	for at := off; at < r.end; {
		table, _, err := img.l2At(at)
		if err != nil {
			return r.orError(err)
		}
		next := min(r.end, (at/span+1)*span)
		if table == 0 {
			if !r.add(next-at, disk.Unallocated, false, nil, 0) {
				break
			}
		} else if more, err := img.mapTable(&r, table, at, next); err != nil || !more {
			return r.orError(err)
		}
		at = next
	}
	return r.Extent, nil
}

// orError is the error, unless there is something before it.
func (r *run) orError(err error) (disk.Extent, error) {
	if r.Len > 0 {
		err = nil
	}
	return r.Extent, err
}

// mapTable carries on r by what an L2 table says of [at, end).
func (img *image) mapTable(r *run, table, at, end int64) (more bool, err error) {
	var buffer [512]byte
	size := int(img.h.entryBytes())
	for at < end {
		from := img.slot(table, at)
		want := ((end-1)>>img.clusterBits - at>>img.clusterBits + 1) * int64(size)
		k, err := img.tables.read(buffer[:min(want, int64(len(buffer)))], from)
		if err != nil {
			return false, err
		}
		for i := 0; i+size <= k && at < end; i += size {
			e := entry{word: binary.BigEndian.Uint64(buffer[i:])}
			if img.extended {
				e.bitmap = binary.BigEndian.Uint64(buffer[i+8:])
			}
			if err := img.check(e, from+int64(i)); err != nil {
				return false, err
			}
			if !img.mapCluster(r, e, at) {
				return false, nil
			}
			at = (at>>img.clusterBits + 1) << img.clusterBits
		}
	}
	return true, nil
}

// mapCluster carries on r by the rest of one cluster, from at on.
func (img *image) mapCluster(r *run, e entry, at int64) bool {
	k := img.kindOf(e)
	host := e.host()
	if k == compressed {
		host, _ = img.span(e)
	}
	unit := img.unit()
	for in := at & (img.clusterSize() - 1); in < img.clusterSize(); {
		state, units := img.stateAt(e, k, int(in/unit))
		next := (in/unit + int64(units)) * unit
		at := host
		if k != compressed {
			at += in
		}
		if !r.add(next-in, state, k == compressed, img.data, at) {
			return false
		}
		in = next
	}
	return true
}
