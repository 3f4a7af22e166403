package parallels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"
	"strings"

	"github.com/panalvm/panal/disk"
)

// bundle is a disk made of files as a descriptor says.
type bundle struct {
	d     *descriptor
	file  disk.File // the descriptor's
	shot  string    // that is open
	write bool
	parts []part
}

// part is a storage with its files, opened.
type part struct {
	start, end int64
	top        layer  // the others are its parents
	path       string // of the top's file
	paths      []string
}

// openBundle opens the files that make a shot; the current one is opened for
// writing, the others for reading.
func openBundle(s *disk.Source) (_ *bundle, err error) {
	root, err := readElements(s.File)
	if err != nil {
		return nil, err
	}
	d, err := parseDescriptor(root)
	if err != nil {
		return nil, err
	}
	b := &bundle{d: d, file: s.File, shot: d.top, write: s.Write}
	if s.Snapshot != "" {
		if b.shot = guid(s.Snapshot); d.shot(b.shot) == nil {
			return nil, disk.Usage("there is no snapshot %q; there are %s", s.Snapshot, strings.Join(d.guids(), ", "))
		}
		b.write = false
	}
	line, err := d.lineage(b.shot)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.closeParts())
		}
	}()
	for i := range d.storages {
		p, err := b.openPart(s, &d.storages[i], line)
		if err != nil {
			return nil, err
		}
		b.parts = append(b.parts, p)
	}
	return b, nil
}

func (d *descriptor) guids() []string {
	var all []string
	for _, s := range d.shots {
		all = append(all, s.guid)
	}
	return all
}

// openPart opens the files of a storage, the oldest first.
func (b *bundle) openPart(s *disk.Source, st *storage, line []string) (part, error) {
	p := part{start: st.start, end: st.end}
	for i := len(line) - 1; i >= 0; i-- {
		f := st.file(line[i])
		if f == nil {
			return p, errors.Join(disk.Corrupt(name, st.at.off, "the storage at sector %d has no file of shot %s", st.start/sector, line[i]), closeLayer(p.top))
		}
		l, err := openLayer(s, f, b.write && i == 0, p.top)
		if err != nil {
			return p, errors.Join(fmt.Errorf("%s: %w", f.path, err), closeLayer(p.top))
		}
		p.top, p.path = l, f.path
		p.paths = append(p.paths, f.path)
	}
	if short := p.top.Size() < p.end-p.start; short && (b.write || len(line) == 1) {
		err := disk.Corrupt(name, -1, "%s has %d bytes of a storage of %d", p.path, p.top.Size(), p.end-p.start)
		return p, errors.Join(err, closeLayer(p.top))
	}
	return p, nil
}

// openLayer opens a file of a storage.
func openLayer(s *disk.Source, f *file, write bool, parent layer) (layer, error) {
	opened, err := openSibling(s, f.path, write)
	if err != nil {
		return nil, err
	}
	var l layer
	if f.plain {
		l, err = openPlain(opened, write, false)
	} else {
		l, err = openExpanding(opened, write, parent)
	}
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return l, nil
}

// openSibling opens a file of the bundle. Only the current shot's are opened
// for writing.
func openSibling(s *disk.Source, path string, write bool) (disk.File, error) {
	if !write && s.Write {
		reading := *s
		reading.Write = false
		s = &reading
	}
	return s.OpenSibling(path)
}

func closeLayer(l layer) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// Size is the disk's.
func (b *bundle) Size() int64 { return b.d.size }

// at is the part that has an offset of the disk.
func (b *bundle) at(off int64) *part {
	i := sort.Search(len(b.parts), func(i int) bool { return b.parts[i].end > off })
	return &b.parts[i]
}

// Map describes the range at off. The shots below are part of this image.
func (b *bundle) Map(off, n int64) (disk.Extent, error) {
	p := b.at(off)
	e, err := p.describe(off-p.start, min(n, p.end-off))
	e.Off += p.start
	return e, err
}

// describe asks the files of a part, the youngest first.
func (p *part) describe(off, n int64) (disk.Extent, error) {
	for l := p.top; l != nil; l = below(l) {
		if off >= l.Size() {
			continue
		}
		e, err := l.Map(off, min(n, l.Size()-off))
		if err != nil || e.State != disk.Unallocated {
			return e, err
		}
		n = e.Len
	}
	return disk.Extent{Off: off, Len: n}, nil
}

// below is the file that shows through l, nil if none.
func below(l layer) layer {
	if x, ok := l.(*expanding); ok && x.parent != nil {
		return x.parent
	}
	return nil
}

// ReadAt reads the disk.
func (b *bundle) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, disk.ErrRange)
	}
	total := min(int64(len(p)), max(0, b.Size()-off))
	err := b.each(off, total, func(part *part, from, n int64) error {
		at := part.start + from - off
		return disk.ReadParent(part.top, p[at:at+n], from)
	})
	if err != nil {
		return 0, err
	}
	if total < int64(len(p)) {
		return int(total), io.EOF
	}
	return int(total), nil
}

// each splits a range of the disk by the parts.
func (b *bundle) each(off, n int64, do func(p *part, off, n int64) error) error {
	for end := off + n; off < end; {
		p := b.at(off)
		k := min(end, p.end) - off
		if err := do(p, off-p.start, k); err != nil {
			return err
		}
		off += k
	}
	return nil
}

// Snapshots lists the shots, a parent before its children.
func (b *bundle) Snapshots() []disk.Snapshot {
	depth := map[string]int{}
	for _, s := range b.d.shots {
		line, _ := b.d.lineage(s.guid)
		depth[s.guid] = len(line)
	}
	var all []disk.Snapshot
	for _, s := range b.d.shots {
		all = append(all, disk.Snapshot{ID: s.guid, Parent: s.parent, Current: s.guid == b.d.top})
	}
	sort.SliceStable(all, func(i, j int) bool { return depth[all[i].ID] < depth[all[j].ID] })
	return all
}

// Check looks through the files of the shot that is open.
func (b *bundle) Check(ctx context.Context) (disk.Report, error) {
	return b.gather(func(l layer) (disk.Report, error) { return l.Check(ctx) }, true)
}

// Repair mends the files of the current shot.
func (b *bundle) Repair(ctx context.Context) (disk.Report, error) {
	if !b.write {
		return disk.Report{}, disk.ErrReadOnly
	}
	return b.gather(func(l layer) (disk.Report, error) { return l.Repair(ctx) }, false)
}

// gather puts reports on files together.
func (b *bundle) gather(look func(layer) (disk.Report, error), parents bool) (disk.Report, error) {
	var sum disk.Report
	for _, p := range b.parts {
		for i, l := len(p.paths)-1, p.top; l != nil; i, l = i-1, below(l) {
			r, err := look(l)
			if err != nil {
				return sum, fmt.Errorf("%s: %w", p.paths[i], err)
			}
			sum.Blocks, sum.Allocated = sum.Blocks+r.Blocks, sum.Allocated+r.Allocated
			sum.Leaked, sum.More = sum.Leaked+r.Leaked, sum.More+r.More
			for _, f := range r.Findings {
				f.File = p.paths[i]
				sum.Add(f)
			}
			if !parents {
				break
			}
		}
	}
	return sum, nil
}

// Describe says what the bundle is.
func (b *bundle) Describe() disk.Info {
	i := disk.Info{
		Format: name, Variant: variantExpanding, Version: "bundle", Size: b.Size(), SectorSize: sector,
		UUID: b.d.uid, Comment: b.d.name, Snapshots: b.Snapshots(), Physical: int(min(b.d.physical, 1<<16)),
	}
	if b.d.logical != 0 {
		i.SectorSize = int(min(b.d.logical, 1<<16))
	}
	if g := b.d.geometry; g.Cylinders > 0 && g.Heads > 0 && g.Sectors > 0 {
		i.Geometry = &g
	}
	for n, p := range b.parts {
		for l := p.top; l != nil; l = below(l) {
			one := l.Describe()
			i.Allocated += one.Allocated
			i.Dirty = i.Dirty || one.Dirty
		}
		if n == 0 {
			one := p.top.Describe()
			i.Variant, i.BlockSize = one.Variant, one.BlockSize
		}
		i.Files = append(i.Files, p.paths...)
	}
	i.Details = append(i.Details, disk.Detail{Name: "storages", Value: fmt.Sprint(len(b.parts))})
	if b.shot != b.d.top {
		i.Details = append(i.Details, disk.Detail{Name: "opened shot", Value: b.shot})
	}
	return i
}

// Dump shows the descriptor and then each file's header.
func (b *bundle) Dump(ctx context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		if !dumpElement(b.d.root, "", yield) {
			return
		}
		for _, p := range b.parts {
			for i, l := len(p.paths)-1, p.top; l != nil; i, l = i-1, below(l) {
				for f, err := range l.Dump(ctx) {
					f.File = p.paths[i]
					if !yield(f, err) {
						return
					}
				}
			}
		}
	}
}

func dumpElement(e *element, path string, yield func(disk.Field, error) bool) bool {
	for _, c := range e.children {
		if len(c.children) > 0 {
			if !dumpElement(c, path+c.name+"/", yield) {
				return false
			}
			continue
		}
		f := disk.Field{Part: "descriptor", Offset: c.off, Len: int(max(0, c.end-c.off)), Name: path + c.name, Value: c.text}
		if !yield(f, nil) {
			return false
		}
	}
	return true
}

// Close writes out what was written and closes all files.
func (b *bundle) Close() error { return errors.Join(b.closeParts(), b.file.Close()) }

func (b *bundle) closeParts() error {
	var err error
	for _, p := range b.parts {
		err = errors.Join(err, p.top.Close())
	}
	return err
}
