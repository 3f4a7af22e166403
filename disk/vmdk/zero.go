package vmdk

import (
	"fmt"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// ZeroAt makes a range read as zeros.
func (m *image) ZeroAt(off, n int64) error { return m.clearRange(off, n, false) }

// DiscardAt gives up a range. Grains of which only a part is given up stay.
func (m *image) DiscardAt(off, n int64) error { return m.clearRange(off, n, true) }

func (m *image) clearRange(off, n int64, discard bool) error {
	if err := m.checkWritable(); err != nil {
		return err
	}
	m.shape.RLock()
	defer m.shape.RUnlock()
	if err := m.prepare(off, n); err != nil || n == 0 {
		return err
	}
	return m.eachSpan(off, n, func(s *span, off, n int64) error { return m.clearSpan(s, off, n, discard) })
}

func (m *image) clearSpan(s *span, off, n int64, discard bool) error {
	if _, ok := s.extent.(zeros); ok {
		return nil
	}
	if s.access != descriptor.ReadWrite {
		return fmt.Errorf("vmdk: the extent at %d is declared %s: %w", s.start, s.access, disk.ErrReadOnly)
	}
	switch e := s.extent.(type) {
	case *flat:
		err := disk.PunchHole(e.part.file, e.from+off-s.start, n)
		e.part.touch()
		return err
	case *sparse:
		if e.writer != nil {
			if err := e.writer.zero(off-s.start, n, m.below(s), discard); err != nil {
				return err
			}
			return m.relieve()
		}
	}
	return disk.Unsupported(name, "the extent at %d cannot be written", s.start)
}

// zero makes a range of the extent read as zeros; of one that is discarded it
// may leave what costs space to do so.
func (w *writer) zero(off, n int64, below fill, discard bool) error {
	if err := w.mark(); err != nil {
		return err
	}
	for end := off + n; off < end; {
		e, err := w.s.locate(off, end-off)
		if err != nil {
			return err
		}
		if err := w.zeroExtent(e, off, below, discard); err != nil {
			return err
		}
		off += e.Len
	}
	return nil
}

// zeroExtent makes a range in one state read as zeros.
func (w *writer) zeroExtent(e disk.Extent, off int64, below fill, discard bool) error {
	if e.State == disk.Zeroed || e.State == disk.Unallocated && (discard || !below.shows()) {
		return nil
	}
	first, last := w.wholeGrains(off, e.Len)
	if first >= last || below.shows() && !w.dir.zeroed {
		return w.zeroPart(e, off, e.Len, below, discard)
	}
	if err := w.zeroPart(e, off, first*w.s.grain-off, below, discard); err != nil {
		return err
	}
	if err := w.dropAll(first, last); err != nil {
		return err
	}
	done := max(last*w.s.grain, off) - off
	rest := e
	if rest.State == disk.Data {
		rest.HostOff += done
	}
	return w.zeroPart(rest, off+done, e.Len-done, below, discard)
}

// wholeGrains are those that lie in a range: [first, last). The disk's end is
// a grain's end.
func (w *writer) wholeGrains(off, n int64) (first, last int64) {
	first, last = (off+w.s.grain-1)/w.s.grain, (off+n)/w.s.grain
	if off+n == w.s.size {
		last = (off + n + w.s.grain - 1) / w.s.grain
	}
	return first, last
}

// zeroPart makes a range zero that holds no whole grain, or whose grains must
// stay for hiding the parent's.
func (w *writer) zeroPart(e disk.Extent, off, n int64, below fill, discard bool) error {
	switch {
	case n <= 0:
		return nil
	case e.State == disk.Data:
		err := disk.PunchHole(w.s.part.file, e.HostOff, n)
		w.s.part.touch()
		return err
	case discard:
		return nil
	}
	empty := make([]byte, min(n, 1<<20))
	for n > 0 {
		k := min(n, int64(len(empty)))
		if err := w.write(empty[:k], off, below); err != nil {
			return err
		}
		off, n = off+k, n-k
	}
	return nil
}

// dropAll gives up grains, [first, last).
func (w *writer) dropAll(first, last int64) error {
	without := uint32(0)
	if w.dir.zeroed {
		without = zeroedEntry
	}
	w.alloc.Lock()
	defer w.alloc.Unlock()
	for i := first; i < last; i++ {
		if err := w.drop(i, without); err != nil {
			return err
		}
	}
	if w.dir.cache.Dirty() > maxDirty {
		return w.syncLocked()
	}
	return nil
}
