package vhd

import (
	"context"
	"errors"
	"sync"

	"github.com/panalvm/panal/disk"
)

// flat is an open fixed VHD: the disk, then a footer.
type flat struct {
	file  disk.File
	write bool
	doubt error // why it must not be changed, or nil

	mu     sync.RWMutex // guards what follows; held for writing while the size changes
	foot   footer
	size   int64 // of the disk
	tailAt int64 // where the footer begins
	relic  int64 // where a footer is that a Resize, cut off, could not remove; it reads as zeros; or -1. Only of an image opened for reading, or in doubt
}

func openFlat(f disk.File, foot footer, e ends, write bool) (*flat, error) {
	m := &flat{file: f, write: write, foot: foot, size: foot.size(e.tailAt), tailAt: e.tailAt, relic: -1}
	switch {
	case !foot.sound():
		m.doubt = disk.Corrupt(name, e.tailAt+atSum, "the footer's checksum is wrong; check and repair the image before it is changed")
	case m.size > m.tailAt:
		m.doubt = disk.Corrupt(name, e.tailAt+atCurrent, "the disk is said to have %d bytes, and the file holds %d; what is missing reads as zeros, and cannot be written", m.size, m.tailAt)
	}
	if err := m.findRelic(); err != nil {
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
	return &flat{file: f, write: true, foot: foot, size: size, tailAt: size, relic: -1}, nil
}

// findRelic looks for a footer where the disk's end was or was to be: while
// Resize works, the original size says where that is.
func (m *flat) findRelic() error {
	at := int64(min(m.foot.u64(atOriginal), 1<<62))
	if at%sector != 0 || at > min(m.size, m.tailAt)-sector {
		return nil
	}
	p, err := disk.ReadFull(m.file, at, sector, name, "sector")
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
	e := disk.Extent{Off: off, Len: n, State: disk.Data, File: m.file, HostOff: off}
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
	if h, ok := m.file.(disk.Holed); ok && holes {
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
	return errors.Join(failed, m.file.Close())
}

// WriteAt writes to the file.
func (m *flat) WriteAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.prepare(off, int64(len(p))); err != nil {
		return 0, err
	}
	return m.file.WriteAt(p, off)
}

// prepare checks a change of a range.
func (m *flat) prepare(off, n int64) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	if err := disk.InRange(off, n, m.size); err != nil {
		return err
	}
	return m.doubt
}

// removeRelic completes a Resize that was cut off.
func (m *flat) removeRelic() error {
	if m.relic < 0 {
		return nil
	}
	if _, err := m.file.WriteAt(zeros[:sector], m.relic); err != nil {
		return err
	}
	m.relic = -1
	return m.file.Sync()
}

// Sync makes durable what was written.
func (m *flat) Sync() error {
	if !m.write {
		return disk.ErrReadOnly
	}
	return m.file.Sync()
}

// ZeroAt makes holes.
func (m *flat) ZeroAt(off, n int64) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.prepare(off, n); err != nil {
		return err
	}
	end := off + n
	from, to := roundUp(off, page), end/page*page
	if from >= to {
		return m.fill(off, n)
	}
	if err := m.fill(off, from-off); err != nil {
		return err
	}
	if err := disk.PunchHole(m.file, from, to-from); err != nil {
		return err
	}
	return m.fill(to, end-to)
}

func (m *flat) fill(pos, n int64) error {
	for n > 0 {
		k, err := m.file.WriteAt(zeros[:min(n, int64(len(zeros)))], pos)
		if err != nil {
			return err
		}
		pos, n = pos+int64(k), n-int64(k)
	}
	return nil
}

// DiscardAt makes holes.
func (m *flat) DiscardAt(off, n int64) error { return m.ZeroAt(off, n) }

// SetUUID gives the image another identity.
func (m *flat) SetUUID(text string) error {
	id, err := parseUUID(text)
	if err != nil {
		return err
	}
	if !m.write {
		return disk.ErrReadOnly
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.doubt != nil {
		return m.doubt
	}
	next := m.foot.clone()
	next.setID(id)
	if err := m.writeFooter(next, m.tailAt); err != nil {
		return err
	}
	m.foot = next
	return nil
}

// writeFooter makes a footer durable.
func (m *flat) writeFooter(f footer, at int64) error {
	if _, err := m.file.WriteAt(f.seal(), at); err != nil {
		return err
	}
	return m.file.Sync()
}

// Resize moves the footer. There is at every moment one at the end of the
// file; while a second one is within the disk, the one at the end says in its
// original size where, so that it is not taken for data.
func (m *flat) Resize(size int64) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	if err := checkSize(size); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.doubt != nil:
		return m.doubt
	case size == m.size:
		return nil
	case m.size != m.tailAt:
		return disk.Unsupported(name, "the disk has %d bytes and the file room for %d; convert the image to one that agrees with itself", m.size, m.tailAt)
	}
	next := m.foot.clone()
	next.resize(size)
	var err error
	if size > m.size {
		err = m.grow(next, size)
	} else {
		err = m.shrink(next, size)
	}
	if err != nil {
		return err
	}
	m.foot, m.size, m.tailAt = next, size, size
	return nil
}

func (m *flat) grow(next footer, size int64) error {
	interim := next.clone()
	interim.setU64(atOriginal, uint64(m.tailAt))
	if err := m.writeFooter(interim, size); err != nil {
		return err
	}
	if _, err := m.file.WriteAt(zeros[:sector], m.tailAt); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	return m.writeFooter(next, size)
}

func (m *flat) shrink(next footer, size int64) error {
	interim := m.foot.clone()
	interim.setU64(atOriginal, uint64(size))
	if err := m.writeFooter(interim, m.tailAt); err != nil {
		return err
	}
	if err := m.writeFooter(next, size); err != nil {
		return err
	}
	if err := m.file.Truncate(size + footerSize); err != nil {
		return err
	}
	return m.file.Sync()
}

// checkSize finds sizes that a VHD cannot have.
func checkSize(size int64) error {
	switch {
	case size < 0:
		return disk.Usage("a disk cannot have %d bytes", size)
	case size > maxSize:
		return disk.Unsupported(name, "a VHD can have at most 2040 GiB (%d bytes); convert it to VHDX", maxSize)
	case size%sector != 0:
		return disk.Unsupported(name, "the size must be a multiple of 512; the nearest is %d", roundUp(size, sector))
	}
	return nil
}

// resize sets another size. A creator whose images go by the geometry is
// replaced when the geometry cannot say it.
func (f footer) resize(size int64) {
	f.setSize(size)
	if !f.sizedByNumber() && f.geometry().Size() != size {
		copy(f[atCreator:], ourCreator)
		f.setU32(atCreatorVer, ourVersion)
	}
}

// Check looks at the footer.
func (m *flat) Check(context.Context) (disk.Report, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := disk.Report{Blocks: 1, Allocated: 1}
	if !m.foot.sound() {
		r.Add(badSum(m.tailAt))
	}
	if m.size > m.tailAt {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: m.tailAt + atCurrent, Reason: m.doubt.Error()})
	}
	if m.relic >= 0 {
		r.Add(disk.Finding{
			Severity: disk.Note, Offset: m.relic, Reason: "a footer is left where the disk ended before its size was changed",
			Remedy: "the sector is made zero",
		})
	}
	return r, nil
}

// Repair mends the footer.
func (m *flat) Repair(ctx context.Context) (disk.Report, error) {
	if !m.write {
		return disk.Report{}, disk.ErrReadOnly
	}
	r, err := m.Check(ctx)
	if err != nil {
		return r, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.removeRelic(); err != nil {
		return r, err
	}
	if !m.foot.sound() {
		if err := m.writeFooter(m.foot, m.tailAt); err != nil {
			return r, err
		}
		if m.size <= m.tailAt {
			m.doubt = nil
		}
	}
	return mended(r), nil
}

func badSum(at int64) disk.Finding {
	return disk.Finding{
		Severity: disk.Damage, Offset: at + atSum, Reason: "the footer's checksum is wrong: something in it was changed, and nobody can know what",
		Remedy: "the checksum is computed from the footer as it is",
	}
}
