package vhd

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// flat is an open fixed VHD: the disk, then a footer.
type flat struct {
	file  *blockmap.File
	write bool
	doubt error // why it must not be changed, or nil

	touched atomic.Bool // the content was changed since opening

	mu     sync.RWMutex // guards what follows; held for writing while the size changes
	foot   footer
	size   int64 // of the disk
	tailAt int64 // where the footer begins
	relic  int64 // where a footer is that a Resize, cut off, could not remove; it reads as zeros; or -1. Only of an image opened for reading, or in doubt
}

func openFlat(f disk.File, foot footer, e ends, write bool) (*flat, error) {
	file, err := blockmap.NewFile(f)
	if err != nil {
		return nil, err
	}
	m := &flat{file: file, write: write, foot: foot, size: foot.size(e.tailAt), tailAt: e.tailAt, relic: -1}
	switch {
	case !foot.sound():
		m.doubt = disk.Corrupt(name, e.tailAt+atSum, "the footer's checksum is wrong; check and repair the image before it is changed")
	case m.size > m.tailAt:
		m.doubt = disk.Corrupt(name, e.tailAt+atCurrent, "the disk is said to have %d bytes, and the file holds %d; what is missing reads as zeros, and cannot be written", m.size, m.tailAt)
	}
	if err := m.findRelic(int64(min(foot.u64(atOriginal), 1<<62))); err != nil {
		return nil, err
	}
	if write && m.doubt == nil {
		return m, m.removeRelic()
	}
	return m, nil
}

func createFlat(f disk.File, foot footer) (*flat, error) {
	size := foot.current()
	if _, err := f.WriteAt(foot, size); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	file, err := blockmap.NewFile(f)
	m := &flat{file: file, write: true, foot: foot, size: size, tailAt: size, relic: -1}
	m.touched.Store(true)
	return m, err
}

// findRelic looks for a footer where the disk's end was or was to be: while
// Resize works, the original size says where that is.
func (m *flat) findRelic(at int64) error {
	if at%sector != 0 || at > min(m.size, m.tailAt)-sector {
		return nil
	}
	p, err := disk.ReadFull(m.file.Raw(), at, sector, name, "sector")
	if err != nil {
		return err
	}
	if old := footer(p); old.plausible() && old.sound() && old.id() == m.foot.id() && old.current() == at {
		m.relic = at
	}
	return nil
}

// ReadAt reads the file.
func (m *flat) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return disk.ReadThrough(steady{m}, p, off, nil)
}

// Map describes the range at off: what the file has, with its holes.
func (m *flat) Map(off, n int64) (disk.Extent, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mapAt(off, n, true)
}

// steady is a flat whose lock is held already.
type steady struct{ *flat }

// Size is the length of the disk.
func (s steady) Size() int64 { return s.size }

// Map describes the range at off; to read a hole costs less than to find it.
func (s steady) Map(off, n int64) (disk.Extent, error) { return s.mapAt(off, n, false) }

func (m *flat) mapAt(off, n int64, holes bool) (disk.Extent, error) {
	if err := disk.InRange(off, n, m.size); err != nil {
		return disk.Extent{}, err
	}
	e := disk.Extent{Off: off, Len: n, State: disk.Data, File: m.file.Raw(), HostOff: off}
	zero := func(end int64) disk.Extent {
		return disk.Extent{Off: off, Len: min(n, end-off), State: disk.Zeroed}
	}
	switch {
	case off >= m.tailAt:
		return zero(m.size), nil
	case m.relic >= 0 && off >= m.relic && off < m.relic+sector:
		return zero(m.relic + sector), nil
	case m.relic > off:
		e.Len = min(e.Len, m.relic-off)
	}
	e.Len = min(e.Len, m.tailAt-off)
	if h, ok := m.file.Raw().(disk.Holed); ok && holes {
		start, end, err := h.NextData(off)
		if err != nil {
			return e, err
		}
		if start > off {
			return zero(min(start, off+e.Len)), nil
		}
		if end > off {
			e.Len = min(e.Len, end-off)
		}
	}
	return e, nil
}

// Size is the length of the disk.
func (m *flat) Size() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.size
}

// CanWrite tells whether it was opened for writing.
func (m *flat) CanWrite() bool { return m.write }

// Close gives the file back. All that was written is in it.
func (m *flat) Close() error {
	var failed error
	if m.write {
		failed = m.file.Sync()
	}
	return errors.Join(failed, m.file.Raw().Close())
}
