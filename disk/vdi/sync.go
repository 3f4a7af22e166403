package vdi

import "github.com/panalvm/panal/disk"

// Sync makes the blocks durable, then the map that points to them.
func (m *image) Sync() error {
	if !m.write {
		return disk.ErrReadOnly
	}
	again, err := m.sync()
	if err != nil || !again {
		return err
	}
	m.layout.Lock() // nobody reads what was given up
	defer m.layout.Unlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	return m.reclaim()
}

// sync tells also whether there are places to be reused.
func (m *image) sync() (bool, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	err := m.flush()
	return m.places != nil && len(m.places.durable) > 0, err
}

// flush writes header and map, when the blocks are durable. The header goes
// with the blocks: its number of used places must never be lower than what the map
// uses, or other programs would put new blocks over old ones. alloc is held.
func (m *image) flush() error {
	if m.stale {
		if err := m.extend(); err != nil {
			return err
		}
		if err := m.writeHeader(); err != nil {
			return err
		}
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	if m.blockMap.Dirty() > 0 {
		if err := m.blockMap.Flush(); err != nil {
			return err
		}
		if err := m.file.Sync(); err != nil {
			return err
		}
	}
	if m.places != nil {
		m.places.durable = append(m.places.durable, m.places.given...)
		m.places.given = nil
	}
	return nil
}

// extend makes the file as long as its last place, of which maybe only the
// beginning was written.
func (m *image) extend() error {
	if m.places == nil || m.places.next == 0 {
		return nil
	}
	end := m.geo.placeEnd(m.places.next - 1)
	if end <= m.fileEnd.Load() {
		return nil
	}
	if err := m.file.Truncate(end); err != nil {
		return err
	}
	m.fileEnd.Store(end)
	return nil
}

// writeHeader writes the header, which lies in one sector.
func (m *image) writeHeader() error {
	if _, err := m.file.WriteAt(m.head.raw, 0); err != nil {
		return err
	}
	m.stale = false
	return nil
}

// reclaim makes places free that nothing points to any more: their space goes
// back to the host, and the file becomes shorter if they were the last. Both
// locks are held.
func (m *image) reclaim() error {
	if p, ok := m.file.(disk.Puncher); ok {
		for _, place := range m.places.durable {
			if p.PunchHole(m.geo.dataAt(place)-m.geo.extra, m.geo.stride) != nil {
				break // space stays taken, which is no reason to fail
			}
		}
	}
	before := m.places.next
	next := m.places.reuse()
	if next == before {
		return nil
	}
	m.noteUsed()
	if err := m.writeHeader(); err != nil {
		return err
	}
	return m.truncate(m.geo.placeEnd(next - 1))
}

// truncate makes the file shorter.
func (m *image) truncate(end int64) error {
	if end >= m.fileEnd.Load() {
		return nil
	}
	if err := m.file.Truncate(end); err != nil {
		return err
	}
	m.fileEnd.Store(end)
	return nil
}

// rewriteHeader changes the header, durably, when all else is.
func (m *image) rewriteHeader(change func(header)) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	if err := m.flush(); err != nil {
		return err
	}
	next := m.head.clone()
	change(next)
	if _, err := m.file.WriteAt(next.raw, 0); err != nil {
		return err
	}
	m.head = next
	return m.file.Sync()
}
