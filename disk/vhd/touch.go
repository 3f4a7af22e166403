package vhd

import (
	"fmt"
	"time"

	"github.com/panalvm/panal/disk"
)

// A child writes down when its parent was changed last, and the one time that a
// VHD has is when it was made. So Panal moves that forward when it changes what
// an image holds, for the first time after opening it.

// touch is a change of a footer that its children notice.
func (f footer) touch() {
	f.setU32(atTime, max(stamp(time.Now()), min(f.u32(atTime), 0xfffffffe)+1))
}

// touch makes children notice that the image is about to hold something else. The
// space's lock is held.
func (m *image) touch() error {
	if m.touched.Load() {
		return nil
	}
	if err := m.commit(footer.touch); err != nil {
		return err
	}
	m.touched.Store(true)
	return nil
}

// parentWarning says that the parent was changed after the image was made on it;
// "" if that is not known. The time that the image has of its parent may be that of
// the parent's file, and is later than the parent's own then. Only an earlier one
// tells something.
func (m *image) parentWarning() string {
	if !m.based || m.Parent() == nil {
		return ""
	}
	remembered := m.head.u32(atParentTime)
	changed := disk.Describe(m.Parent()).Created
	if remembered == 0 || stamp(changed) <= remembered {
		return ""
	}
	return fmt.Sprintf("the parent was written at %s, after this image was made on it (it remembers %s): where this image takes sectors from the parent, they may be other ones",
		changed.Format(time.DateTime), timeOf(remembered).Format(time.DateTime))
}

// change shares the size of the disk, for a change of a range.
func (m *flat) change(off, n int64) (unlock func(), err error) {
	if n > 0 && !m.touched.Load() {
		if err := m.touch(off, n); err != nil {
			return nil, err
		}
	}
	m.mu.RLock()
	if err := m.prepare(off, n); err != nil {
		m.mu.RUnlock()
		return nil, err
	}
	return m.mu.RUnlock, nil
}

// touch makes children notice a change of a range.
func (m *flat) touch(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.prepare(off, n); err != nil || m.touched.Load() {
		return err
	}
	next := m.foot.clone()
	next.touch()
	if err := m.writeFooter(next, m.tailAt); err != nil {
		return err
	}
	m.foot = next
	m.touched.Store(true)
	return nil
}
