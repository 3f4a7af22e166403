package vhdx

import (
	"github.com/panalvm/panal/disk"
)

// smallZeros is up to which length zeros are written, and not punched.
const smallZeros = 64 * kib

// ZeroAt makes the range read as zeros. Whole blocks are given back, unless
// the image is a fixed one.
func (m *image) ZeroAt(off, n int64) error { return m.each(off, n, m.zeroWhole, m.zeroPart) }

// DiscardAt gives up the space of a range: whole blocks read as zeros, of
// others only what the image itself holds does.
func (m *image) DiscardAt(off, n int64) error { return m.each(off, n, m.zeroWhole, m.discardPart) }

// each does one thing to the blocks that lie in a range, and another to the
// parts of blocks.
func (m *image) each(off, n int64, whole func(b int64) error, part func(off, n int64) error) error {
	unlock, err := m.begin(off, n)
	if err != nil {
		return err
	}
	for end := off + n; err == nil && off < end; {
		b := off >> m.block
		next := min(m.blockEnd(b), end)
		if off == b<<m.block && next == m.blockEnd(b) {
			err = whole(b)
		} else {
			err = part(off, next-off)
		}
		off = next
	}
	unlock()
	if err == nil && m.pages.full() {
		err = m.Sync()
	}
	return err
}

// zeroWhole makes a block read as zeros.
func (m *image) zeroWhole(b int64) error {
	m.mu.Lock()
	e, err := m.payload(b)
	if err == nil && !(e.present() && m.metadata.leave) {
		err = m.drop(b, e)
		m.mu.Unlock()
		return err
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.zeroPart(b<<m.block, m.blockEnd(b)-b<<m.block)
}

// drop gives back a block. m.mu must be held.
func (m *image) drop(b int64, e entry) error {
	switch {
	case e.present():
		if _, err := m.locate(b, e); err != nil {
			return err
		}
		m.release(span{e.host(), m.blockSize()})
	case e.state() != notPresent || !m.metadata.hasParent:
		return nil // reads as zeros already
	}
	return m.setPayload(b, makeEntry(zeroed, 0))
}

// zeroPart makes a part of a block read as zeros.
func (m *image) zeroPart(off, n int64) error {
	m.mu.RLock()
	e, err := m.payload(off >> m.block)
	parent := m.metadata.hasParent
	m.mu.RUnlock()
	switch {
	case err != nil:
		return err
	case !e.present() && (e.state() != notPresent || !parent):
		return nil // reads as zeros already
	case n <= smallZeros || parent && !m.aligned(off, n):
		return m.putZeros(off, n)
	}
	r, err := m.room(off, n)
	if err != nil {
		return err
	}
	if err := disk.PunchHole(m.file, r.host, r.n); err != nil {
		return err
	}
	if r.partial {
		return m.wrote(r)
	}
	return nil
}

// putZeros writes zeros.
func (m *image) putZeros(off, n int64) error {
	zeros := make([]byte, min(n, mib))
	for n > 0 {
		k, err := m.put(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}

// discardPart gives up what the image holds of a part of a block. What is the
// parent's stays so.
func (m *image) discardPart(off, n int64) error {
	m.mu.RLock()
	r, err := m.existing(off, n)
	m.mu.RUnlock()
	if err != nil || r.n < n || n <= smallZeros {
		return err
	}
	return disk.PunchHole(m.file, r.host, r.n)
}
