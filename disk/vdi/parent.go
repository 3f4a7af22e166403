package vdi

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// openParent opens what a differencing image is based on. No path stands in a
// VDI: the parent is the sibling with the right UUID.
func openParent(s *disk.Source, h header) (disk.Image, error) {
	if !h.based() {
		return nil, nil
	}
	var wrong error
	parent, err := s.OpenParent(disk.ParentRef{
		Format: name, Search: true,
		Accept: func(img disk.Image) error {
			err := accept(h, disk.Describe(img))
			if errors.Is(err, errChanged) {
				wrong = err
			}
			return err
		},
	})
	switch {
	case err == nil:
		return parent, nil
	case wrong != nil: // the search passes over what is not accepted, and does not say why
		return nil, wrong
	case errors.Is(err, disk.ErrNoParent):
		return nil, fmt.Errorf("%w; it is the image with the UUID %s, which must lie in the same directory", err, h.uuid(h.at.parent))
	}
	return nil, err
}

// errChanged is a parent that is the right one and was written since.
var errChanged = fmt.Errorf("%w: it was written since", disk.ErrWrongParent)

// accept tells whether an image is the parent that a header names.
func accept(h header, parent disk.Info) error {
	if want := h.uuid(h.at.parent).String(); parent.UUID != want {
		return fmt.Errorf("%w: its UUID is %s, that of the parent is %s", disk.ErrWrongParent, parent.UUID, want)
	}
	if want := h.parentModified(); want != uuid.Nil && parent.Modified != want.String() {
		return fmt.Errorf("%w: the image with the parent's UUID %s has the modification UUID %s, and the parent had %s", errChanged, parent.UUID, parent.Modified, want)
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
	if m.geo.fixed {
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
