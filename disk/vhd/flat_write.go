package vhd

import (
	"errors"

	"github.com/panalvm/panal/disk"
)

// WriteAt writes to the file.
func (m *flat) WriteAt(p []byte, off int64) (int, error) {
	unlock, err := m.change(off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer unlock()
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
	if err := m.file.Fill(m.relic, sector); err != nil {
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
	unlock, err := m.change(off, n)
	if err != nil {
		return err
	}
	defer unlock()
	return m.file.Clear(off, n)
}

// DiscardAt makes holes.
func (m *flat) DiscardAt(off, n int64) error { return m.ZeroAt(off, n) }

// CopyHost takes a range of another file, through the kernel.
func (m *flat) CopyHost(off int64, src disk.File, srcOff, n int64) (int64, error) {
	unlock, err := m.change(off, n)
	if err != nil {
		return 0, err
	}
	defer unlock()
	copier, ok := m.file.Raw().(disk.RangeCopier)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return copier.CopyRange(off, src, srcOff, n)
}
