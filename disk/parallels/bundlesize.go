package parallels

import (
	"errors"
	"math"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// Resize changes the size of the disk. Growing changes files first, and then
// the descriptor; shrinking does it the other way round.
func (b *bundle) Resize(size int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.mayChange(); err != nil {
		return err
	}
	switch {
	case size%sector != 0:
		return disk.Unsupported(name, "a disk of %d bytes is not whole sectors; the nearest size is %d", size, roundUp(min(size, math.MaxInt64-sector), sector))
	case size < b.d.size && len(b.snapshots()) > 1:
		return disk.Unsupported(name, "the bundle has snapshots, which would be cut as well; drop them, or convert it to a disk of its own")
	}
	if err := b.syncFiles(); err != nil {
		return err
	}
	switch {
	case size > b.d.size:
		return b.grow(size)
	case size < b.d.size:
		return b.shrink(size)
	}
	return nil
}

// grow makes the last storage longer, and adds others where the disk is split.
func (b *bundle) grow(size int64) error {
	last := len(b.parts) - 1
	step := b.step()
	end := size
	if step > 0 {
		end = min(size, b.parts[last].start+step)
	}
	if step > 0 && int64(last)+ceilDiv(size-end, step) >= maxParts {
		return disk.Unsupported(name, "in parts of %d bytes such a disk would have more than %d of them; the largest is %d", step, maxParts, b.parts[last].start+step*int64(maxParts-last))
	}
	if err := b.parts[last].stretch(end - b.parts[last].start); err != nil {
		return err
	}
	added, err := b.addParts(end, size, step)
	if err != nil {
		return err
	}
	parts := append(append([]part(nil), b.parts...), added...)
	parts[last].end = end
	if err := b.edit(func(root *element) error { return b.d.cut(root, parts, size) }); err != nil {
		return errors.Join(err, b.abandonParts(added))
	}
	b.parts = parts
	return nil
}

// step is how long the storages of a split disk are; 0 if only the last can be made
// longer: further ones would have to have a file for every shot.
func (b *bundle) step() int64 {
	if len(b.parts) < 2 || len(b.d.shots) > 1 {
		return 0
	}
	return b.parts[0].end - b.parts[0].start
}

// addParts makes the files of further storages.
func (b *bundle) addParts(from, to, step int64) (added []part, err error) {
	tag := uuid.NewString()
	for ; from < to; from += step {
		i := len(b.parts) + len(added)
		n := min(step, to-from)
		var l level
		if _, ok := b.parts[0].top().(*plain); ok {
			l, err = b.makePlain(i, tag, n)
		} else {
			l, err = b.makeFile(i, tag, n, b.headerAbove(0), nil)
		}
		if err != nil {
			return nil, errors.Join(err, b.abandonParts(added))
		}
		added = append(added, part{start: from, end: from + n, own: []level{l}})
	}
	return added, nil
}

// abandonParts removes the files of storages that were made for nothing.
func (b *bundle) abandonParts(added []part) error {
	var failed error
	for _, p := range added {
		failed = errors.Join(failed, p.top().Close())
		if b.lost == nil {
			failed = errors.Join(failed, b.remove(p.own[0].path))
		}
	}
	return failed
}

// stretch makes the current file as long as the storage is to be. One that is longer
// holds what was cut off, or what was added before the power went.
func (p *part) stretch(size int64) error {
	if have := p.end - p.start; p.top().Size() > have {
		if err := p.top().Resize(have); err != nil {
			return err
		}
	}
	return grow(p.top(), size)
}

// grow makes a file longer. What is added is zero, whatever lies below.
func grow(l layer, size int64) error {
	old := l.Size()
	if err := l.Resize(size); err != nil {
		return err
	}
	below := l.Parent()
	if below == nil || below.Size() <= old {
		return nil
	}
	end := min(size, below.Size())
	for off := old; off < end; {
		e, err := disk.LayerAt(below, off, end-off)
		if err != nil {
			return err
		}
		if e.State == disk.Data {
			if err := l.ZeroAt(off, e.Len); err != nil {
				return err
			}
		}
		off += e.Len
	}
	return l.Sync()
}

// shrink cuts storages off. Once the descriptor says so, what is left to do
// only gives back room.
func (b *bundle) shrink(size int64) error {
	kept := 1
	for kept < len(b.parts) && b.parts[kept].start < size {
		kept++
	}
	parts := append([]part(nil), b.parts[:kept]...)
	parts[kept-1].end = size
	if err := b.edit(func(root *element) error { return b.d.cut(root, parts, size) }); err != nil {
		return err
	}
	gone := b.parts[kept:]
	b.parts = parts
	err := b.parts[kept-1].top().Resize(size - b.parts[kept-1].start)
	for _, p := range gone { // the parent may still be read there
		b.cut = append(b.cut, p)
		if b.inside(p.own[0].path) {
			err = errors.Join(err, b.remove(p.own[0].path))
		}
	}
	return err
}

// cut writes into a descriptor how long the disk is and how it is split.
func (d *descriptor) cut(root *element, parts []part, size int64) error {
	d.spellOut(root)
	setSize(root.child("Disk_Parameters"), size, d.geometry)
	data := root.child("StorageData")
	var storages []*element
	for i, p := range parts {
		var s *element
		if old := data.all("Storage"); i < len(old) {
			s = old[i]
			s.set("Start", sectors(p.start))
			s.set("End", sectors(p.end))
		} else {
			_, isPlain := p.top().(*plain)
			s = storageElement(p.start, p.end, d.storages[0].block, []file{{guid: d.top, plain: isPlain, path: p.own[0].path}})
		}
		storages = append(storages, s)
	}
	data.drop(func(e *element) bool { return e.name == "Storage" })
	data.children = append(data.children, storages...)
	return nil
}
