package vmdk

import (
	"bytes"
	"encoding/hex"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// identity is what changes in a descriptor while the image is open.
type identity struct {
	changed atomic.Bool // the CID was, since the image was opened
	unsure  atomic.Bool // the last change failed: the file may hold another text than image.desc; set with mu held
	mu      sync.Mutex  // guards image.desc and the file of it
}

// contentID is the image's CID.
func (m *image) contentID() (descriptor.CID, bool) {
	m.identity.mu.Lock()
	defer m.identity.mu.Unlock()
	return m.desc.CID()
}

// changing gives the image another CID before its first write, durably, as
// VMware does: its children notice that they no longer fit.
func (m *image) changing() error {
	if m.identity.changed.Load() {
		return nil
	}
	m.identity.mu.Lock()
	defer m.identity.mu.Unlock()
	if m.identity.changed.Load() {
		return nil
	}
	d := m.desc.Clone()
	if err := d.SetCID(newCID()); err != nil {
		return err
	}
	if err := m.store(d); err != nil {
		return err
	}
	m.identity.changed.Store(true)
	return nil
}

// edit changes the descriptor, durably.
func (m *image) edit(change func(d *descriptor.Descriptor) error) error {
	return m.editBy(m.store, change)
}

// editBy is edit, with how the text is to be stored.
func (m *image) editBy(store func(*descriptor.Descriptor) error, change func(d *descriptor.Descriptor) error) error {
	m.identity.mu.Lock()
	defer m.identity.mu.Unlock()
	if m.desc == nil {
		return disk.Unsupported(name, "the image has no descriptor that could be changed")
	}
	d := m.desc.Clone()
	if err := change(d); err != nil {
		return err
	}
	return store(d)
}

// settleText writes the descriptor anew when a change of it failed: what the
// file holds then nobody knows.
func (m *image) settleText() error {
	if !m.identity.unsure.Load() {
		return nil
	}
	m.identity.mu.Lock()
	defer m.identity.mu.Unlock()
	if !m.identity.unsure.Load() {
		return nil
	}
	return m.store(m.desc)
}

// store writes a descriptor in the place of the image's, and no sector that
// is known to stay as it is; m.identity.mu is held.
func (m *image) store(d *descriptor.Descriptor) error {
	d.Align(sector, m.desc.Aligned())
	old, text := m.desc.Bytes(), d.Bytes()
	h := m.home
	if h.room > 0 {
		if int64(len(text)) > h.room {
			return disk.Unsupported(name, "the descriptor would have %d bytes; there is room for %d", len(text), h.room)
		}
	}
	from, to := changedSectors(old, text)
	unsure := m.identity.unsure.Swap(true)
	if unsure {
		from, to = 0, len(text)
	}
	rest := max(0, len(old)-len(text)) // what remains of the old text behind
	if h.room > 0 && unsure {
		rest = int(h.room) - len(text)
	}
	if h.room > 0 && rest > 0 {
		text, to = append(text, make([]byte, rest)...), len(text)+rest
	}
	if _, err := h.part.file.WriteAt(text[from:to], h.off+int64(from)); err != nil {
		return err
	}
	if h.room == 0 && (rest > 0 || unsure) {
		if err := h.part.file.Truncate(int64(len(text))); err != nil {
			return err
		}
	}
	if err := h.part.file.Sync(); err != nil {
		return err
	}
	m.desc = d
	m.identity.unsure.Store(false)
	return nil
}

// changedSectors is the range of text, in whole sectors where it has them,
// that differs from old.
func changedSectors(old, text []byte) (from, to int) {
	same := func(i int) bool {
		return i < len(old) && bytes.Equal(old[i:min(i+sector, len(old))], text[i:min(i+sector, len(text))])
	}
	for from < len(text) && same(from) {
		from += sector
	}
	for to = len(text); to > from; {
		begin := (to - 1) / sector * sector
		if !same(begin) {
			break
		}
		to = begin
	}
	return min(from, to), to
}

// plainUUID brings a UUID into the form 8-4-4-4-12. VMware writes 16 bytes with
// blanks between, and one hyphen.
func plainUUID(text string) (string, bool) {
	digits := strings.NewReplacer(" ", "", "-", "", "{", "", "}", "").Replace(strings.ToLower(text))
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != 16 {
		return "", false
	}
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:], true
}

// SetUUID gives the image another identity, where VirtualBox keeps it.
func (m *image) SetUUID(id string) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	if id == "" {
		id = uuid.NewString()
	}
	id, ok := plainUUID(id)
	if !ok {
		return disk.Usage("that is not a UUID; it must be like 123e4567-e89b-12d3-a456-426614174000")
	}
	return m.edit(func(d *descriptor.Descriptor) error { return d.Set(keyUUID, id) })
}

// SetParent names another parent, or none.
func (m *image) SetParent(parent disk.Image, hint, _ string) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	if parent != nil && len(m.writers()) == 0 {
		return disk.Unsupported(name, "images of the kind %s cannot have a parent: nothing in them tells what was written", m.kind)
	}
	if err := checkName("parent's name", hint); err != nil {
		return err
	}
	m.shape.Lock()
	defer m.shape.Unlock()
	err := m.editBy(m.rewrite, func(d *descriptor.Descriptor) error {
		for _, key := range []string{keyParentUUID, keyParentModified} { // VirtualBox's, of the parent before
			d.Delete(key)
		}
		if parent == nil {
			d.Delete(keyHint)
			return d.Set("parentCID", descriptor.NoParent.String())
		}
		return nameParent(d, parent, hint)
	})
	if err == nil {
		m.link = nil
		if parent != nil {
			m.link = &disk.Link{Name: hint, Format: name}
		}
	}
	return err
}
