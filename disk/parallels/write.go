package parallels

import (
	"bytes"

	"github.com/panalvm/panal/disk"
)

// copyPiece is how much is copied at once.
const copyPiece = 1 << 20

// WriteAt writes to the disk.
func (x *expanding) WriteAt(p []byte, off int64) (int, error) {
	if err := x.mayWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := x.writeSome(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// mayWrite checks the range, and makes the image ready.
func (x *expanding) mayWrite(off, n int64) error {
	if !x.write {
		return disk.ErrReadOnly
	}
	if err := disk.InRange(off, n, x.Size()); err != nil || n == 0 {
		return err
	}
	if x.begun.Load() {
		return nil
	}
	x.alloc.Lock()
	defer x.alloc.Unlock()
	return x.begin()
}

// writeSome writes the beginning of p: what of it is allocated, or what is not.
func (x *expanding) writeSome(p []byte, off int64) (int, error) {
	if n, err := x.overwrite(p, off); n > 0 || err != nil {
		return n, err
	}
	x.alloc.Lock()
	defer x.alloc.Unlock()
	e, err := x.mapLocked(off, int64(len(p)))
	if err != nil || e.State == disk.Data { // somebody was faster
		return 0, err
	}
	return x.allocate(p[:e.Len], off)
}

// overwrite writes what begins in allocated clusters; 0 if p does not.
func (x *expanding) overwrite(p []byte, off int64) (int, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e, err := x.mapLocked(off, int64(len(p)))
	if err != nil || e.State != disk.Data {
		return 0, err
	}
	return x.file.WriteAt(p[:e.Len], e.HostOff)
}

// allocate writes the beginning of p to new clusters; none of those that it
// covers is allocated. alloc is held.
func (x *expanding) allocate(p []byte, off int64) (int, error) {
	n, zero := x.alike(p, off)
	if zero {
		return n, nil
	}
	cluster := x.h.cluster()
	first, within := off/cluster, off%cluster
	need := roundUp(within+int64(n), cluster)
	if first+need/cluster > int64(x.h.entries) {
		return 0, disk.Corrupt(name, 32, "the block table has %d entries, too few for the disk", x.h.entries)
	}
	at, fresh, err := x.space.take(need)
	if err != nil {
		return 0, err
	}
	if err := x.fillNew(p[:n], off, at, fresh); err != nil {
		x.space.give(run{at, need})
		return 0, err
	}
	return n, x.point(first, at, need/cluster)
}

// alike finds how much of p is to be treated alike: without a parent, clusters
// of zeros need no place.
func (x *expanding) alike(p []byte, off int64) (n int, zero bool) {
	if x.parent != nil {
		return len(p), false
	}
	cluster := x.h.cluster()
	for n < len(p) {
		piece := min(cluster-(off+int64(n))%cluster, int64(len(p)-n))
		z := isZero(p[n : n+int(piece)])
		if n > 0 && z != zero {
			break
		}
		zero = z
		n += int(piece)
	}
	return n, zero
}

// fillNew writes p, and around it what the clusters hold besides, to the place
// at.
func (x *expanding) fillNew(p []byte, off, at int64, fresh bool) error {
	within := off % x.h.cluster()
	if err := x.fillRest(off-within, within, at, fresh); err != nil {
		return err
	}
	if _, err := x.file.WriteAt(p, at+within); err != nil {
		return err
	}
	end := within + int64(len(p))
	return x.fillRest(off-within+end, roundUp(end, x.h.cluster())-end, at+end, fresh)
}

// fillRest writes to a new cluster, at, what the disk held at off before.
func (x *expanding) fillRest(off, n, at int64, fresh bool) error {
	if n == 0 || x.parent == nil && fresh {
		return nil
	}
	if x.parent == nil {
		return disk.PunchHole(x.file, at, n)
	}
	buffer := make([]byte, min(n, copyPiece))
	for n > 0 {
		p := buffer[:min(n, copyPiece)]
		if err := disk.ReadParent(x.parent, p, off); err != nil {
			return err
		}
		if _, err := x.file.WriteAt(p, at); err != nil {
			return err
		}
		off, at, n = off+int64(len(p)), at+int64(len(p)), n-int64(len(p))
	}
	return nil
}

// point sets the entries of a row of clusters, in memory. alloc is held.
func (x *expanding) point(first, at, count int64) error {
	for i := range count {
		if err := x.setPlace(first+i, at+i*x.h.cluster()); err != nil {
			return err
		}
	}
	return x.limitDirty()
}

// setPlace sets an entry, in memory. alloc is held.
func (x *expanding) setPlace(index, at int64) error {
	x.known.Store(max(x.known.Load(), x.space.end))
	return x.bat.SetUint32(entryAt(index), uint32(at/x.h.unit()))
}

var zeros [64 << 10]byte

// isZero tells whether p has only zeros.
func isZero(p []byte) bool {
	for len(p) > len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}
