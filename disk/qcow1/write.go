package qcow1

import (
	"errors"
	"io"

	"github.com/panalvm/panal/disk"
)

// maxRun is how much is written in one piece, and so how large a buffer a write can
// need.
const maxRun = 4 << 20

// WriteAt writes p at off.
func (m *image) WriteAt(p []byte, off int64) (int, error) {
	if !m.canWrite {
		return 0, disk.ErrReadOnly
	}
	if err := disk.InRange(off, int64(len(p)), m.Size()); err != nil || len(p) == 0 {
		return 0, err
	}
	if m.sound.Load() { // what has its place needs no lock
		if e, err := m.Map(off, int64(len(p))); err == nil && e.File != nil && e.Len == int64(len(p)) {
			return m.file.WriteAt(p, e.HostOff)
		}
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if err := m.begin(); err != nil {
		return 0, err
	}
	return m.write(p, off)
}

// begin makes the image ready for being changed: new clusters go behind the end of
// the file, so nothing may be said to lie there already.
func (m *image) begin() error {
	switch {
	case !m.canWrite:
		return disk.ErrReadOnly
	case m.closed:
		return errClosed
	case m.sound.Load():
		return nil
	}
	if d, ok := m.file.(disk.Device); ok && d.IsDevice() {
		return disk.Unsupported(formatName, "images on block devices can only be read: new clusters go to the end of the file; convert it")
	}
	if err := m.damage(); err != nil {
		return err
	}
	size, err := m.file.Size()
	if err != nil {
		return err
	}
	m.tail = m.shape.aligned(size)
	m.sound.Store(true)
	return nil
}

// write writes p; writing is held and the range is valid.
func (m *image) write(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		e, err := m.Map(off+int64(done), int64(len(p)-done))
		if err != nil {
			return done, err
		}
		part := p[done:][:min(e.Len, maxRun)]
		if e.File != nil {
			_, err = m.file.WriteAt(part, e.HostOff)
		} else {
			part, err = m.writeFresh(part, e.Off)
		}
		if err != nil {
			return done, err
		}
		done += len(part)
		if m.tables.Dirty() < dirtyBytes {
			continue
		}
		if err := m.sync(); err != nil {
			return done, err
		}
	}
	return len(p), nil
}

// writeFresh writes the begin of p, as far as an L2 table goes, into new clusters in
// a row, and tells what it wrote. All of p lies in clusters that need a new place.
func (m *image) writeFresh(p []byte, off int64) ([]byte, error) {
	l2, err := m.ownTable(off)
	if err != nil {
		return nil, err
	}
	cs, span := m.shape.clusterSize(), m.shape.span()
	p = p[:min(int64(len(p)), (off/span+1)*span-off)]
	begin := off &^ (cs - 1)
	end := (off + int64(len(p)) + cs - 1) &^ (cs - 1)
	whole, err := m.filled(p, off, begin, end)
	if err != nil {
		return nil, err
	}
	host := m.tail
	if _, err := m.file.WriteAt(whole, host); err != nil {
		return nil, err
	}
	m.tail += end - begin
	for at := begin; at < end; at += cs {
		if err := m.tables.SetUint64(m.slot(l2, at), uint64(host+at-begin)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ownTable is the L2 table for a disk's offset, which is made if there is none.
func (m *image) ownTable(off int64) (int64, error) {
	l2, err := m.l2At(off)
	if err != nil || l2 != 0 {
		return l2, err
	}
	fresh := m.tail
	if _, err := m.file.WriteAt(make([]byte, m.shape.tableBytes()), fresh); err != nil {
		return 0, err
	}
	m.tail += m.shape.aligned(m.shape.tableBytes())
	return fresh, m.tables.SetUint64(m.l1Slot(off), uint64(fresh))
}

// filled is p, made to reach from begin to end of the disk by what is there now.
func (m *image) filled(p []byte, off, begin, end int64) ([]byte, error) {
	if off == begin && off+int64(len(p)) == end {
		return p, nil
	}
	whole := make([]byte, end-begin)
	behind := off + int64(len(p))
	if err := m.old(whole[:off-begin], begin); err != nil {
		return nil, err
	}
	copy(whole[off-begin:], p)
	return whole, m.old(whole[behind-begin:], behind)
}

// old reads the disk, and zeros behind its end.
func (m *image) old(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	_, err := m.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// ZeroAt makes a range read as zeros.
func (m *image) ZeroAt(off, n int64) error { return m.clear(off, n, false) }

// DiscardAt frees the space of what lies uncompressed; all else stays.
func (m *image) DiscardAt(off, n int64) error { return m.clear(off, n, true) }

func (m *image) clear(off, n int64, discard bool) error {
	if !m.canWrite {
		return disk.ErrReadOnly
	}
	if err := disk.InRange(off, n, m.Size()); err != nil || n == 0 {
		return err
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if err := m.begin(); err != nil {
		return err
	}
	for end := off + n; off < end; {
		e, err := m.Map(off, end-off)
		if err != nil {
			return err
		}
		e.Len = min(e.Len, maxRun)
		switch {
		case e.File != nil:
			err = disk.PunchHole(m.file, e.HostOff, e.Len)
		case discard, e.State == disk.Unallocated && !m.shines(off):
		default: // nothing in the format says zero
			_, err = m.write(make([]byte, e.Len), off)
		}
		if err != nil {
			return err
		}
		off = e.End()
	}
	return nil
}

// shines tells whether the parent has something at or behind off. One that is not open may have anything.
func (m *image) shines(off int64) bool {
	if m.parent == nil {
		return m.backing != ""
	}
	return off < m.parent.Size()
}

// Sync makes durable what was written.
func (m *image) Sync() error {
	if !m.canWrite {
		return disk.ErrReadOnly
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.closed {
		return errClosed
	}
	return m.sync()
}

// sync makes clusters and new tables durable, then what points to them.
func (m *image) sync() error {
	if !m.sound.Load() { // nothing was written
		return nil
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	if m.stale {
		if err := m.writeHeader(); err != nil {
			return err
		}
	}
	if m.tables.Dirty() == 0 {
		return nil
	}
	if err := m.tables.Flush(); err != nil {
		return err
	}
	return m.file.Sync()
}

// writeHeader writes the header, durably: less than a sector, so that a power cut
// leaves the old or the new. When it fails nobody knows which of them the file
// has; the next sync writes what is right then.
func (m *image) writeHeader() error {
	m.stale = true
	if _, err := m.file.WriteAt(m.h.encode(), 0); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	m.stale = false
	return nil
}
