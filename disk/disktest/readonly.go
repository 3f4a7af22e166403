package disktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// checkReadOnly tries to change an image that was opened for reading.
func checkReadOnly(s Subject) error {
	w, content, err := patterned(s)
	if err != nil {
		return err
	}
	before := w.snapshot()
	err = w.with("disk", false, func(img disk.Image) error {
		if disk.Writable(img) {
			return errors.New("opened for reading, it says that it can be written")
		}
		for _, a := range changes(img) {
			if err := a.try(); !errors.Is(err, disk.ErrReadOnly) {
				return fmt.Errorf("%s of an image opened for reading gave the error %v; it should be ErrReadOnly", a.name, err)
			}
		}
		return errors.Join(same(img, content), s.sound(img, disk.Note), dumped(img))
	})
	if err != nil {
		return err
	}
	return w.unchanged(before)
}

// attempt is a call that would change an image.
type attempt struct {
	name string
	try  func() error
}

// changes are the calls that an image has to change it.
func changes(img disk.Image) []attempt {
	var all []attempt
	add := func(name string, try func() error) { all = append(all, attempt{name, try}) }
	if x, ok := img.(disk.Writer); ok {
		add("WriteAt", func() error { _, err := x.WriteAt([]byte{1}, 0); return err })
	}
	if x, ok := img.(disk.Zeroer); ok {
		add("ZeroAt", func() error { return x.ZeroAt(0, 512) })
	}
	if x, ok := img.(disk.Discarder); ok {
		add("DiscardAt", func() error { return x.DiscardAt(0, 512) })
	}
	if x, ok := img.(disk.Resizer); ok {
		add("Resize", func() error { return notSupported(x.Resize(img.Size() + 1<<20)) })
	}
	if x, ok := img.(disk.Compacter); ok {
		add("Compact", func() error { _, err := x.Compact(context.Background(), nil); return notSupported(err) })
	}
	if x, ok := img.(disk.Identified); ok {
		add("SetUUID", func() error { return notSupported(x.SetUUID("")) })
	}
	if x, ok := img.(disk.Reparenter); ok {
		add("SetParent", func() error { return notSupported(x.SetParent(nil, "", "")) })
	}
	if x, ok := img.(disk.Repairer); ok {
		add("Repair", func() error { _, err := x.Repair(context.Background()); return notSupported(err) })
	}
	if x, ok := img.(disk.Compressor); ok {
		add("Compressing", func() error { _, err := x.Compressing(); return notSupported(err) })
	}
	return all
}

// notSupported lets a refusal pass that has another good reason.
func notSupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return disk.ErrReadOnly
	}
	return err
}

// dumped reads all the fields of the headers.
func dumped(img disk.Image) error {
	d, ok := img.(disk.Dumper)
	if !ok {
		return nil
	}
	count := 0
	for field, err := range d.Dump(context.Background()) {
		if err != nil {
			return fmt.Errorf("dump, after %d fields: %w", count, err)
		}
		if field.Name == "" || field.Offset < 0 || field.Len < 0 {
			return fmt.Errorf("dump has a field %+v", field)
		}
		count++
	}
	if count == 0 {
		return errors.New("dump shows no field")
	}
	return nil
}

// snapshot is the content of all files.
func (w *world) snapshot() map[string][]byte {
	all := map[string][]byte{}
	for _, name := range w.mem.Names() {
		all[name] = w.mem.Bytes(name)
	}
	return all
}

// unchanged compares all files with what they were.
func (w *world) unchanged(before map[string][]byte) error {
	if names := w.mem.Names(); len(names) != len(before) {
		return fmt.Errorf("there are files %q now; there were %d", names, len(before))
	}
	return w.unchangedFiles(before, w.mem.Names()...)
}

// unchangedFiles compares some files with what they were.
func (w *world) unchangedFiles(before map[string][]byte, names ...string) error {
	for _, name := range names {
		if !bytes.Equal(w.mem.Bytes(name), before[name]) {
			return fmt.Errorf("%s was changed, and was opened for reading only", name)
		}
	}
	return nil
}
