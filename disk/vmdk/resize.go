package vmdk

import (
	"errors"
	"fmt"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// Resize makes the disk longer or shorter. What becomes longer is first so in
// the files, and then in the descriptor; what becomes shorter the other way round: the
// descriptor counts, and at any moment the files hold what it says.
func (m *image) Resize(size int64) error {
	if err := m.checkWritable(); err != nil {
		return err
	}
	if err := checkSize(size); err != nil {
		return err
	}
	m.shape.Lock()
	defer m.shape.Unlock()
	if size == m.size {
		return nil
	}
	if err := m.changing(); err != nil {
		return err
	}
	if err := m.syncAll(); err != nil {
		return err
	}
	if size > m.size {
		return m.grow(size)
	}
	return m.shrink(size)
}

// grow makes the last extent longer, and adds more where they are split.
func (m *image) grow(size int64) error {
	old := m.size
	last := &m.spans[len(m.spans)-1]
	room := size - old
	if m.split() {
		room = min(room, max(splitSize-last.len, 0))
	}
	if room > 0 {
		if err := m.growSpan(last, last.len+room); err != nil {
			return err
		}
	}
	m.size = last.start + last.len
	for m.size < size {
		if err := m.addSpan(min(splitSize, size-m.size)); err != nil {
			return errors.Join(err, m.trim(old))
		}
	}
	if err := m.hide(old, size); err != nil {
		return errors.Join(err, m.trim(old))
	}
	if err := m.syncAll(); err != nil {
		return errors.Join(err, m.trim(old))
	}
	if err := m.describeExtents(); err != nil {
		return errors.Join(err, m.trim(old))
	}
	return nil
}

// split tells whether extents are limited in size.
func (m *image) split() bool { return m.kind == kindSplitFlat || m.kind == kindSplitSparse }

// trim goes back to the size that the descriptor tells; what files have beyond
// does no harm.
func (m *image) trim(size int64) error {
	for len(m.spans) > 1 && m.spans[len(m.spans)-1].start >= size {
		m.spans = m.spans[:len(m.spans)-1]
	}
	last := &m.spans[len(m.spans)-1]
	last.len, m.size = size-last.start, size
	return nil
}

// hide makes what was added read as zeros where a parent is longer.
func (m *image) hide(from, to int64) error {
	if m.parent != nil {
		to = min(to, m.parent.Size())
	}
	if m.parent == nil || from >= to {
		return nil
	}
	return m.eachSpan(from, to-from, func(s *span, off, n int64) error { return m.clearSpan(s, off, n, false) })
}

func (m *image) growSpan(s *span, size int64) error {
	if s.access != descriptor.ReadWrite {
		return disk.Unsupported(name, "the last extent is declared %s and cannot grow", s.access)
	}
	switch e := s.extent.(type) {
	case *flat:
		if err := m.growFlat(e, size); err != nil {
			return err
		}
	case *sparse:
		if e.writer == nil {
			return disk.Unsupported(name, "the last extent cannot be written, and so not grow")
		}
		if err := e.writer.grow(size); err != nil {
			return err
		}
	case zeros:
	default:
		return disk.Unsupported(name, "the last extent cannot grow")
	}
	s.len = size
	return nil
}

// growFlat makes a file longer; it may have a rest of what was cut before.
func (m *image) growFlat(f *flat, size int64) error {
	for i := range m.spans {
		if other, ok := m.spans[i].extent.(*flat); ok && other != f && other.part == f.part {
			return disk.Unsupported(name, "the last extent shares its file with another and cannot grow")
		}
	}
	if err := f.part.file.Truncate(f.from + f.size); err != nil {
		return err
	}
	if err := f.part.file.Truncate(f.from + size); err != nil {
		return err
	}
	f.size = size
	return f.part.file.Sync()
}

// addSpan makes a further extent in a file of its own.
func (m *image) addSpan(size int64) error {
	line := descriptor.Extent{Access: descriptor.ReadWrite, Sectors: size / sector, Type: "SPARSE"}
	mark, grain := "-s%03d", int64(64<<10)
	if m.kind == kindSplitFlat {
		line.Type, mark = "FLAT", "-f%03d"
	} else if s, ok := m.spans[0].extent.(*sparse); ok {
		grain = s.grain
	}
	line.File = extentName(m.name, mark, len(m.spans)+1)
	if err := checkName("new extent's name", line.File); err != nil {
		return err
	}
	resolved, err := m.fs.Resolve(m.name, line.File)
	if err != nil {
		return err
	}
	f, err := m.fs.Create(resolved)
	if err != nil {
		return fmt.Errorf("extent %q: %w", line.File, err)
	}
	p := &part{ref: line.File, file: f}
	m.parts = append(m.parts, p)
	if err := fillFile(p, line, grain, m.zeroedGrains()); err != nil {
		return err
	}
	return m.attach(p, m.spans[len(m.spans)-1].line+1, line)
}

// zeroedGrains tells whether new extents are to know grains of zeros.
func (m *image) zeroedGrains() bool {
	s, ok := m.spans[0].extent.(*sparse)
	return ok && s.header.flags&flagZeroed != 0
}

// describeExtents writes the extents as they are into the descriptor.
func (m *image) describeExtents() error {
	return m.edit(func(d *descriptor.Descriptor) error {
		all, err := d.Extents()
		if err != nil {
			return err
		}
		kept := make([]descriptor.Extent, 0, len(m.spans))
		for i := range m.spans {
			s := &m.spans[i]
			line := descriptor.Extent{Access: s.access, Type: "SPARSE"}
			if s.line < len(all) {
				line = all[s.line]
			} else if f, ok := s.extent.(*flat); ok {
				line.Type, line.File = "FLAT", f.part.ref
			} else {
				line.File = s.extent.(*sparse).part.ref
			}
			line.Sectors = s.len / sector
			s.line = i
			kept = append(kept, line)
		}
		g := geometry(m.size, d.Text("ddb.adapterType"))
		if _, ok := d.Get("ddb.geometry.cylinders"); ok {
			if err := d.Set("ddb.geometry.cylinders", fmt.Sprint(g.Cylinders)); err != nil {
				return err
			}
		}
		return d.SetExtents(kept)
	})
}

// shrink cuts the disk.
func (m *image) shrink(size int64) error {
	var gone []span
	for len(m.spans) > 1 && m.spans[len(m.spans)-1].start >= size {
		gone = append(gone, m.spans[len(m.spans)-1])
		m.spans = m.spans[:len(m.spans)-1]
	}
	last := &m.spans[len(m.spans)-1]
	last.len, m.size = size-last.start, size
	if err := m.describeExtents(); err != nil {
		return err
	}
	var err error
	switch e := last.extent.(type) {
	case *flat:
		e.size = last.len
		if len(gone) == 0 || !shared(gone, e.part) {
			err = e.part.file.Truncate(e.from + e.size)
		}
	case *sparse:
		if e.writer != nil {
			err = e.writer.shrink(last.len)
		}
	}
	return errors.Join(err, m.remove(gone), m.syncAll())
}

func shared(all []span, p *part) bool {
	for i := range all {
		if f, ok := all[i].extent.(*flat); ok && f.part == p {
			return true
		}
	}
	return false
}

// remove deletes the files of extents that are gone.
func (m *image) remove(gone []span) error {
	var failed error
	for i := range gone {
		p := partOf(gone[i].extent)
		if p == nil || p.ref == "" || m.usesPart(p) {
			continue
		}
		for k := range m.parts {
			if m.parts[k] == p {
				m.parts = append(m.parts[:k], m.parts[k+1:]...)
				break
			}
		}
		resolved, err := m.fs.Resolve(m.name, p.ref)
		if err == nil {
			err = m.fs.Remove(resolved)
		}
		failed = errors.Join(failed, p.file.Close(), err)
	}
	return failed
}

func partOf(e extent) *part {
	switch e := e.(type) {
	case *flat:
		return e.part
	case *sparse:
		return e.part
	}
	return nil
}

func (m *image) usesPart(p *part) bool {
	for i := range m.spans {
		if partOf(m.spans[i].extent) == p {
			return true
		}
	}
	return false
}
