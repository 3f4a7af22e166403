package blockmap

import "github.com/panalvm/panal/disk"

// Sync makes the blocks durable, then what points to them.
func (m *Image) Sync() error {
	if !m.write {
		return disk.ErrReadOnly
	}
	again, err := m.sync()
	if err != nil || !again {
		return err
	}
	return m.Alone(m.Reclaim) // when nobody reads what was given up
}

// sync tells also whether there is room to be used again.
func (m *Image) sync() (again bool, err error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	m.space.Lock()
	defer m.space.Unlock()
	err = m.Flush()
	return m.Space != nil && len(m.Space.durable) > 0, err
}

// Alone does something while nobody reads or writes.
func (m *Image) Alone(do func() error) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	m.space.Lock()
	defer m.space.Unlock()
	return do()
}

// AloneSettled is Alone for a change, when all changes before are durable.
func (m *Image) AloneSettled(do func() error) error {
	return m.Alone(func() error {
		if err := m.begin(); err != nil {
			return err
		}
		if err := m.Flush(); err != nil {
			return err
		}
		return do()
	})
}

// Flush makes all changes durable: the blocks and what belongs to them, then
// what points to them. The space is held.
func (m *Image) Flush() error {
	if err := m.kind.Heads(); err != nil {
		return err
	}
	if err := m.File.Sync(); err != nil {
		return err
	}
	if m.dirty() > 0 {
		for _, p := range m.pending {
			if err := p.Flush(); err != nil {
				return err
			}
		}
		if err := m.File.Sync(); err != nil {
			return err
		}
	}
	if m.Space != nil {
		m.Space.Settle()
	}
	return nil
}

// Reclaim makes room of blocks that no durable pointer leads to any more: their
// space goes back to the host, and the file becomes shorter if they were the last.
// Nobody else reads or writes.
func (m *Image) Reclaim() error {
	if m.Space != nil && m.Space.Reuse(m.File.giveBack) {
		return m.kind.Shorten()
	}
	return nil
}

// Forget makes the next change look at the file anew, where the pointers were
// written by other means.
func (m *Image) Forget() {
	m.Table.Drop()
	m.Renew()
}

// Renew makes the next change look for the room that is left.
func (m *Image) Renew() {
	m.Space = nil
	m.ready.Store(false)
}
