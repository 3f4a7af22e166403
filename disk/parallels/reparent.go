package parallels

import (
	"github.com/panalvm/panal/disk"
)

var (
	_ disk.Reparenter = (*bundle)(nil)
	_ disk.Identified = (*bundle)(nil)
	_ disk.Backed     = (*bundle)(nil)
)

// SetParent makes the descriptor name another parent's files, or none. With
// snapshots of its own it does that only for a bundle that was opened without
// its parent, which is what is done for a parent that was moved: the content of
// what is older than the current state cannot have been kept.
func (b *bundle) SetParent(parent disk.Image, ref, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.mayChange(); err != nil {
		return err
	}
	line, err := b.d.lineage(b.shot)
	if err != nil {
		return err
	}
	own := b.owned(line)
	inherited := map[string]bool{}
	for _, g := range line[own:] {
		inherited[g] = true
	}
	if parent == nil && len(inherited) == 0 {
		return nil
	}
	if len(b.d.shots) > 1+len(inherited) && !b.alone {
		return disk.Unsupported(name, "the bundle has snapshots, and these would change with another parent; drop them, or convert it to a disk of its own")
	}
	var from *legacy
	if parent != nil {
		if from, err = b.heir(parent, ref, line[own-1]); err != nil {
			return err
		}
		from.without(b.guidsBut(inherited))
	}
	if err := b.syncFiles(); err != nil {
		return err
	}
	return b.edit(func(root *element) error {
		b.d.inherit(root, line[own-1], inherited, from)
		return nil
	})
}

// guidsBut are all GUIDs but those that go.
func (b *bundle) guidsBut(gone map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, s := range b.d.shots {
		all[s.guid] = !gone[s.guid]
	}
	return all
}

// heir is what a parent leaves to the bundle, if that can take it: its oldest
// own shot, eldest, is to be above.
func (b *bundle) heir(parent disk.Image, ref, eldest string) (*legacy, error) {
	if ref == "" {
		return nil, disk.Usage("the parent has no name by which the descriptor could refer to its files")
	}
	from, err := legacyOf(parent, ref)
	if err != nil {
		return nil, err
	}
	if len(from.parts) < len(b.parts) {
		return nil, disk.Unsupported(name, "the parent is in %d parts and the bundle in %d; convert it to a new one", len(from.parts), len(b.parts))
	}
	for i, p := range b.parts {
		last := i == len(b.parts)-1
		if q := from.parts[i]; p.start != q.start || !last && p.end != q.end {
			return nil, disk.Unsupported(name, "the parent is split at other places than the bundle; convert it to a new one")
		}
		if f := b.d.storages[i].file(eldest); f != nil && f.plain {
			return nil, disk.Unsupported(name, "%s is plain, and a plain disk cannot have a parent", f.path)
		}
		x, expands := p.own[len(p.own)-1].layer.(*expanding)
		if cluster := from.cluster(); expands && cluster != 0 && cluster != x.h.cluster() {
			return nil, disk.Unsupported(name, "the parent has clusters of %d bytes and the bundle of %d, which have to be alike; convert it to a new one", cluster, x.h.cluster())
		}
	}
	return from, nil
}

// inherit puts what comes from a parent in the place of what came from another.
func (d *descriptor) inherit(root *element, eldest string, gone map[string]bool, from *legacy) {
	d.spellOut(root)
	dropShots(root, gone)
	shots, parent := root.child("Snapshots"), guidNone
	if from != nil {
		parent = from.line[0]
		for i, s := range storageElements(root) {
			for _, f := range from.files[i] {
				s.children = append(s.children, imageElement(f))
			}
		}
	}
	for _, s := range shots.all("Shot") {
		if guid(s.string("GUID")) == eldest {
			s.set("ParentGUID", braced(parent))
		}
	}
	if from != nil {
		for _, s := range from.shots() {
			shots.children = append(shots.children, shotElement(s))
		}
	}
}
