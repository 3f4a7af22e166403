package vhdx

import (
	"cmp"
	"slices"

	"github.com/panalvm/panal/disk"
)

// Sync makes durable all that was written: first the data, then, through the
// log, the entries and bits that point to it.
func (m *image) Sync() error {
	if !m.write {
		return disk.ErrReadOnly
	}
	m.flushing.Lock()
	defer m.flushing.Unlock()
	return m.flush(m.collect)
}

// flushHeld is Sync with m.flushing and, alone, m.data held.
func (m *image) flushHeld() error { return m.flush(m.collectHeld) }

// batch is what one flush makes durable.
type batch struct {
	sectors []sector
	freed   []span
	size    int64 // of the file
}

// flush makes durable what collect gives. m.flushing must be held.
//
//	data, the file's length, an empty first entry   barrier
//	header that names the log, entry                barrier
//	the tables in place                             barrier
//	header that names no log                        made durable by the next flush
//
// Until the last header is durable a power cut leads to the entry being
// replayed, which changes nothing, as it was put in place already.
func (m *image) flush(collect func() (batch, error)) error {
	if !m.markedFile.Load() {
		return nil
	}
	if err := m.undo(); err != nil {
		return err
	}
	b, err := collect()
	if err != nil {
		return err
	}
	if err = m.commit(b); err != nil {
		m.mu.Lock()
		m.freed = append(m.freed, b.freed...)
		m.mu.Unlock()
	}
	m.pages.settle(b.sectors, err == nil)
	if err == nil {
		m.recycle(b.freed)
	}
	return err
}

// collect waits for those that are writing data, and takes the pages that
// they changed. The file is made as long as what these point to.
func (m *image) collect() (batch, error) {
	m.data.Lock()
	defer m.data.Unlock()
	return m.collectHeld()
}

// collectHeld is collect with m.data held.
func (m *image) collectHeld() (batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size, err := m.file.Size()
	if err != nil {
		return batch{}, err
	}
	if size < m.end && len(m.pages.dirty) > 0 {
		if err := m.file.Truncate(m.end); err != nil {
			return batch{}, err
		}
		size = m.end
	}
	b := batch{sectors: m.pages.take(), freed: m.freed, size: size}
	m.freed = nil
	slices.SortFunc(b.sectors, func(x, y sector) int { return m.before(x, y) })
	return b, nil
}

// before orders sectors such that those that fit into no single entry may
// become durable one after the other: bitmaps before the table that says that they count, and
// the table backwards, as a bitmap's entry stands behind those of its blocks.
func (m *image) before(x, y sector) int {
	inX, inY := m.table.overlaps(span{x.off, 1}), m.table.overlaps(span{y.off, 1})
	switch {
	case inX && inY:
		return cmp.Compare(y.off, x.off)
	case inX:
		return 1
	case inY:
		return -1
	}
	return cmp.Compare(x.off, y.off)
}

// commit makes the data durable and puts sectors in place through the log.
func (m *image) commit(b batch) error {
	if len(b.sectors) > 0 {
		if err := m.begun(b.size); err != nil {
			return err
		}
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	m.journal.loose = false
	for part := range slices.Chunk(b.sectors, m.journal.capacity()) {
		if err := m.logged(part, b.size); err != nil {
			return err
		}
	}
	return m.disown()
}

// begun sees to it that the log has an entry before a header names the log.
func (m *image) begun(size int64) error {
	if m.journal.sequence > 0 {
		return nil
	}
	m.journal.loose = true
	return m.journal.append(nil, size)
}

// logged puts sectors in place, all or none.
func (m *image) logged(list []sector, size int64) error {
	if err := m.begun(size); err != nil {
		return err
	}
	if !m.journal.named {
		if err := m.header(func(h *header) { h.log = m.journal.id }); err != nil {
			return err
		}
		m.journal.named = true
	}
	if err := m.journal.append(list, size); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	m.journal.loose = false
	if err := m.inPlace(list); err != nil {
		return err
	}
	return m.file.Sync()
}

// inPlace writes sectors where they belong; neighbours at once.
func (m *image) inPlace(list []sector) error {
	list = slices.Clone(list)
	slices.SortFunc(list, func(x, y sector) int { return cmp.Compare(x.off, y.off) })
	for len(list) > 0 {
		n := 1
		p := slices.Clone(list[0].data)
		for n < len(list) && list[n].off == list[0].off+int64(len(p)) {
			p = append(p, list[n].data...)
			n++
		}
		if _, err := m.file.WriteAt(p, list[0].off); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// disown writes a header that names no log.
func (m *image) disown() error {
	if !m.journal.named {
		return nil
	}
	if err := m.header(func(h *header) { h.log = guid{} }); err != nil {
		return err
	}
	m.journal.named = false
	return nil
}

// header changes the ruling header. What was written by the call before must
// be durable first, so that one of the two is whole at any time.
func (m *image) header(change func(*header)) error {
	if m.journal.loose {
		if err := m.file.Sync(); err != nil {
			return err
		}
	}
	m.journal.loose = true
	next, err := m.headers.next(m.file, change)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.headers = next
	return nil
}

// finish makes the last header durable, after the last Sync.
func (m *image) finish() error {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	return m.tighten()
}

// tighten makes the ruling header durable.
func (m *image) tighten() error {
	if !m.journal.loose {
		return nil
	}
	err := m.file.Sync()
	m.journal.loose = err != nil
	return err
}

// mark changes the GUIDs that tell others that the file was changed, before
// the first change, and those of the data before the first change that a guest could see,
// [MS-VHDX] 2.2.2.
func (m *image) mark(data bool) error {
	if data && m.markedData.Load() || !data && m.markedFile.Load() {
		return nil
	}
	m.flushing.Lock()
	defer m.flushing.Unlock()
	return m.markLocked(data)
}

// markLocked is mark with m.flushing held.
func (m *image) markLocked(data bool) error {
	if data && m.markedData.Load() || !data && m.markedFile.Load() {
		return nil
	}
	err := m.header(func(h *header) {
		h.fileWrite = newGUID()
		if data {
			h.dataWrite = newGUID()
		}
	})
	if err == nil {
		err = m.tighten()
	}
	if err != nil {
		return err
	}
	if !m.markedFile.Swap(true) {
		m.findGaps()
	}
	if data {
		m.markedData.Store(true)
	}
	return nil
}

// recycle gives back to the host what no durable entry points to any more,
// and to the allocator.
func (m *image) recycle(freed []span) {
	for _, s := range freed {
		if err := disk.PunchHole(m.file, s.off, s.length); err == nil {
			m.mu.Lock()
			m.free = append(m.free, s)
			m.mu.Unlock()
		} // what could not be cleared is not used again; a check calls it leaked
	}
}
