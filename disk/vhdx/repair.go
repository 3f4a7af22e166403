package vhdx

import (
	"context"
	"errors"
	"io"

	"github.com/panalvm/panal/disk"
)

// Repair mends what Check found.
func (m *image) Repair(ctx context.Context) (disk.Report, error) {
	c := &checker{image: m, mend: true}
	m.mu.RLock()
	faults := m.headers.faults
	m.mu.RUnlock()
	err := m.alone(false, func() error {
		for i, fault := range faults {
			if fault != nil && m.headers.faults[i] == nil { // by marking the image as changed
				c.report.Add(headerFinding(i, fault))
			}
		}
		m.mu.Lock()
		c.used, m.stale = newUnits(m.end), nil // what is stale is found to be leaked
		err := c.all(ctx)
		m.mu.Unlock()
		if err != nil {
			return err
		}
		for _, mend := range append(c.later, m.flushHeld, m.shorten) {
			if err := mend(); err != nil {
				return err
			}
		}
		return nil
	})
	return c.report, err
}

// alone does something while nobody reads or writes. What it has changed in
// the tables it must flush with flushHeld.
func (m *image) alone(data bool, do func() error) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	m.flushing.Lock()
	defer m.flushing.Unlock()
	if err := m.markLocked(data); err != nil {
		return err
	}
	m.data.Lock()
	defer m.data.Unlock()
	return do()
}

// copyOut gives a block a place of its own, with what is in the one that it
// shares.
func (c *checker) copyOut(b int64, e entry) error {
	host, _ := c.take(1, c.blockSize())
	if err := c.copyBlock(e.host(), host, c.blockEnd(b)-b<<c.block); err != nil {
		return err
	}
	if n := roundUp(c.end, mib) / mib / 64; n >= int64(len(c.used)) {
		c.used = append(c.used, make(units, n+1-int64(len(c.used)))...)
	}
	c.used.mark(span{host, c.blockSize()})
	return c.setPayload(b, makeEntry(e.state(), host))
}

// copyBlock copies n bytes within the file.
func (m *image) copyBlock(from, to, n int64) error {
	if done, err := m.share(from, to, n); done || err != nil {
		return err
	}
	p := make([]byte, min(n, mib))
	for done := int64(0); done < n; {
		k := min(int64(len(p)), n-done)
		got, err := m.file.ReadAt(p[:k], from+done)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		clear(p[got:k])
		if _, err := m.file.WriteAt(p[:k], to+done); err != nil {
			return err
		}
		done += k
	}
	return nil
}

// share copies within the file without the bytes passing through here, where
// the host can.
func (m *image) share(from, to, n int64) (done bool, err error) {
	c, ok := m.file.(disk.RangeCopier)
	if !ok {
		return false, nil
	}
	size, err := m.file.Size()
	if err != nil || from+n > size {
		return false, err
	}
	for n > 0 {
		k, err := c.CopyRange(to, m.file, from, n)
		if err != nil || k <= 0 {
			return false, nil // the slow way says what is wrong, if anything is
		}
		from, to, n = from+k, to+k, n-k
	}
	return true, nil
}

// shorten cuts off what is free at the end of the file.
func (m *image) shorten() error {
	m.mu.Lock()
	end := m.end
	for again := true; again; {
		again = false
		for i, s := range m.free {
			if s.end() >= end && s.off < end {
				end, again = s.off, true
				m.free = append(m.free[:i], m.free[i+1:]...)
				break
			}
		}
	}
	m.mu.Unlock()
	return m.truncate(end)
}

// truncate cuts the file. The entries of the log say how long it was, so they
// must not be replayed after that, not even the newest, which is when the next is torn.
func (m *image) truncate(end int64) error {
	size, err := m.file.Size()
	if err != nil || end >= size {
		return err
	}
	if err := m.tighten(); err != nil {
		return err
	}
	if err := m.file.Truncate(end); err != nil {
		return err
	}
	m.journal.renew()
	m.mu.Lock()
	m.end = end
	m.mu.Unlock()
	return m.file.Sync()
}
