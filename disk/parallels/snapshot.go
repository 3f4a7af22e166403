package parallels

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

var _ disk.SnapshotTaker = (*bundle)(nil)

// TakeSnapshot keeps the current state. As other programs do it, the current
// state stays the shot that it was called, with new files, and the files
// so far become those of a new shot: whoever knows no TopGUID finds the
// current state where it always was.
func (b *bundle) TakeSnapshot() (disk.Snapshot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.mayChange(); err != nil {
		return disk.Snapshot{}, err
	}
	if line, err := b.d.lineage(b.shot); err != nil || len(line) >= disk.DefaultDepth {
		return disk.Snapshot{}, errors.Join(err, disk.Unsupported(name, "a bundle with %d shots in a row takes no more; commit some", len(line)))
	}
	if err := b.syncFiles(); err != nil {
		return disk.Snapshot{}, err
	}
	kept := shot{guid: uuid.NewString(), parent: b.d.shot(b.shot).parent}
	next, err := b.deltas()
	if err != nil {
		return disk.Snapshot{}, err
	}
	if err := b.edit(func(root *element) error { return b.d.keep(root, kept.guid, next) }); err != nil {
		return disk.Snapshot{}, errors.Join(err, b.abandon(next))
	}
	for i := range b.parts {
		p := &b.parts[i]
		p.own[0].layer = next[i].layer.(*expanding).parent
		p.own = append([]level{next[i]}, p.own...)
	}
	return disk.Snapshot{ID: kept.guid, Parent: kept.parent}, nil
}

// deltas makes an empty file above the current one of each storage. After an
// error none is left.
func (b *bundle) deltas() (made []level, err error) {
	tag := uuid.NewString()
	for i := range b.parts {
		p := &b.parts[i]
		below, err := frozen(p.top())
		if err != nil {
			return nil, errors.Join(err, b.abandon(made))
		}
		one, err := b.makeFile(i, tag, p.end-p.start, b.headerAbove(i), below)
		if err != nil {
			return nil, errors.Join(err, b.abandon(made))
		}
		made = append(made, one)
	}
	return made, nil
}

// frozen is a file that was written to, as it is from now on: it is closed as
// far as its mark goes, and read.
func frozen(l layer) (layer, error) {
	x, ok := l.(*expanding)
	if !ok {
		plain := l.(*plain)
		return openPlain(plain.file, false, false)
	}
	if err := x.finish(); err != nil {
		return nil, err
	}
	return openExpanding(x.file, false, x.parent)
}

// headerAbove is the kind of file that goes above the current one of a storage.
func (b *bundle) headerAbove(i int) header {
	h := header{isNew: true, inUse: inUseClosed, tracks: usualCluster / sector}
	if block := b.d.storages[i].block; block >= minCluster {
		h.tracks = uint32(block / sector)
	}
	if x, ok := b.parts[i].top().(*expanding); ok {
		h.isNew, h.tracks = x.h.isNew, x.h.tracks
	}
	return h
}

// makeFile makes an empty expanding file for a storage.
func (b *bundle) makeFile(i int, tag string, size int64, h header, below layer) (level, error) {
	return b.makeAny(i, tag, func(f disk.File) (layer, error) { return initialise(f, h, size, below) })
}

// makeAny makes a file for a storage; tag makes its name one of its own.
func (b *bundle) makeAny(i int, tag string, initialise func(disk.File) (layer, error)) (level, error) {
	file := fmt.Sprintf("%s.%d.{%s}.hds", b.stem(), i, tag)
	resolved, err := b.files.Resolve(b.name, file)
	if err != nil {
		return level{}, err
	}
	f, err := b.files.Create(resolved)
	if err != nil {
		return level{}, err
	}
	l, err := initialise(f)
	if err != nil {
		return level{}, errors.Join(err, f.Close(), b.files.Remove(resolved))
	}
	return level{l, file}, nil
}

// stem is what the names of the bundle's files begin with.
func (b *bundle) stem() string { return stemOf(b.name) }

// stemOf is what the files of a bundle are called after: its directory.
func stemOf(descriptor string) string {
	dir := base(path.Dir(strings.ReplaceAll(descriptor, `\`, "/")))
	if dir == "." || dir == "" {
		return "disk.hdd"
	}
	return dir
}

// abandon removes files that were made for nothing. What lies below them stays
// open. When it is not known whether the descriptor names them they stay.
func (b *bundle) abandon(made []level) error {
	var failed error
	for _, l := range made {
		x := l.layer.(*expanding)
		failed = errors.Join(failed, x.file.Close())
		if b.lost == nil {
			failed = errors.Join(failed, b.remove(l.path))
		}
	}
	return failed
}

// remove deletes a file of the bundle.
func (b *bundle) remove(ref string) error {
	resolved, err := b.files.Resolve(b.name, ref)
	if err != nil {
		return err
	}
	return b.files.Remove(resolved)
}

// keep makes the current shot's files those of a new shot, and others the
// current one's.
func (d *descriptor) keep(root *element, kept string, next []level) error {
	d.spellOut(root)
	for i, s := range storageElements(root) {
		for _, image := range s.all("Image") {
			if guid(image.string("GUID")) == d.top {
				image.set("GUID", braced(kept))
			}
		}
		s.set("Blocksize", fmt.Sprint(next[i].layer.(*expanding).h.tracks))
		s.children = append(s.children, imageElement(file{guid: d.top, path: next[i].path}))
	}
	shots := root.child("Snapshots")
	for _, s := range shots.all("Shot") {
		if guid(s.string("GUID")) == d.top {
			s.set("GUID", braced(kept))
		}
		if guid(s.string("ParentGUID")) == d.top {
			s.set("ParentGUID", braced(kept))
		}
	}
	shots.children = append(shots.children, shotElement(shot{guid: d.top, parent: kept}))
	return nil
}
