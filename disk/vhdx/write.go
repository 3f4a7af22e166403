package vhdx

import (
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// run is a range of the disk that has a place in the file, in one piece.
type run struct {
	off, n  int64
	host    int64
	partial bool // some block's sectors must be marked as written
}

// WriteAt writes all of p at off.
func (m *image) WriteAt(p []byte, off int64) (int, error) {
	unlock, err := m.begin(off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := m.put(p, off)
	unlock()
	if err == nil && m.pages.full() {
		err = m.Sync()
	}
	return n, err
}

// begin starts a change of a range: it checks the range, marks the image as
// changed and takes m.data. Parts of sectors that may be the parent's are read and written
// back, and nobody else may write to them between.
func (m *image) begin(off, n int64) (unlock func(), err error) {
	if !m.write {
		return nil, disk.ErrReadOnly
	}
	if err := disk.InRange(off, n, m.Size()); err != nil {
		return nil, err
	}
	if n > 0 {
		if err := m.mark(true); err != nil {
			return nil, err
		}
	}
	unlock = m.data.RUnlock
	if m.differs() && !m.aligned(off, n) {
		m.data.Lock()
		unlock = m.data.Unlock
	} else {
		m.data.RLock()
	}
	if err := disk.InRange(off, n, m.Size()); err != nil { // it may have shrunk meanwhile
		unlock()
		return nil, err
	}
	return unlock, nil
}

// differs tells whether sectors may be the parent's.
func (m *image) differs() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.metadata.hasParent
}

// aligned tells whether a range is made of whole sectors.
func (m *image) aligned(off, n int64) bool { return (off|n)&(m.sectorSize()-1) == 0 }

// put writes whole sectors; those at the edges are completed from what is
// read there when the image is a differencing one.
func (m *image) put(p []byte, off int64) (int, error) {
	if !m.differs() || m.aligned(off, int64(len(p))) {
		return m.putRuns(p, off)
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		inside := at & (m.sectorSize() - 1)
		n := (len(p) - done) &^ int(m.sectorSize()-1)
		var err error
		if inside != 0 || n == 0 {
			n = min(len(p)-done, int(m.sectorSize()-inside))
			err = m.putPart(p[done:done+n], at-inside, inside)
		} else {
			_, err = m.putRuns(p[done:done+n], at)
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// putPart writes a part of the sector at off.
func (m *image) putPart(p []byte, off, inside int64) error {
	whole := make([]byte, m.sectorSize())
	if _, err := disk.ReadThrough(m, whole, off, nil); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	copy(whole[inside:], p)
	_, err := m.putRuns(whole, off)
	return err
}

// putRuns writes a range, each piece that lies in one place of the file at
// once.
func (m *image) putRuns(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		r, err := m.room(off+int64(done), int64(len(p)-done))
		if err == nil {
			_, err = m.file.WriteAt(p[done:done+int(r.n)], r.host)
		}
		if err == nil && r.partial {
			err = m.wrote(r)
		}
		if err != nil {
			return done, fmt.Errorf("write at %d: %w", off+int64(done), err)
		}
		done += int(r.n)
	}
	return len(p), nil
}

// room finds where to write what begins at off, and makes room if there is
// none.
func (m *image) room(off, n int64) (run, error) {
	m.mu.RLock()
	r, err := m.existing(off, n)
	m.mu.RUnlock()
	if err != nil || r.n > 0 {
		return r, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, err = m.existing(off, n); err != nil || r.n > 0 {
		return r, err
	}
	return m.allocate(off, n)
}

// existing is the run of blocks that are there already; of no length, if the
// first is not.
func (m *image) existing(off, n int64) (run, error) {
	r := run{off: off}
	for r.n < n {
		at := off + r.n
		b := at >> m.block
		e, err := m.payload(b)
		if err != nil {
			return r, err
		}
		if !e.present() {
			break
		}
		host, err := m.locate(b, e)
		if err != nil {
			return r, err
		}
		host += at - b<<m.block
		if r.n > 0 && host != r.host+r.n {
			break
		}
		if r.n == 0 {
			r.host = host
		}
		r.partial = r.partial || e.state() == partiallyPresent
		r.n += min(n-r.n, m.blockEnd(b)-at)
	}
	return r, nil
}

// allocate makes room for the blocks at off that are not there, in one piece.
// m.mu must be held.
func (m *image) allocate(off, n int64) (run, error) {
	first, last := off>>m.block, (off+n-1)>>m.block
	count, err := m.absent(first, last)
	if err != nil {
		return run{}, err
	}
	states, err := m.prepare(first, count, off, n)
	if err != nil {
		return run{}, err
	}
	host, count := m.take(count, m.blockSize())
	r := run{off: off, host: host + off - first<<m.block}
	for i := range count {
		if err := m.setPayload(first+i, makeEntry(states[i], host+i<<m.block)); err != nil {
			return run{}, err
		}
		r.partial = r.partial || states[i] == partiallyPresent
	}
	r.n = min(n, m.blockEnd(first+count-1)-off)
	return r, nil
}

// absent counts the blocks from first on, up to last, that are not there.
func (m *image) absent(first, last int64) (int64, error) {
	for b := first; b <= last; b++ {
		e, err := m.payload(b)
		if err != nil {
			return 0, err
		}
		if e.present() {
			return b - first, nil
		}
	}
	return last - first + 1, nil
}

// prepare tells which state each new block gets by a write of [off, off+n), and
// sees to the bitmaps of those that stay the parent's in part.
func (m *image) prepare(first, count, off, n int64) ([]int, error) {
	states := make([]int, count)
	for i := range states {
		b := first + int64(i)
		e, err := m.payload(b)
		if err != nil {
			return nil, err
		}
		states[i] = fullyPresent
		whole := off <= b<<m.block && off+n >= m.blockEnd(b)
		if m.metadata.hasParent && e.state() == notPresent && !whole {
			states[i] = partiallyPresent
			if err := m.ensureBitmap(b); err != nil {
				return nil, err
			}
		}
	}
	return states, nil
}

// wrote marks the sectors of a run as the image's own.
func (m *image) wrote(r run) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for at := r.off; at < r.off+r.n; {
		b := at >> m.block
		end := min(r.off+r.n, m.blockEnd(b))
		if err := m.own(b, at, end); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// own marks the sectors of a block that a range touches. A block that was
// written to its end may have become all the image's own.
func (m *image) own(b, off, end int64) error {
	e, err := m.payload(b)
	if err != nil || e.state() != partiallyPresent {
		return err
	}
	begin, blockEnd := b<<m.block, m.blockEnd(b)
	if off > begin || end < blockEnd {
		first, last := off>>m.sector, (end-1)>>m.sector
		if err := m.setSectors(first, last-first+1, true); err != nil || end < blockEnd {
			return err
		}
		all := (blockEnd - begin + m.sectorSize() - 1) >> m.sector
		if set, n, err := m.sectors(begin>>m.sector, all); err != nil || !set || n < all {
			return err
		}
	}
	return m.setPayload(b, makeEntry(fullyPresent, e.host()))
}
