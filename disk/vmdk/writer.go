package vmdk

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// maxDirty bounds the tables that wait for Sync, in bytes.
const maxDirty = 8 << 20

// writer changes a hosted sparse extent. New grains go to the end of the file,
// or where grains were given up; then entries are set in both copies of the
// tables, in memory; Sync writes these when the grains are durable.
type writer struct {
	s       *sparse
	dir     *directory
	refused error       // why it cannot be written
	marked  atomic.Bool // the header says unclean
	keep    bool        // the header said so when it was opened, and is to until it is repaired
	unsure  bool        // writing another header failed; guarded by image.shape, and by alloc for who holds that for reading

	// alloc is held by who changes tables or writes them; it comes before
	// directory.mu.
	alloc sync.Mutex
	next  int64   // where the next grain goes, bytes
	free  []int64 // places of grains that may be used, ascending
	// searched says that holes of the file were looked for, or are not to be;
	// shared, that the file holds more than this extent.
	searched, shared bool
	given            []int64 // places given up since the last sync
	waiting          []int64 // places given up before it
}

// openWriter makes the extent writable.
func (s *sparse) openWriter(d *directory) error {
	w := &writer{s: s, dir: d, keep: s.header.unclean}
	if s.header.grain > maxBuffered {
		return disk.Unsupported(name, "grains of %d sectors; extents of up to %d can be written", s.header.grain, maxBuffered)
	}
	if s.header.overhead > maxCapacity {
		return disk.Corrupt(name, offOverhead, "the first grain is said to be at sector %d", s.header.overhead)
	}
	w.next = roundUp(max(s.end.Load(), int64(s.header.overhead)*sector), s.grain)
	if d.broken != nil {
		w.refused = disk.Unsupported(name, "the first grain directory is damaged (%v); repair the image to write to it", d.broken)
	}
	s.writer = w
	return nil
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// mark says in the header that the extent was not closed; the first time only.
func (w *writer) mark() error {
	if w.refused != nil {
		return w.refused
	}
	if w.marked.Load() {
		return nil
	}
	if _, err := w.s.part.file.WriteAt([]byte{1}, offUnclean); err != nil {
		return err
	}
	w.s.part.touch()
	w.marked.Store(true)
	return nil
}

// clean takes the mark away; all is durable.
func (w *writer) clean() error {
	if !w.marked.Swap(false) || w.keep {
		return nil
	}
	if _, err := w.s.part.file.WriteAt([]byte{0}, offUnclean); err != nil {
		return err
	}
	return w.s.part.file.Sync()
}

// write writes p at off of the extent.
func (w *writer) write(p []byte, off int64, below fill) error {
	if err := w.mark(); err != nil {
		return err
	}
	for len(p) > 0 {
		e, err := w.s.locate(off, int64(len(p)))
		if err != nil {
			return err
		}
		n := e.Len
		if e.State == disk.Data {
			_, err = w.s.part.file.WriteAt(p[:n], e.HostOff)
			w.s.part.touch() // not earlier: a Sync in between would take it for synced
		} else {
			n, err = w.add(p[:n], off, below)
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// add writes the beginning of p, which lies where no grain holds data, and
// returns how much it wrote: nothing when somebody else allocated in the meantime.
func (w *writer) add(p []byte, off int64, below fill) (int64, error) {
	w.alloc.Lock()
	defer w.alloc.Unlock()
	if off >= w.s.covered {
		return 0, disk.Unsupported(name, "the extent's tables end at %d bytes, before the extent does", w.s.covered)
	}
	e, err := w.s.locate(off, int64(len(p)))
	if err != nil || e.State == disk.Data {
		return 0, err
	}
	p = p[:e.Len]
	if n := w.zeroRun(p, off, e.State, below); n > 0 {
		return n, w.addZeros(off, n, e.State, below)
	}
	n, err := w.addData(w.dataRun(p, off, e.State, below), off, e.State, below)
	if err == nil && w.dir.cache.Dirty() > maxDirty {
		err = w.syncLocked()
	}
	return n, err
}

// plain tells whether the grain at off need not be stored when it is zero.
func (w *writer) plain(off, n int64, state disk.State, below fill) bool {
	if state == disk.Zeroed || !below.shows() {
		return true
	}
	return w.dir.zeroed && off%w.s.grain == 0 && (n == w.s.grain || off+n == w.s.size)
}

// pieceAt is how long the part of p is that lies in the grain at off.
func (w *writer) pieceAt(off, left int64) int64 { return min(w.s.grain-off%w.s.grain, left) }

// zeroRun is how many bytes from the start of p are zeros that need no grain.
func (w *writer) zeroRun(p []byte, off int64, state disk.State, below fill) int64 {
	done := int64(0)
	for done < int64(len(p)) {
		n := w.pieceAt(off+done, int64(len(p))-done)
		if !isZero(p[done:done+n]) || !w.plain(off+done, n, state, below) {
			break
		}
		done += n
	}
	return done
}

// dataRun is the beginning of p that needs grains.
func (w *writer) dataRun(p []byte, off int64, state disk.State, below fill) []byte {
	done := int64(0)
	for done < int64(len(p)) {
		n := w.pieceAt(off+done, int64(len(p))-done)
		if isZero(p[done:done+n]) && w.plain(off+done, n, state, below) {
			break
		}
		done += n
	}
	return p[:done]
}

// isZero tells whether all bytes are zero.
func isZero(p []byte) bool {
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}

// addZeros makes whole grains zero where something would shine through.
func (w *writer) addZeros(off, n int64, state disk.State, below fill) error {
	if state == disk.Zeroed || !below.shows() {
		return nil
	}
	for i := off / w.s.grain; i*w.s.grain < off+n; i++ {
		if err := w.set(i, zeroedEntry); err != nil {
			return err
		}
	}
	return nil
}

// addData stores p in new grains that lie side by side, as many as can.
func (w *writer) addData(p []byte, off int64, state disk.State, below fill) (int64, error) {
	first := off / w.s.grain
	count := (off+int64(len(p))-1)/w.s.grain - first + 1
	at, count, err := w.take(count)
	if err != nil {
		return 0, err
	}
	n := min(int64(len(p)), (first+count)*w.s.grain-off)
	if err := w.store(p[:n], off, at, state, below); err != nil {
		return 0, err
	}
	w.s.part.touch()
	w.s.end.Store(max(w.s.end.Load(), at+count*w.s.grain))
	for i := range count {
		if err := w.set(first+i, uint32((at+i*w.s.grain)/sector)); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// take finds room for up to count grains side by side.
func (w *writer) take(count int64) (at, got int64, err error) {
	if len(w.free) == 0 && !w.searched {
		if err := w.findHoles(); err != nil {
			return 0, 0, err
		}
	}
	if len(w.free) > 0 {
		at, got = w.free[0], 1
		for got < count && got < int64(len(w.free)) && w.free[got] == at+got*w.s.grain {
			got++
		}
		w.free = w.free[got:]
		return at, got, nil
	}
	at = w.next
	if (at+count*w.s.grain)/sector > math.MaxUint32 {
		return 0, 0, disk.Unsupported(name, "the file would exceed the 2 TiB that its tables can address")
	}
	w.next += count * w.s.grain
	return at, count, nil
}

// store writes whole grains to the file: p, and around it what lies below.
func (w *writer) store(p []byte, off, at int64, state disk.State, below fill) error {
	grain := w.s.grain
	head, tail := off%grain, (off+int64(len(p)))%grain
	if head > 0 || tail > 0 && int64(len(p)) < grain {
		n := min(int64(len(p)), grain-head)
		if err := w.storePart(p[:n], off, at, state, below); err != nil {
			return err
		}
		p, off, at = p[n:], off+n, at+grain
		tail = (off + int64(len(p))) % grain
	}
	if whole := int64(len(p)) - min(tail, int64(len(p))); whole > 0 {
		if _, err := w.s.part.file.WriteAt(p[:whole], at); err != nil {
			return err
		}
		p, off, at = p[whole:], off+whole, at+whole
	}
	if len(p) == 0 {
		return nil
	}
	return w.storePart(p, off, at, state, below)
}

// storePart writes a grain of which p is a part.
func (w *writer) storePart(p []byte, off, at int64, state disk.State, below fill) error {
	grain := w.s.grain
	content := make([]byte, grain)
	begin := off / grain * grain
	if state == disk.Unallocated {
		if err := below.read(content[:min(grain, w.s.size-begin)], begin); err != nil {
			return err
		}
	}
	copy(content[off-begin:], p)
	_, err := w.s.part.file.WriteAt(content, at)
	return err
}

// sync makes the extent durable.
func (w *writer) sync() error {
	w.alloc.Lock()
	defer w.alloc.Unlock()
	return w.syncLocked()
}

// changed tells whether there is something for sync to do.
func (w *writer) changed() bool {
	w.alloc.Lock()
	defer w.alloc.Unlock()
	return w.unsure || len(w.given) > 0 || w.s.part.dirty() || w.dir.cache.Dirty() > 0
}

// syncLocked is sync; w.alloc is held, so that no entry is written whose
// grain is not durable.
func (w *writer) syncLocked() error {
	p := w.s.part
	if w.unsure {
		if err := w.putHeader(w.s.header); err != nil {
			return err
		}
	}
	if err := p.sync(); err != nil {
		return err
	}
	if w.dir.cache.Dirty() > 0 {
		err := w.dir.cache.Flush()
		p.touch() // also when it failed, which may have written some
		if err != nil {
			return err
		}
		if err := p.sync(); err != nil {
			return err
		}
	}
	w.waiting = append(w.waiting, w.given...)
	w.given = nil
	return nil
}

func (w *writer) waits() bool {
	w.alloc.Lock()
	defer w.alloc.Unlock()
	return len(w.waiting) > 0
}

// release lets the grains be used again that wait for it, or cuts them off at
// the end of the file; image.shape is held for writing.
func (w *writer) release() error {
	w.alloc.Lock()
	defer w.alloc.Unlock()
	for _, at := range w.waiting {
		if p, ok := w.s.part.file.(disk.Puncher); ok {
			_ = p.PunchHole(at, w.s.grain) // only to save space
		}
	}
	w.free = append(w.free, w.waiting...)
	w.waiting = nil
	slices.Sort(w.free)
	return w.trim()
}
