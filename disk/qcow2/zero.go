package qcow2

import (
	"github.com/panalvm/panal/disk"
)

// ZeroAt makes a range read as zeros.
func (img *image) ZeroAt(off, n int64) error {
	return img.clear(off, n, false)
}

// DiscardAt gives up the space of the clusters, or subclusters, that lie in a
// range as a whole.
func (img *image) DiscardAt(off, n int64) error {
	return img.clear(off, n, true)
}

func (img *image) clear(off, n int64, discard bool) error {
	if !img.canWrite {
		return disk.ErrReadOnly
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if err := disk.InRange(off, n, img.Size()); err != nil || n == 0 {
		return err
	}
	if err := img.touch(); err != nil {
		return err
	}
	return img.clearRange(off, n, discard)
}

// clearRange clears whole units by their entries and the edges by writing.
func (img *image) clearRange(off, n int64, discard bool) error {
	unit, end := img.unit(), off+n
	first := (off + unit - 1) &^ (unit - 1)
	last := end &^ (unit - 1)
	if end == img.Size() {
		last = (end + unit - 1) &^ (unit - 1)
	}
	if first >= last {
		if discard {
			return nil
		}
		return img.zeroEdge(off, end)
	}
	if !discard {
		img.marks.add(off, n)
		if err := img.zeroEdge(off, first); err != nil {
			return err
		}
		if err := img.zeroEdge(last, end); err != nil {
			return err
		}
	} else {
		img.marks.add(first, min(last, img.Size())-first)
	}
	if img.h.autoclear&autoclearDataFileRaw != 0 {
		return disk.PunchHole(img.data, first, min(last, img.Size())-first)
	}
	return img.clearUnits(first, last, discard)
}

// zeroEdge writes zeros where it is not zero already.
func (img *image) zeroEdge(off, end int64) error {
	for off < end {
		n := min(end-off, maxRun)
		zero, err := img.knownZero(off, n)
		if err != nil {
			return err
		}
		if !zero {
			if _, err := img.write(make([]byte, n), off); err != nil {
				return err
			}
		}
		off += n
	}
	return nil
}

// end is where the disk ends, or will when it is made larger.
func (img *image) end() int64 { return max(img.Size(), img.horizon) }

// clearUnits clears [off, end), which begins and ends with units.
func (img *image) clearUnits(off, end int64, discard bool) error {
	span := img.h.l2Span()
	for off < end {
		next := min((off/span+1)*span, end)
		table, _, err := img.l2At(off)
		if err != nil {
			return err
		}
		if table != 0 || img.shines(off) {
			if err := img.clearTable(off, next, discard); err != nil {
				return err
			}
			if err := img.relieve(); err != nil {
				return err
			}
		}
		off = next
	}
	return nil
}

// shines tells whether the parent has something at or behind off. One that is not open may have anything.
func (img *image) shines(off int64) bool {
	if img.parent == nil {
		return img.backing.name != ""
	}
	return off < img.parent.Size()
}

// clearTable clears a range that one L2 table speaks of.
func (img *image) clearTable(off, end int64, discard bool) error {
	cs := img.clusterSize()
	if !img.zeroFlag && !img.extended && img.shines(off) {
		if discard {
			return nil // version 2 has no way to hide the parent
		}
		return img.zeroEdge(off, min(end, img.end()))
	}
	table, err := img.ownTable(off)
	if err != nil {
		return err
	}
	for off < end {
		in := off & (cs - 1)
		n := min(cs-in, end-off)
		if err := img.clearCluster(table, off, n); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// clearCluster clears n bytes of a cluster by its entry.
func (img *image) clearCluster(table, off, n int64) error {
	at := img.slot(table, off)
	old, err := img.entryAt(at)
	if err != nil {
		return err
	}
	if err := img.check(old, at); err != nil {
		return err
	}
	fresh := img.cleared(old, off, n)
	if fresh == old {
		return nil
	}
	if img.extended && n < img.clusterSize() && img.kindOf(old) == compressed {
		return img.zeroEdge(off, min(off+n, img.end()))
	}
	if err := img.setEntry(at, fresh); err != nil {
		return err
	}
	if fresh.word&offsetMask == 0 {
		img.giveUpEntry(old, true)
	}
	return nil
}

// cleared is the entry of a cluster of which n bytes at off were cleared.
func (img *image) cleared(old entry, off, n int64) entry {
	if img.extended {
		mask := uint64(img.unitMask(off&(img.clusterSize()-1), n))
		old.bitmap = old.bitmap&^mask | mask<<32
		if old.bitmap == (1<<subclusters-1)<<32 || img.kindOf(old) == compressed {
			old.word = 0
		}
		return old
	}
	switch k := img.kindOf(old); {
	case k == zeroBare:
		return old
	case k == absent && !img.shines(off):
		return old
	case img.zeroFlag:
		return entry{word: flagZero}
	}
	return entry{}
}
