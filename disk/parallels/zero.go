package parallels

import (
	"github.com/panalvm/panal/disk"
)

// ZeroAt makes a range zero. Without a parent its clusters are given up; with
// one they have to hold zeros.
func (x *expanding) ZeroAt(off, n int64) error {
	return x.vacate(off, n, x.zeroPart)
}

// DiscardAt gives up a range. With a parent the clusters stay, as holes of the
// file, for the parent would show through.
func (x *expanding) DiscardAt(off, n int64) error {
	return x.vacate(off, n, x.discardPart)
}

// vacate goes through a range by extents. alloc is held while it does.
func (x *expanding) vacate(off, n int64, part func(e disk.Extent) error) error {
	if err := x.mayWrite(off, n); err != nil || n == 0 {
		return err
	}
	x.alloc.Lock()
	defer x.alloc.Unlock()
	for end := off + n; off < end; {
		e, err := x.mapLocked(off, end-off)
		if err != nil {
			return err
		}
		if e.State == disk.Unallocated && x.parent == nil {
			off = e.End()
			continue
		}
		e = x.piece(e)
		if err := part(e); err != nil {
			return err
		}
		off = e.End()
	}
	return x.limitDirty()
}

// piece is the beginning of an extent: whole clusters, or what it has of one.
func (x *expanding) piece(e disk.Extent) disk.Extent {
	cluster := x.h.cluster()
	within := e.Off % cluster
	whole := e.Len / cluster * cluster
	if e.End() == x.Size() { // the last cluster is whole at the disk's end
		whole = e.Len
	}
	if within == 0 && whole > 0 {
		e.Len = whole
		return e
	}
	e.Len = min(e.Len, cluster-within)
	return e
}

// isWhole tells whether a piece is whole clusters.
func (x *expanding) isWhole(e disk.Extent) bool {
	cluster := x.h.cluster()
	return e.Off%cluster == 0 && (e.Len%cluster == 0 || e.End() == x.Size())
}

func (x *expanding) zeroPart(e disk.Extent) error {
	switch {
	case e.State == disk.Unallocated:
		return x.allocateZeros(e)
	case x.parent == nil && x.isWhole(e):
		return x.release(e)
	}
	return disk.PunchHole(x.file, e.HostOff, e.Len)
}

func (x *expanding) discardPart(e disk.Extent) error {
	p, canPunch := x.file.(disk.Puncher)
	switch {
	case e.State == disk.Unallocated:
		return nil
	case x.parent == nil && x.isWhole(e):
		return x.release(e)
	case canPunch:
		_ = p.PunchHole(e.HostOff, e.Len) // what cannot be given up stays
	}
	return nil
}

// release gives up clusters. Their places are used again after the next sync.
func (x *expanding) release(e disk.Extent) error {
	cluster := x.h.cluster()
	x.mu.Lock()
	defer x.mu.Unlock()
	count := ceilDiv(e.Len, cluster)
	for i := range count {
		if err := x.bat.SetUint32(entryAt(e.Off/cluster+i), 0); err != nil {
			return err
		}
	}
	x.space.pending = append(x.space.pending, run{e.HostOff, count * cluster})
	return nil
}

// allocateZeros makes clusters that hide a parent. They lie behind the end of
// all, where zeros need no writing.
func (x *expanding) allocateZeros(e disk.Extent) error {
	cluster := x.h.cluster()
	within := e.Off % cluster
	end := within + e.Len
	need := roundUp(end, cluster)
	if e.Off/cluster+need/cluster > int64(x.h.entries) {
		return disk.Corrupt(name, 32, "the block table has %d entries, too few for the disk", x.h.entries)
	}
	at, err := x.space.extend(need)
	if err != nil {
		return err
	}
	if err := x.fillRest(e.Off-within, within, at, true); err != nil {
		return err
	}
	if e.End() < x.Size() {
		if err := x.fillRest(e.End(), need-end, at+end, true); err != nil {
			return err
		}
	}
	return x.point(e.Off/cluster, at, need/cluster)
}
