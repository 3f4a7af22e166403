package disktest

import (
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// model is an image and what it should hold.
type model struct {
	*world
	image   string
	img     disk.Image
	content []byte
}

// follow does operations on an image and on a slice of bytes, and compares.
func follow(s Subject, ops []op) (err error) {
	w := newWorld(s)
	img, err := w.create("model", s.Size)
	if err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	m := &model{world: w, image: "model", img: img, content: make([]byte, s.Size)}
	return m.run(ops)
}

// run does operations, and closes the image.
func (m *model) run(ops []op) error {
	for i, o := range ops {
		if err := m.do(o); err != nil {
			return fmt.Errorf("operation %d of %v: %w", i+1, ops[:i+1], err)
		}
	}
	if err := m.reopen(false); err != nil {
		return fmt.Errorf("at the end of %v: %w", ops, err)
	}
	if err := m.sound(m.img, disk.Leak); err != nil {
		return fmt.Errorf("at the end of %v: %w", ops, err)
	}
	return m.finished(m.img)
}

func (m *model) do(o op) error {
	size := int64(len(m.content))
	off, n := o.on(size)
	switch o.Kind {
	case opSync:
		return m.img.(disk.Writer).Sync()
	case opReopen:
		return m.reopen(true)
	case opReopenReadOnly:
		if err := m.reopen(false); err != nil {
			return err
		}
		return m.reopen(true)
	case opCheck:
		return m.sound(m.img, disk.Leak)
	case opResize:
		return m.resize(m.aligned(o.Place % (2 * m.Size)))
	}
	if err := apply(m.img, m.content, o); err != nil {
		return err
	}
	return m.around(off, n)
}

// apply does an operation that changes content, on both.
func apply(img disk.Image, content []byte, o op) error {
	off, n := o.on(int64(len(content)))
	part := content[off : off+n]
	switch o.Kind {
	case opWrite, opWriteZeros:
		clear(part)
		if o.Kind == opWrite {
			noise(part, o.Seed)
		}
		written, err := img.(disk.Writer).WriteAt(part, off)
		if err == nil && written != len(part) {
			err = fmt.Errorf("%d of %d bytes were written, without an error", written, len(part))
		}
		return err
	case opZero:
		clear(part)
		return disk.Zero(img, off, n)
	case opDiscard:
		if err := disk.Discard(img, off, n); err != nil {
			return err
		}
		return adopt(img, part, off)
	}
	return fmt.Errorf("%v changes no content", o)
}

// adopt takes over what a discarded range holds now: each byte as before or
// zero.
func adopt(img disk.Image, part []byte, off int64) error {
	now := make([]byte, len(part))
	if n, err := img.ReadAt(now, off); n != len(now) || err != nil && err != io.EOF {
		return fmt.Errorf("reading what was discarded: %d of %d bytes, %w", n, len(now), err)
	}
	for i, b := range now {
		if b != 0 && b != part[i] {
			return fmt.Errorf("byte %d was discarded and is now %#02x; before it was %#02x", off+int64(i), b, part[i])
		}
	}
	copy(part, now)
	return nil
}

// around compares a range and its surroundings.
func (m *model) around(off, n int64) error {
	start, end := max(0, off-700), min(off+n+700, int64(len(m.content)))
	return sameAt(m.img, make([]byte, end-start), m.content[start:end], start)
}

func (m *model) resize(size int64) error {
	err := disk.Resize(m.img, size)
	if !m.resizable(int64(len(m.content)), size) {
		if err == nil && size != int64(len(m.content)) {
			return fmt.Errorf("resizing from %d to %d was not refused", len(m.content), size)
		}
		return same(m.img, m.content)
	}
	if err != nil {
		return fmt.Errorf("resizing from %d to %d: %w", len(m.content), size, err)
	}
	m.content = resized(m.content, size)
	return same(m.img, m.content)
}

// reopen closes the image, opens it and looks through all of it.
func (m *model) reopen(write bool) error {
	if err := m.finished(m.img); err != nil {
		return err
	}
	var err error
	if m.img, err = m.open(m.image, write); err != nil {
		return fmt.Errorf("opening again (write %v): %w", write, err)
	}
	if disk.Writable(m.img) != write {
		return errors.Join(fmt.Errorf("opened with write %v it says writable %v", write, !write), m.img.Close())
	}
	if err := same(m.img, m.content); err != nil {
		return fmt.Errorf("after opening again (write %v): %w", write, err)
	}
	return mapped(m.img, m.content)
}
