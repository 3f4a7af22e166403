package vhd

import (
	"errors"
	"fmt"

	"github.com/panalvm/panal/disk"
)

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
	if size == 0 {
		return errNoSector
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
	next.touch()
	var err error
	if size > m.size {
		err = m.grow(next, size)
	} else {
		err = m.shrink(next, size)
	}
	if err != nil {
		return m.doubtful(err, size)
	}
	m.foot, m.size, m.tailAt = next, size, size
	return nil
}

// doubtful takes note that nobody knows which footers the file has, as resizing
// failed: opening looks for them.
func (m *flat) doubtful(err error, size int64) error {
	m.doubt = fmt.Errorf("vhd: open the image anew, for its size could not be changed: %w", err)
	return errors.Join(err, m.findRelic(size))
}

func (m *flat) grow(next footer, size int64) error {
	interim := next.clone()
	interim.setU64(atOriginal, uint64(m.tailAt))
	if err := m.writeFooter(interim, size); err != nil {
		return err
	}
	if err := m.file.Fill(m.tailAt, sector); err != nil {
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
	if err := m.file.Cut(size + footerSize); err != nil {
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
