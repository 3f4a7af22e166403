package vhd

import "github.com/panalvm/panal/disk"

// Sync makes the blocks durable, then what points to them.
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

// sync tells also whether there is room to be reused.
func (m *image) sync() (bool, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	err := m.flush()
	return m.space != nil && len(m.space.durable) > 0, err
}

// flush writes bitmaps and table when the blocks and the footer behind them
// are durable. alloc is held.
func (m *image) flush() error {
	if err := m.heal(); err != nil {
		return err
	}
	if m.moved {
		if err := m.writeTail(); err != nil {
			return err
		}
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	if m.bitmaps.pending() > 0 || m.table.Dirty() > 0 {
		if err := m.bitmaps.flush(); err != nil {
			return err
		}
		if err := m.table.Flush(); err != nil {
			return err
		}
		if err := m.file.Sync(); err != nil {
			return err
		}
	}
	if m.space != nil {
		m.space.durable = append(m.space.durable, m.space.given...)
		m.space.given = nil
	}
	return nil
}

// writeTail writes the footer behind the last block, and cuts the file there
// when that is durable: what the file holds in its place may be a footer of old.
func (m *image) writeTail() error {
	at := m.space.end
	if _, err := m.put(m.foot, at); err != nil {
		return err
	}
	if end := at + footerSize; m.fileEnd.Load() > end {
		if err := m.file.Sync(); err != nil {
			return err
		}
		if err := m.file.Truncate(end); err != nil {
			return err
		}
		m.fileEnd.Store(end)
	}
	m.moved = false
	return nil
}

// reclaim makes room of blocks that nothing points to any more: their space
// goes back to the host, and the file becomes shorter if they were the last. Both
// locks are held.
func (m *image) reclaim() error {
	if p, ok := m.file.(disk.Puncher); ok {
		for _, start := range m.space.durable {
			from := roundUp(int64(start)*sector, page)
			to := (int64(start)*sector + m.geo.stride()) / page * page
			if from < to && p.PunchHole(from, to-from) != nil {
				break // space stays taken, which is no reason to fail
			}
		}
	}
	before := m.space.end
	m.space.reuse()
	if m.space.end == before {
		return nil
	}
	return m.writeTail()
}

// tailAt is where the footer is, or will be.
func (m *image) tailAt() int64 {
	if m.space != nil {
		return m.space.end
	}
	return m.fileEnd.Load() - footerSize
}

// commit makes a changed footer durable. When that fails nobody knows which
// footer the file has: the next Sync writes the old one.
func (m *image) commit(change func(footer)) error {
	old, torn := m.foot, m.torn
	next := old.clone()
	change(next)
	m.foot, m.torn = next.seal(), true
	if err := m.writeFooters(); err != nil {
		m.foot = old
		return err
	}
	m.torn = torn
	return nil
}

// writeFooters makes the footer durable, first where the copy is.
func (m *image) writeFooters() error {
	if err := m.writeCopy(); err != nil {
		return err
	}
	if err := m.writeTail(); err != nil {
		return err
	}
	return m.file.Sync()
}

// heal writes header and footer anew, after a change of one of them failed.
func (m *image) heal() error {
	if !m.torn {
		return nil
	}
	if err := m.writeHeader(m.head); err != nil {
		return err
	}
	if err := m.writeFooters(); err != nil {
		return err
	}
	m.torn = false
	return nil
}
