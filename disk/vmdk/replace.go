package vmdk

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// rewrite stores a descriptor whose extents or parent are others. If that takes
// more than a sector, and the text has a file of its own, another file takes that
// one's place, so that a power cut leaves the old or the new. image.shape is held for
// writing, m.identity.mu too.
func (m *image) rewrite(d *descriptor.Descriptor) error {
	d.Align(sector, m.desc.Aligned())
	if m.home.room > 0 || !m.identity.unsure.Load() && oneSector(m.desc, d) {
		return m.store(d)
	}
	if err := m.replace(d); !cannotReplace(err) {
		return err
	}
	return m.store(d) // the best that can be done here
}

// settleWhole is settleText for who holds image.shape for writing.
func (m *image) settleWhole() error {
	m.identity.mu.Lock()
	defer m.identity.mu.Unlock()
	if !m.identity.unsure.Load() {
		return nil
	}
	return m.rewrite(m.desc)
}

// oneSector tells whether all that differs, but for the data base, lies in one
// sector: that happens or does not.
func oneSector(old, d *descriptor.Descriptor) bool {
	a, b := old.Bytes(), d.Bytes()
	end := d.Aligned()
	if end == 0 || end != old.Aligned() || len(a) != len(b) {
		return false
	}
	from, to := changedSectors(a[:end], b[:end])
	return to-from <= sector
}

// cannotReplace tells whether an error says that files cannot be replaced where
// the image is: they have no names yet, or it is not allowed.
func cannotReplace(err error) bool {
	for _, cannot := range []error{errors.ErrUnsupported, fs.ErrPermission, fs.ErrNotExist, disk.ErrOutside} {
		if errors.Is(err, cannot) {
			return true
		}
	}
	return false
}

// replace puts a file with the text in the place of the descriptor's.
func (m *image) replace(d *descriptor.Descriptor) error {
	temporary, f, err := m.temporary()
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(d.Bytes(), 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = disk.Rename(m.fs, temporary, m.name)
	}
	if err != nil {
		if removed := m.fs.Remove(temporary); !errors.Is(removed, fs.ErrNotExist) {
			return errors.Join(err, f.Close()) // it was not renamed
		}
		m.identity.unsure.Store(true)
	}
	old := m.home.part.file
	m.home.part.file = f
	if err != nil {
		return errors.Join(err, old.Close())
	}
	m.desc = d
	m.identity.unsure.Store(false)
	return old.Close()
}

// temporary makes a file beside the descriptor's. A name may be taken by one
// that a power cut left.
func (m *image) temporary() (string, disk.File, error) {
	for i := 0; ; i++ {
		resolved, err := m.fs.Resolve(m.name, fmt.Sprintf("%s.new%d", base(m.name), i))
		if err != nil {
			return "", nil, err
		}
		f, err := m.fs.Create(resolved)
		if !errors.Is(err, fs.ErrExist) || i > 99 {
			return resolved, f, err
		}
	}
}
