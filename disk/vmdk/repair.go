package vmdk

import (
	"slices"

	"github.com/panalvm/panal/disk"
)

// settle takes back that the extent was not closed: all is well now.
func (w *writer) settle() error {
	w.keep = false
	w.s.header.unclean = false
	w.marked.Store(true) // so that closing clears the flag
	return nil
}

// useSecond makes the second grain directory the only one.
func (w *writer) useSecond() error {
	h := w.s.header
	h.gd, h.rgd, h.flags = uint64(w.dir.gdAt/sector), 0, h.flags&^flagRedundant
	if err := w.putHeader(h); err != nil {
		return err
	}
	w.dir.broken, w.refused = nil, nil
	return nil
}

// forgetSecond makes the first grain directory the only one.
func (w *writer) forgetSecond() error {
	h := w.s.header
	h.rgd, h.flags = 0, h.flags&^flagRedundant
	if err := w.putHeader(h); err != nil {
		return err
	}
	w.dir.rgdErr = nil
	return nil
}

// putHeader writes another header, durably. It is one sector: the power
// cannot be cut within it. When it fails the file has the old one or the new.
func (w *writer) putHeader(h header) error {
	w.unsure = true
	h.unclean = w.marked.Load() || w.keep
	if _, err := w.s.part.file.WriteAt(h.encode(), 0); err != nil {
		return err
	}
	if err := w.s.part.file.Sync(); err != nil {
		return err
	}
	h.unclean = w.keep
	w.s.header = h
	w.unsure = false
	return nil
}

// rebuild makes a grain table anew that cannot be read: empty, or from the
// second copy. It is durable before anything leads to it.
func (w *writer) rebuild(t int64, second bool) error {
	if err := w.mark(); err != nil {
		return err
	}
	w.alloc.Lock()
	defer w.alloc.Unlock()
	d := w.dir
	d.mu.Lock()
	defer d.mu.Unlock()
	content := make([]byte, tableSectors(d.entries)*sector)
	if second {
		if _, err := w.s.part.file.ReadAt(content[:4*d.entries], int64(d.rgd[t])*sector); err != nil {
			return err
		}
	}
	at, err := w.addTable(t, content)
	if err != nil {
		return err
	}
	d.used[t/64] |= 1 << (t % 64)
	return w.point(t, at)
}

// clearDangling mends entries that lead nowhere.
func (w *writer) clearDangling(c *tableCheck, grains []int64, copyAt int64) error {
	return w.choose(grains, func(grain int64) (uint32, error) {
		if copyAt == 0 {
			return 0, nil
		}
		e, err := w.dir.cache.Uint32(copyAt + 4*(grain%w.dir.entries))
		if err != nil || !c.free(e, grain) {
			return 0, err
		}
		return e, nil
	})
}

// reconcile makes the second copy of entries like the first, or the other way
// round where the first knows of no grain and the second does. After a power cut
// the first counts: that is what was read since.
func (w *writer) reconcile(c *tableCheck, grains []int64, copyAt int64) error {
	return w.choose(grains, func(grain int64) (uint32, error) {
		i := grain % w.dir.entries
		e, err := w.dir.cache.Uint32(w.dir.entryAt(w.dir.table(grain), grain))
		if err != nil || e != 0 || c.unclean {
			return e, err
		}
		other, err := w.dir.cache.Uint32(copyAt + 4*i)
		if err != nil || !c.free(other, grain) {
			return e, err
		}
		return other, nil
	})
}

// free tells whether an entry leads to a grain that no other grain claims.
func (c *tableCheck) free(e uint32, grain int64) bool {
	if e < 2 || !c.leads(e, grain) || uint64(e) < c.header.overhead {
		return false
	}
	low, high := 0, len(c.grains)
	for low < high { // the first that ends behind e
		mid := (low + high) / 2
		if int64(c.grains[mid]>>32)+c.grain/sector > int64(e) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low == len(c.grains) || int64(c.grains[low]>>32) >= int64(e)+c.grain/sector
}

// choose sets entries in both copies.
func (w *writer) choose(grains []int64, entry func(grain int64) (uint32, error)) error {
	if err := w.mark(); err != nil {
		return err
	}
	w.alloc.Lock()
	defer w.alloc.Unlock()
	for _, grain := range grains {
		e, err := entry(grain)
		if err != nil {
			return err
		}
		if err := w.set(grain, e); err != nil {
			return err
		}
	}
	return nil
}

// separate gives a grain a copy of its own.
func (w *writer) separate(grain int64) error {
	if err := w.mark(); err != nil {
		return err
	}
	p, err := w.dir.at(grain)
	if err != nil || p.state != disk.Data {
		return err
	}
	w.alloc.Lock()
	defer w.alloc.Unlock()
	content := make([]byte, w.s.grain)
	if n, err := w.s.part.file.ReadAt(content, p.off); n == 0 && err != nil {
		return err
	}
	at, _, err := w.take(1)
	if err != nil {
		return err
	}
	if _, err := w.s.part.file.WriteAt(content, at); err != nil {
		return err
	}
	w.s.part.touch()
	w.s.end.Store(max(w.s.end.Load(), at+w.s.grain))
	return w.set(grain, uint32(at/sector))
}

// pending is how many bytes the places of grains take that were given up and
// are not yet used again.
func (w *writer) pending(c *tableCheck) int64 {
	w.alloc.Lock()
	defer w.alloc.Unlock()
	n := int64(0)
	for _, at := range slices.Concat(w.given, w.waiting, w.free) {
		n += c.taken(gap{at, at + w.s.grain})
	}
	return n
}

// forgetFree lets what is free be looked for again; w.alloc is held.
func (w *writer) forgetFree() {
	w.free, w.given, w.waiting, w.searched = nil, nil, nil, false
}
