package vhd

// Heads writes the footer behind the last block, if it is not there. After a
// repair that failed nobody knows which is the last: the copy at the start serves.
func (m *image) Heads() error {
	if m.Space == nil {
		return nil
	}
	if err := m.heal(); err != nil || !m.moved {
		return err
	}
	return m.writeTail()
}

// Shorten writes the footer behind the last block, and ends the file there.
func (m *image) Shorten() error { return m.writeTail() }

// writeTail writes the footer behind the last block, and cuts the file there
// when that is durable: what the file holds in its place may be a footer of old.
func (m *image) writeTail() error {
	at := m.Space.End()
	if _, err := m.File.WriteAt(m.foot, at); err != nil {
		return err
	}
	if end := at + footerSize; m.File.End() > end {
		if err := m.File.Sync(); err != nil {
			return err
		}
		if err := m.File.Cut(end); err != nil {
			return err
		}
	}
	m.moved = false
	return nil
}

// tailAt is where the footer is, or will be.
func (m *image) tailAt() int64 {
	if m.Space != nil {
		return m.Space.End()
	}
	return m.File.End() - footerSize
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
	return m.File.Sync()
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
