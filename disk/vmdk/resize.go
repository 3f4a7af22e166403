package vmdk

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

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
	if len(m.spans) == 0 {
		return disk.Unsupported(name, "its descriptor lists no extent that has any length, so that there is nothing to resize")
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

// grow makes the last extent longer, and adds more where they are split. When
// that fails the disk stays as it was.
func (m *image) grow(size int64) error {
	old, count := m.size, len(m.spans)
	err := m.extend(size)
	if err == nil {
		err = m.describeExtents()
	}
	if err != nil {
		return errors.Join(err, m.undoGrow(old, count))
	}
	return nil
}

// extend makes the files of a longer disk, durably; the descriptor knows
// nothing of it yet.
func (m *image) extend(size int64) error {
	old := m.size
	if err := checkCount(len(m.spans), size-old, m.most()); m.split() && err != nil {
		return err
	}
	last := &m.spans[len(m.spans)-1]
	room := size - old
	if m.split() {
		room = min(room, max(m.most()-last.len, 0))
	}
	if room > 0 {
		if err := m.growSpan(last, last.len+room); err != nil {
			return err
		}
	}
	m.size = last.start + last.len
	for m.size < size {
		if err := m.addSpan(min(m.most(), size-m.size)); err != nil {
			return err
		}
	}
	if err := m.hide(old, size); err != nil {
		return err
	}
	return m.syncAll()
}

// undoGrow goes back to a disk of the given size and number of extents. New
// files are removed unless a descriptor that could not be taken back may name them.
func (m *image) undoGrow(size int64, count int) error {
	gone := slices.Clone(m.spans[count:])
	m.spans, m.size = m.spans[:count], size
	last := &m.spans[count-1]
	last.cut(size - last.start)
	if m.settleWhole() != nil {
		return nil // why, growing has told already
	}
	if s, ok := last.extent.(*sparse); ok && s.writer != nil {
		_ = s.writer.shrink() // only so that the header says the same as the descriptor, for others
	}
	return m.remove(gone)
}

// cut makes an extent of the disk shorter, in memory. What its file holds
// behind is forgotten before it is made longer again.
func (s *span) cut(size int64) {
	s.len = size
	switch e := s.extent.(type) {
	case *flat:
		e.size = size
	case *sparse:
		e.size, e.covered = size, min(size, e.covered)
	}
}

// split tells whether extents are limited in size.
func (m *image) split() bool { return m.kind == kindSplitFlat || m.kind == kindSplitSparse }

// most is how large an extent may become, in bytes: as all but the last are, if
// there are more.
func (m *image) most() int64 {
	first := m.spans[0].len
	for i := range m.spans[:len(m.spans)-1] {
		if m.spans[i].len != first {
			return splitSize
		}
	}
	if len(m.spans) == 1 || first < minExtent {
		return splitSize
	}
	return first
}

// hide makes what was added read as zeros where a parent is longer.
func (m *image) hide(from, to int64) error {
	if m.parent != nil {
		to = min(to, m.parent.Size())
	}
	if !m.based() || from >= to {
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
	p, err := m.newPart(mark)
	if err != nil {
		return err
	}
	line.File = p.ref
	if err = fillFile(p, line, grain, m.zeroedGrains()); err == nil {
		err = m.attach(p, m.spans[len(m.spans)-1].line+1, line)
	}
	if err != nil {
		return errors.Join(err, m.removePart(p))
	}
	return nil
}

// newPart makes a file for a further extent. A name may be taken by one that
// could not be removed when the disk was made shorter.
func (m *image) newPart(mark string) (*part, error) {
	for i := len(m.spans) + 1; ; i++ {
		ref := extentName(m.name, mark, i)
		if err := checkName("new extent's name", ref); err != nil {
			return nil, err
		}
		resolved, err := m.fs.Resolve(m.name, ref)
		if err != nil {
			return nil, err
		}
		f, err := m.fs.Create(resolved)
		if errors.Is(err, fs.ErrExist) && i < 2*len(m.spans)+100 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("extent %q: %w", ref, err)
		}
		p := &part{ref: ref, file: f}
		m.parts = append(m.parts, p)
		return p, nil
	}
}

// zeroedGrains tells whether new extents are to know grains of zeros.
func (m *image) zeroedGrains() bool {
	s, ok := m.spans[0].extent.(*sparse)
	return ok && s.header.flags&flagZeroed != 0
}

// describeExtents writes the extents as they are into the descriptor.
func (m *image) describeExtents() error {
	var kept []descriptor.Extent
	err := m.editBy(m.rewrite, func(d *descriptor.Descriptor) error {
		all, err := d.Extents()
		if err != nil {
			return err
		}
		kept = make([]descriptor.Extent, 0, len(m.spans))
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
	for i := range m.spans {
		if err == nil {
			m.spans[i].line = i
		}
	}
	return err
}

// shrink cuts the disk. When the descriptor cannot be written it stays as it
// was; an error after that says that space was not given back.
func (m *image) shrink(size int64) error {
	spans, count := m.spans, len(m.spans)
	for count > 1 && spans[count-1].start >= size {
		count--
	}
	last, gone := &spans[count-1], slices.Clone(spans[count:])
	old, oldLen := m.size, last.len
	m.spans, m.size, last.len = spans[:count:count], size, size-last.start
	if err := m.describeExtents(); err != nil {
		m.spans, m.size, last.len = spans, old, oldLen
		_ = m.settleWhole() // the next Sync says so if it fails again
		return err
	}
	last.cut(last.len)
	var err error
	switch e := last.extent.(type) {
	case *flat:
		if len(gone) == 0 || !shared(gone, e.part) {
			err = e.part.file.Truncate(e.from + e.size)
		}
	case *sparse:
		if e.writer != nil {
			err = e.writer.shrink()
		}
	}
	if err = errors.Join(err, m.remove(gone)); err != nil {
		return fmt.Errorf("the disk has %d bytes now; giving space back: %w", size, err)
	}
	return m.syncAll()
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
		if p != nil && p.ref != "" && !m.usesPart(p) {
			failed = errors.Join(failed, m.removePart(p))
		}
	}
	return failed
}

// removePart deletes a file that no extent uses.
func (m *image) removePart(p *part) error {
	i := slices.Index(m.parts, p)
	if i < 0 {
		return nil // it lay in several extents
	}
	m.parts = slices.Delete(m.parts, i, i+1)
	resolved, err := m.fs.Resolve(m.name, p.ref)
	if err == nil {
		err = m.fs.Remove(resolved)
	}
	return errors.Join(p.file.Close(), err)
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
