package vdi

import (
	"fmt"
	"io/fs"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// openParent opens what a differencing image is based on. No path stands in a
// VDI: the parent is the sibling with the right UUID. Only headers are compared,
// so that what is wrong further down the chain is told of the image that has it.
func openParent(s *disk.Source, h header) (disk.Image, error) {
	if !h.based() || s.Alone {
		return nil, nil
	}
	refs, err := findParent(s, h)
	if err != nil {
		return nil, err
	}
	return s.OpenParent(disk.ParentRef{Paths: refs, Format: name})
}

// findParent looks for the files that can be the parent, and tells how the
// child would refer to them.
func findParent(s *disk.Source, h header) (refs []string, err error) {
	files := s.FS()
	siblings, err := files.Siblings(s.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: looking for the image with the UUID %s: %w", disk.ErrNoParent, h.uuid(h.at.parent), err)
	}
	var changed error
	for _, sibling := range siblings {
		candidate, ok := headerOf(files, sibling)
		if !ok || candidate.uuid(candidate.at.image) != h.uuid(h.at.parent) {
			continue
		}
		if err := accept(h, candidate); err != nil {
			changed = fmt.Errorf("%s: %w", sibling, err)
		} else if ref, ok := reference(files, s.Name, sibling); ok {
			refs = append(refs, ref)
		}
	}
	switch {
	case len(refs) > 0:
		return refs, nil
	case changed != nil:
		return nil, changed
	}
	return nil, missingParent{h.uuid(h.at.parent)}
}

// headerOf reads the header of a file, which may be damaged or of no VDI.
func headerOf(files disk.FS, sibling string) (header, bool) {
	f, err := files.Open(sibling, false)
	if err != nil {
		return header{}, false
	}
	h, _ := readHeader(f) // one that can be read and not be used is still known by its UUID
	return h, f.Close() == nil && len(h.raw) > 0
}

// reference is how an image has to call a file for it to be found.
func reference(files disk.FS, from, to string) (string, bool) {
	for _, ref := range []string{to, "/" + to} {
		if got, err := files.Resolve(from, ref); err == nil && got == to {
			return ref, true
		}
	}
	return "", false
}

// missingParent is that no file is the parent. It is a missing file too, as
// that of a parent with a name would be.
type missingParent struct{ id uuid.UUID }

// Error says which image is missing, and where it belongs.
func (e missingParent) Error() string {
	return fmt.Sprintf("%v; it is the image with the UUID %s, which must lie in the same directory or in one that is allowed", disk.ErrNoParent, e.id)
}

// Is makes it match both kinds.
func (e missingParent) Is(target error) bool {
	return target == disk.ErrNoParent || target == fs.ErrNotExist
}

// accept tells whether an image with the parent's UUID is as it was.
func accept(h, parent header) error {
	want, got := h.parentModified(), parent.uuid(parent.at.modified)
	if want != uuid.Nil && got != want {
		return fmt.Errorf("%w: it was written since: the image with the parent's UUID %s has the modification UUID %s, and the parent had %s",
			disk.ErrWrongParent, h.uuid(h.at.parent), got, want)
	}
	return nil
}

// SetUUID gives the image another identity. Images that have it for a parent
// do not find it then.
func (m *image) SetUUID(text string) error {
	id, err := parseUUID(text)
	if err != nil {
		return err
	}
	return m.rewriteHeader(func(h header) { h.setUUID(h.at.image, id) })
}

// SetParent names another parent, by its UUIDs; path and format have no
// place in a VDI.
func (m *image) SetParent(parent disk.Image, _, _ string) error {
	if parent == nil {
		return m.rewriteHeader(func(h header) {
			h.setParent(uuid.Nil, uuid.Nil)
			h.setU32(h.at.kind, typeDynamic)
		})
	}
	if m.fixed {
		return disk.Unsupported(name, "a fixed image holds all of its disk and cannot have a parent; convert it to a dynamic one")
	}
	id, modified, err := identityOf(parent)
	if err != nil {
		return err
	}
	return m.rewriteHeader(func(h header) {
		h.setParent(id, modified)
		h.setU32(h.at.kind, typeDiff)
	})
}

func (h header) setParent(id, modified uuid.UUID) {
	h.setUUID(h.at.parent, id)
	if h.at.parentModified != 0 {
		h.setUUID(h.at.parentModified, modified)
	}
}

// identityOf gets the UUIDs by which a child finds its parent.
func identityOf(parent disk.Image) (id, modified uuid.UUID, err error) {
	info := disk.Describe(parent)
	if info.Format != name {
		return id, modified, disk.Unsupported(name, "the parent of a VDI must be a VDI, for it is found by its UUIDs; this one is %s", orUnknown(info.Format))
	}
	if id, err = uuid.Parse(info.UUID); err != nil || id == uuid.Nil {
		return id, modified, disk.Unsupported(name, "the parent has no UUID, by which it could be found; give it one first")
	}
	modified, err = uuid.Parse(info.Modified)
	return id, modified, err
}

func orUnknown(format string) string {
	if format == "" {
		return "of no known format"
	}
	return format
}

// parseUUID reads a UUID; "" is a random one.
func parseUUID(text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.NewRandom()
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return id, disk.Usage("%q is not a UUID; write it like 6ba7b810-9dad-11d1-80b4-00c04fd430c8", text)
	}
	return id, nil
}
