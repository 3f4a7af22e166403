package parallels

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/panalvm/panal/disk"
)

// DropSnapshot gives up a shot. What those that are based on it need of it is
// copied into the files of all but the last of them. That one's files are
// written into the files of the shot that goes, which may be the largest.
func (b *bundle) DropSnapshot(ctx context.Context, id string, progress func(done, total int64)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.mayChange(); err != nil {
		return err
	}
	gone := guid(id)
	children, err := b.droppable(gone)
	if err != nil {
		return err
	}
	if len(children) == 0 {
		return b.forget(gone, "")
	}
	if err := b.syncFiles(); err != nil {
		return err
	}
	for ; len(children) > 1; children = children[1:] {
		if err := b.reopened(func() error { return b.lift(ctx, gone, children[0], progress) }); err != nil {
			return err
		}
	}
	child := children[0]
	if err := b.reopened(func() error { return b.merge(ctx, gone, child, progress) }); err != nil {
		return err
	}
	return b.reopened(func() error { return b.forget(gone, child) })
}

// droppable tells which shots are based on one that is to go.
func (b *bundle) droppable(gone string) (children []string, err error) {
	switch {
	case b.d.shot(gone) == nil:
		return nil, disk.Usage("there is no snapshot %q; there are %s", gone, strings.Join(b.ids(), ", "))
	case gone == b.d.top:
		return nil, disk.Usage("%s is the current state, and no snapshot", gone)
	case b.foreign(gone):
		return nil, disk.Unsupported(name, "%s belongs to the bundle that this one differs from", gone)
	}
	for _, s := range b.d.shots {
		if s.parent == gone {
			children = append(children, s.guid)
		}
	}
	return children, nil
}

// ids are the GUIDs of the snapshots; mu is held.
func (b *bundle) ids() []string {
	var all []string
	for _, s := range b.snapshots() {
		if !s.Current {
			all = append(all, s.ID)
		}
	}
	return all
}

// reopened does something while none of the files is open, and opens them again.
// The bundle has another Parent afterwards, with the same content.
func (b *bundle) reopened(do func() error) error {
	err := b.stack.close()
	if err == nil {
		err = do()
	}
	if again := b.openFiles(); again != nil {
		b.lost = again
		return errors.Join(err, again)
	}
	return err
}

// merge writes what a shot's files hold into those of its parent, gone. It changes
// nothing of what the shot reads as.
func (b *bundle) merge(ctx context.Context, gone, child string, progress func(done, total int64)) error {
	line, err := b.d.lineage(child)
	if err != nil {
		return err
	}
	s, _, err := b.opener(line, gone).open()
	if err != nil {
		return err
	}
	for i := range s.parts {
		p := &s.parts[i]
		if err = p.sink(ctx, func(done int64) {
			if progress != nil {
				progress(p.start+done, b.d.size)
			}
		}); err != nil {
			break
		}
	}
	return errors.Join(err, s.close())
}

// sink writes what the youngest file holds into the one below it.
func (p *part) sink(ctx context.Context, progress func(done int64)) error {
	from, into := p.own[0].layer, p.own[1].layer
	if into.Size() < from.Size() {
		if err := grow(into, from.Size()); err != nil {
			return err
		}
	}
	buffer := make([]byte, copyPiece)
	for e, err := range disk.Extents(ctx, from, 0, from.Size()) {
		if err != nil {
			return err
		}
		progress(e.Off)
		for off := e.Off; e.State == disk.Data && off < e.End(); off += copyPiece {
			if err := ctx.Err(); err != nil {
				return err
			}
			q := buffer[:min(copyPiece, e.End()-off)]
			if err := disk.ReadParent(from, q, off); err != nil {
				return err
			}
			if _, err := into.WriteAt(q, off); err != nil {
				return err
			}
		}
	}
	return into.Sync()
}

// lift copies what a shot's parent, gone, holds into the shot's own files where
// these have nothing, and bases the shot on what gone is based on. It changes nothing of
// what any shot reads as.
func (b *bundle) lift(ctx context.Context, gone, child string, progress func(done, total int64)) error {
	line, err := b.d.lineage(child)
	if err != nil {
		return err
	}
	s, _, err := b.opener(line, child).open()
	if err != nil {
		return err
	}
	for i := range s.parts {
		p := &s.parts[i]
		if err = p.takeOver(ctx, func(done int64) {
			if progress != nil {
				progress(p.start+done, b.d.size)
			}
		}); err != nil {
			break
		}
	}
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	parent := cmp.Or(b.d.shot(gone).parent, guidNone)
	return b.edit(func(root *element) error {
		for _, s := range root.child("Snapshots").all("Shot") {
			if guid(s.string("GUID")) == child {
				s.set("ParentGUID", braced(parent))
			}
		}
		return nil
	})
}

// takeOver copies into the youngest file what the one below it holds, and makes
// zero what that hides by its end.
func (p *part) takeOver(ctx context.Context, progress func(done int64)) error {
	into, from := p.own[0].layer, p.own[1].layer
	for e, err := range disk.Extents(ctx, into, 0, into.Size()) {
		if err != nil {
			return err
		}
		progress(e.Off)
		if e.State != disk.Unallocated {
			continue
		}
		if err := copyUp(ctx, into, from, e.Off, min(e.End(), from.Size())); err != nil {
			return err
		}
		if off := max(e.Off, from.Size()); off < e.End() && from.Parent() != nil {
			if err := into.ZeroAt(off, e.End()-off); err != nil {
				return err
			}
		}
	}
	return into.Sync()
}

// copyUp writes into a file what the one below it has of a range.
func copyUp(ctx context.Context, into, from layer, off, end int64) error {
	buffer := make([]byte, copyPiece)
	for e, err := range disk.Extents(ctx, from, off, max(0, end-off)) {
		if err != nil {
			return err
		}
		for at := e.Off; e.State == disk.Data && at < e.End(); at += copyPiece {
			q := buffer[:min(copyPiece, e.End()-at)]
			if err := disk.ReadParent(from, q, at); err != nil {
				return err
			}
			if _, err := into.WriteAt(q, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget takes a shot out of the descriptor, and deletes the files that are
// no longer needed. With a child, that gets the files of the shot.
func (b *bundle) forget(gone, child string) error {
	unneeded := gone
	if child != "" {
		unneeded = child
	}
	var files []string
	for i := range b.d.storages {
		if f := b.d.storages[i].file(unneeded); f != nil {
			files = append(files, f.path)
		}
	}
	parent := b.d.shot(gone).parent
	err := b.edit(func(root *element) error {
		if child == "" {
			dropShots(root, map[string]bool{gone: true})
			return nil
		}
		takeFiles(root, gone, child, parent)
		return nil
	})
	if err != nil {
		return err
	}
	var failed error
	for _, f := range files {
		if err := b.remove(f); !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// takeFiles gives a shot the files of its parent, which is no more.
func takeFiles(root *element, gone, child, parent string) {
	dropShots(root, map[string]bool{child: true})
	for _, s := range storageElements(root) {
		for _, image := range s.all("Image") {
			if guid(image.string("GUID")) == gone {
				image.set("GUID", braced(child))
			}
		}
	}
	shots := root.child("Snapshots")
	for _, s := range shots.all("Shot") {
		if guid(s.string("GUID")) == gone {
			*s = *shotElement(shot{guid: child, parent: parent})
		}
	}
}
