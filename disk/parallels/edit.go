package parallels

import (
	"errors"
	"io/fs"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// temporarySuffix is what the name of a new descriptor has until it takes the
// place of the old.
const temporarySuffix = ".tmp"

// edit changes the descriptor: change is given a copy of its elements. It is
// done durably and as a whole, by putting another file in its place. When it
// fails, the descriptor is as before. mu is held for writing.
func (b *bundle) edit(change func(root *element) error) error {
	root := b.d.root.clone()
	if err := change(root); err != nil {
		return err
	}
	text := root.document()
	if len(text) > maxDescriptor {
		return disk.Unsupported(name, "the descriptor would have %d bytes; up to %d are read", len(text), maxDescriptor)
	}
	again, err := parseElements(text)
	if err != nil {
		return err
	}
	d, err := parseDescriptor(again)
	if err != nil {
		return err
	}
	return b.replace(text, d)
}

// replace makes a text the bundle's descriptor.
func (b *bundle) replace(text []byte, d *descriptor) error {
	temporary := b.name + temporarySuffix
	file, err := b.files.Create(temporary)
	if errors.Is(err, fs.ErrExist) { // of somebody who died
		if err = b.files.Remove(temporary); err == nil {
			file, err = b.files.Create(temporary)
		}
	}
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(text, 0); err == nil {
		err = file.Sync()
	}
	if err != nil {
		return errors.Join(err, file.Close(), b.files.Remove(temporary))
	}
	if err := disk.Rename(b.files, temporary, b.name); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return errors.Join(err, file.Close(), b.files.Remove(temporary))
		}
		b.lost = err // it may have been done
		return errors.Join(err, file.Close())
	}
	_ = b.file.Close() // nothing was written to it
	b.file, b.d = file, d
	return nil
}

// identity checks a UUID; "" gives a random one.
func identity(id string) (string, error) {
	if id == "" {
		return uuid.NewString(), nil
	}
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != len(guidNone) {
		return "", disk.Usage("%q is no UUID", id)
	}
	return parsed.String(), nil
}

// storageElements are the elements of the storages, in their order.
func storageElements(root *element) []*element {
	return root.child("StorageData").all("Storage")
}

// dropShots removes shots with all their files.
func dropShots(root *element, guids map[string]bool) {
	gone := func(label string) func(*element) bool {
		return func(e *element) bool { return e.name == label && guids[guid(e.string("GUID"))] }
	}
	for _, s := range storageElements(root) {
		s.drop(gone("Image"))
	}
	root.ensure("Snapshots").drop(gone("Shot"))
}

// imageElement is a file of a storage.
func imageElement(f file) *element {
	kind := typeCompressed
	if f.plain {
		kind = typePlain
	}
	return node("Image", leaf("GUID", braced(f.guid)), leaf("Type", kind), leaf("File", f.path))
}

// shotElement is a shot; its parent is "" for the first.
func shotElement(s shot) *element {
	if s.parent == "" {
		s.parent = guidNone
	}
	return node("Shot", leaf("GUID", braced(s.guid)), leaf("ParentGUID", braced(s.parent)))
}

// spellOut writes down what a descriptor may leave out: the only shot of a
// bundle, and the GUID of its files.
func (d *descriptor) spellOut(root *element) {
	shots := root.ensure("Snapshots")
	if len(shots.all("Shot")) > 0 {
		return
	}
	only := d.shots[0]
	shots.children = append(shots.children, shotElement(only))
	for _, s := range storageElements(root) {
		for _, image := range s.all("Image") {
			image.set("GUID", braced(only.guid))
		}
	}
}
