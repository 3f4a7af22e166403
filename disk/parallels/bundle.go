package parallels

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/panalvm/panal/disk"
)

// bundle is a disk made of files as a descriptor says.
type bundle struct {
	files disk.FS
	name  string // of the descriptor
	shot  string // that is open
	alone bool   // without its parent
	write bool

	mu     sync.RWMutex // guards what follows; held for reading by all that reads or writes the disk
	file   disk.File    // the descriptor
	d      *descriptor
	stack             // the files
	parent disk.Image // nil if there is none, or it was left out
	lost   error      // a change failed in the middle: nothing is written any more
	cut    []part     // were cut off, and are closed at the end
}

// openBundle opens the files that make a shot; the current one is opened for
// writing, the others for reading.
func openBundle(s *disk.Source) (_ *bundle, err error) {
	d, err := readDescriptor(s.File)
	if err != nil {
		return nil, err
	}
	b := &bundle{files: s.FS(), name: s.Name, alone: s.Alone, file: s.File, d: d, shot: d.top, write: s.Write}
	if s.Snapshot != "" {
		if b.shot = guid(s.Snapshot); d.shot(b.shot) == nil {
			return nil, disk.Usage("there is no snapshot %q; there are %s", s.Snapshot, strings.Join(b.guids(), ", "))
		}
		b.write = false
	}
	if err := b.openFiles(); err != nil {
		return nil, err
	}
	if p, ok := b.parent.(*ancestor); ok {
		p.announce(s)
	}
	return b, nil
}

// readDescriptor reads a DiskDescriptor.xml.
func readDescriptor(file disk.File) (*descriptor, error) {
	root, err := readElements(file)
	if err != nil {
		return nil, err
	}
	return parseDescriptor(root)
}

// guids are those of the bundle's own shots.
func (b *bundle) guids() []string {
	var all []string
	for _, s := range b.Snapshots() {
		all = append(all, s.ID)
	}
	return all
}

// openFiles opens what makes the shot. After an error nothing is open.
func (b *bundle) openFiles() error {
	line, err := b.d.lineage(b.shot)
	if err != nil {
		return err
	}
	written := ""
	if b.write {
		written = b.shot
	}
	if b.stack, b.parent, err = b.opener(line, written).open(); err != nil {
		return err
	}
	whole := b.write || len(line) == 1 && b.shot == b.d.top // an earlier state may be from before the disk grew
	for _, p := range b.parts {
		if p.top().Size() < p.end-p.start && whole {
			err := disk.Corrupt(name, -1, "%s has %d bytes of a storage of %d", p.own[0].path, p.top().Size(), p.end-p.start)
			return errors.Join(err, b.stack.close())
		}
	}
	return nil
}

// owned is how many shots of a line, from the youngest on, have their files in
// the bundle. The rest belongs to the parent. The youngest is the bundle's own
// wherever its files are.
func (b *bundle) owned(line []string) int {
	for i, g := range line {
		if i > 0 && b.foreign(g) {
			return i
		}
	}
	return len(line)
}

// foreign tells whether a shot has a file outside of the bundle.
func (b *bundle) foreign(guid string) bool {
	for i := range b.d.storages {
		if f := b.d.storages[i].file(guid); f != nil && !b.inside(f.path) {
			return true
		}
	}
	return false
}

// inside tells whether a path leads to a place in or below the bundle.
func (b *bundle) inside(ref string) bool {
	if local(ref) {
		return true
	}
	there, err := b.files.Resolve(b.name, ref)
	if err != nil {
		return false
	}
	here, err := b.files.Resolve(b.name, base(ref))
	return err == nil && here == there
}

// opener opens the files of a line of shots.
type opener struct {
	b         *bundle
	line      []string // the bundle's own, the youngest first
	inherited []string // those of the parent
	written   string   // the shot whose files are opened for writing; "" for none
	floor     layer    // what lies below all, nil if nothing
}

// opener is for a line of shots, of which one may be written.
func (b *bundle) opener(line []string, written string) *opener {
	own := b.owned(line)
	o := &opener{b: b, line: line[:own], inherited: line[own:], written: written}
	if b.alone && own < len(line) {
		o.inherited, o.floor = nil, nothing{}
	}
	return o
}

// open opens all files, the oldest of each storage first.
func (o *opener) open() (s stack, parent disk.Image, err error) {
	var outer []part
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for i := range o.b.d.storages {
		st := &o.b.d.storages[i]
		below, err := o.levels(st, o.inherited, o.floor)
		if err != nil {
			return s, nil, missingParent(err)
		}
		p := part{start: st.start, end: st.end, below: o.floor}
		if len(below) > 0 {
			p.below = below[0].layer
		}
		if p.own, err = o.levels(st, o.line, p.below); err != nil {
			return s, nil, err
		}
		s.parts = append(s.parts, p)
		outer = append(outer, part{start: st.start, end: st.end, own: below})
	}
	if len(o.inherited) > 0 {
		return s, o.b.ancestors(o.inherited, outer), nil
	}
	return s, nil, nil
}

// levels opens what a storage has of some shots, and gives the youngest first.
// After an error what was opened, and what lies below, is closed.
func (o *opener) levels(st *storage, line []string, below layer) ([]level, error) {
	all := make([]level, len(line))
	for i := len(line) - 1; i >= 0; i-- {
		f := st.file(line[i])
		if f == nil {
			err := disk.Corrupt(name, st.at.off, "the storage at sector %d has no file of shot %s", st.start/sector, line[i])
			return nil, errors.Join(err, closeLayer(below))
		}
		l, err := o.b.openLayer(f, line[i] == o.written, below)
		if err != nil {
			return nil, errors.Join(err, closeLayer(below))
		}
		all[i] = level{l, f.path}
		below = l
	}
	return all, nil
}

// openLayer opens a file of a storage.
func (b *bundle) openLayer(f *file, write bool, below layer) (layer, error) {
	resolved, err := b.files.Resolve(b.name, f.path)
	if err != nil {
		return nil, err
	}
	opened, err := b.files.Open(resolved, write)
	if err != nil {
		return nil, err
	}
	var l layer
	if f.plain {
		l, err = openPlain(opened, write, false)
	} else {
		l, err = openExpanding(opened, write, below)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, err), opened.Close())
	}
	return l, nil
}

func closeLayer(l layer) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// Size is the disk's.
func (b *bundle) Size() int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.d.size
}

// Parent is the bundle or the file that this one was made to differ from.
func (b *bundle) Parent() disk.Image {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.parent
}

// Map describes the range at off. The bundle's own shots are part of this
// image.
func (b *bundle) Map(off, n int64) (disk.Extent, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.parts) == 0 {
		return disk.Extent{}, b.lost
	}
	return b.describe(off, n)
}

// ReadAt reads the disk.
func (b *bundle) ReadAt(p []byte, off int64) (int, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.parts) == 0 {
		return 0, b.lost
	}
	return b.read(p, off, b.d.size)
}

// Close writes out what was written and closes all files.
func (b *bundle) Close() error {
	gone := stack{b.cut}
	return cmp.Or(b.stack.close(), gone.close(), b.file.Close())
}
