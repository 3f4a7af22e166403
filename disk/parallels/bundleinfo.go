package parallels

import (
	"context"
	"fmt"
	"iter"
	"path"
	"sort"

	"github.com/panalvm/panal/disk"
)

// versionBundle is what a bundle calls its version.
const versionBundle = "bundle"

// Snapshots lists the bundle's own shots, a parent before its children.
func (b *bundle) Snapshots() []disk.Snapshot {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.snapshots()
}

func (b *bundle) snapshots() []disk.Snapshot {
	depth := map[string]int{}
	own := map[string]bool{}
	for _, s := range b.d.shots {
		line, _ := b.d.lineage(s.guid)
		depth[s.guid] = len(line)
		own[s.guid] = s.guid == b.d.top || !b.foreign(s.guid)
	}
	var all []disk.Snapshot
	for _, s := range b.d.shots {
		if !own[s.guid] {
			continue
		}
		one := disk.Snapshot{ID: s.guid, Current: s.guid == b.d.top}
		if own[s.parent] {
			one.Parent = s.parent
		}
		all = append(all, one)
	}
	sort.SliceStable(all, func(i, j int) bool { return depth[all[i].ID] < depth[all[j].ID] })
	return all
}

// Check looks through the files of the shot that is open, and those below it
// in the bundle.
func (b *bundle) Check(ctx context.Context) (disk.Report, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.gather(func(l layer) (disk.Report, error) { return l.Check(ctx) }, true)
}

// Repair mends the files of the current shot.
func (b *bundle) Repair(ctx context.Context) (disk.Report, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.mayChange(); err != nil {
		return disk.Report{}, err
	}
	return b.gather(func(l layer) (disk.Report, error) { return l.Repair(ctx) }, false)
}

// gather puts reports on files together.
func (b *bundle) gather(look func(layer) (disk.Report, error), older bool) (disk.Report, error) {
	var sum disk.Report
	for _, p := range b.parts {
		for i, l := range p.own {
			if i > 0 && !older {
				break
			}
			r, err := look(l.layer)
			if err != nil {
				return sum, fmt.Errorf("%s: %w", l.path, err)
			}
			sum.Blocks, sum.Allocated = sum.Blocks+r.Blocks, sum.Allocated+r.Allocated
			sum.Leaked, sum.More = sum.Leaked+r.Leaked, sum.More+r.More
			for _, f := range r.Findings {
				f.File = l.path
				sum.Add(f)
			}
		}
	}
	return sum, nil
}

// Describe says what the bundle is.
func (b *bundle) Describe() disk.Info {
	b.mu.RLock()
	defer b.mu.RUnlock()
	i := disk.Info{
		Format: name, Version: versionBundle, Size: b.d.size, SectorSize: sector,
		UUID: b.d.uid, Comment: b.d.name, Snapshots: b.snapshots(), Physical: int(min(b.d.physical, 1<<16)),
	}
	if b.d.logical != 0 {
		i.SectorSize = int(min(b.d.logical, 1<<16))
	}
	if g := b.d.geometry; g.Cylinders > 0 && g.Heads > 0 && g.Sectors > 0 {
		i.Geometry = &g
	}
	b.stack.sum(&i)
	i.Parent = b.link()
	i.Details = append(i.Details, disk.Detail{Name: "storages", Value: fmt.Sprint(len(b.parts))})
	if b.shot != b.d.top {
		i.Details = append(i.Details, disk.Detail{Name: detailShot, Value: b.shot})
	}
	return i
}

// sum adds what the files say: what they take, what kind they are, and their
// names.
func (s *stack) sum(i *disk.Info) {
	for n, p := range s.parts {
		for k, l := range p.own {
			one := l.layer.Describe()
			i.Allocated += one.Allocated
			i.Dirty = i.Dirty || one.Dirty
			if n == 0 && k == 0 {
				i.Variant, i.BlockSize = one.Variant, one.BlockSize
			}
		}
		for k := len(p.own) - 1; k >= 0; k-- {
			file := p.own[k].path
			if !local(file) {
				file = base(file)
			}
			i.Files = append(i.Files, file)
		}
	}
}

// link is how the descriptor names the parent, nil if it has none.
func (b *bundle) link() *disk.Link {
	if a, ok := b.parent.(*ancestor); ok {
		return a.link()
	}
	line, _ := b.d.lineage(b.shot)
	own := b.owned(line)
	if own == len(line) {
		return nil
	}
	f := b.d.storages[0].file(line[own])
	if f == nil {
		return &disk.Link{Format: name}
	}
	ref := slashed(f.path)
	if isBundleName(path.Base(path.Dir(ref))) {
		ref = path.Join(path.Dir(ref), descriptorName)
	}
	return &disk.Link{Name: ref, Format: name}
}

// isBundleName tells whether a directory is called as bundles are.
func isBundleName(dir string) bool { return path.Ext(dir) == ".hdd" }

// Dump shows the descriptor and then each file's header.
func (b *bundle) Dump(ctx context.Context) iter.Seq2[disk.Field, error] {
	return func(yield func(disk.Field, error) bool) {
		b.mu.RLock()
		defer b.mu.RUnlock()
		if !dumpElement(b.d.root, "", yield) {
			return
		}
		for _, p := range b.parts {
			for _, l := range p.own {
				for f, err := range l.layer.Dump(ctx) {
					f.File = l.path
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
