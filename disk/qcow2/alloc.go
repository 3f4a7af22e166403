package qcow2

import (
	"github.com/panalvm/panal/disk"
)

// clusters is a row of clusters in the file.
type clusters struct {
	first, count int64
	punch        bool // of freed ones: whether their space is to be given back
}

func (c clusters) end() int64 { return c.first + c.count }

// allocator hands out clusters: such as were freed, else those behind the last.
type allocator struct {
	ready   bool
	tail    int64      // the first cluster of those behind all that are used
	free    []clusters // hints; a refcount decides
	scanned int64      // clusters below were looked at for free ones
	pending []clusters // given up; each has one use less after the next sync
}

// Bounds of the allocator's memory.
const (
	maxFree    = 4096
	maxPending = 1 << 16
	scanBudget = 512 // refcounts looked at in an allocation
)

// startAllocating finds out where free clusters begin.
func (img *image) startAllocating() error {
	a := &img.alloc
	if a.ready {
		return nil
	}
	last, err := img.refs.last()
	if err != nil {
		return err
	}
	h := &img.h
	end := max(h.clusterSize(), h.l1Offset+int64(h.l1Size)*8, h.refTableOffset+int64(h.refTableLen)<<h.clusterBits)
	*a = allocator{ready: true, tail: max(last+1, (end+h.clusterSize()-1)>>h.clusterBits), scanned: 1, pending: a.pending}
	return nil
}

// take allocates a row of n clusters and returns the offset of the first.
func (img *image) take(n int64) (int64, error) {
	if err := img.startAllocating(); err != nil {
		return 0, err
	}
	first, err := img.takeFree(n)
	if err != nil {
		return 0, err
	}
	if first == 0 {
		if first, err = img.takeTail(n); err != nil {
			return 0, err
		}
	}
	for c := first; c < first+n; c++ {
		if err := img.refs.set(c, 1); err != nil {
			img.untake(first<<img.clusterBits, c-first)
			return 0, err
		}
	}
	return first << img.clusterBits, nil
}

// untake gives back n clusters that were taken and that nothing ever pointed to.
// What cannot be given back is a leak.
func (img *image) untake(off, n int64) {
	first := off >> img.clusterBits
	for c := first; c < first+n; c++ {
		if img.refs.set(c, 0) != nil {
			n = c - first
		}
	}
	if n > 0 {
		img.alloc.offer(clusters{first: first, count: n})
	}
}

// takeFree finds n clusters in a row that were given back; 0 if there are none.
func (img *image) takeFree(n int64) (int64, error) {
	a := &img.alloc
	if err := img.scan(); err != nil {
		return 0, err
	}
	for i := 0; i < len(a.free); {
		r := a.free[i]
		if r.count < n {
			i++
			continue
		}
		used, err := img.firstUsed(clusters{first: r.first, count: n})
		if err != nil {
			return 0, err
		}
		if used >= 0 { // the hint is stale: what lies before and in the used one is let go
			a.free[i] = clusters{first: used + 1, count: r.end() - used - 1}
		} else {
			a.free[i] = clusters{first: r.first + n, count: r.count - n}
		}
		if a.free[i].count == 0 {
			a.free[i] = a.free[len(a.free)-1]
			a.free = a.free[:len(a.free)-1]
		}
		if used < 0 {
			return r.first, nil
		}
	}
	return 0, nil
}

// firstUsed is the first cluster of a row that is in use, -1 if none is.
func (img *image) firstUsed(r clusters) (int64, error) {
	for c := r.first; c < r.end(); c++ {
		v, err := img.refs.get(c)
		if err != nil {
			return 0, err
		}
		if v != 0 {
			return c, nil
		}
	}
	return -1, nil
}

// scan looks a bit further for clusters that were free when the image was
// opened.
func (img *image) scan() error {
	a := &img.alloc
	for end := min(a.scanned+scanBudget, a.tail); a.scanned < end; a.scanned++ {
		v, err := img.refs.get(a.scanned)
		if err != nil {
			return err
		}
		if v == 0 {
			a.offer(clusters{first: a.scanned, count: 1})
		}
	}
	return nil
}

// offer remembers free clusters.
func (a *allocator) offer(r clusters) {
	if n := len(a.free); n > 0 && a.free[n-1].end() == r.first {
		a.free[n-1].count += r.count
	} else if n < maxFree {
		a.free = append(a.free, r)
	}
}

// takeTail finds n clusters behind all that are used, and makes the refcount
// blocks that they need.
func (img *image) takeTail(n int64) (int64, error) {
	a := &img.alloc
	for {
		missing, err := img.missingBlock(a.tail, n)
		if err != nil {
			return 0, err
		}
		if missing < 0 {
			a.tail += n
			return a.tail - n, nil
		}
		if missing >= img.refs.entries() {
			if err := img.growRefTable(n); err != nil {
				return 0, err
			}
			continue
		}
		if err := img.addBlock(missing); err != nil {
			return 0, err
		}
	}
}

// missingBlock is the index of the first refcount block that the clusters
// need and that does not exist; -1 if all do.
func (img *image) missingBlock(first, n int64) (int64, error) {
	per := img.refs.perBlock
	for index := first / per; index <= (first+n-1)/per; index++ {
		block, err := img.refs.block(index)
		if err != nil {
			return 0, err
		}
		if block == 0 {
			return index, nil
		}
	}
	return -1, nil
}

// addBlock makes a refcount block at the tail. When it is the first missing one its
// own refcount lies in a block before it, or in itself.
func (img *image) addBlock(index int64) error {
	a := &img.alloc
	own := a.tail
	off := own << img.clusterBits
	if err := img.writeTable(img.refs.blocks, off, make([]byte, img.clusterSize())); err != nil {
		return err
	}
	err := img.countBlock(index, off)
	if err == nil {
		err = img.refs.table.put(img.h.refTableOffset+index*8, 8, uint64(off))
	}
	if err != nil {
		img.refs.blocks.drop(off, img.clusterSize())
		return err
	}
	a.tail++
	return nil
}

// countBlock counts the use of a refcount block that is to be, at off.
func (img *image) countBlock(index, off int64) error {
	own := off >> img.clusterBits
	if own/img.refs.perBlock != index {
		return img.refs.set(own, 1)
	}
	at, width, shift := img.refs.where(off, own)
	return img.refs.blocks.put(at, width, 1<<shift)
}

// writeTable writes the first content of a table; nothing points to it yet.
func (img *image) writeTable(c *cache, off int64, content []byte) error {
	c.drop(off, int64(len(content)))
	_, err := img.file.WriteAt(content, off)
	return err
}

// growRefTable moves the refcount table to the tail, larger: enough for n
// clusters behind it. It is a sync of refcounts in itself, since the header
// then names the new table.
func (img *image) growRefTable(n int64) error {
	a, h, cs := &img.alloc, &img.h, img.clusterSize()
	need := (a.tail+n)/img.refs.perBlock + 2
	length := max(int64(h.refTableLen)*3/2+1, (need*8+cs-1)>>h.clusterBits+1)
	blocks, table := a.tail, a.tail
	for { // the new blocks lie before the table and must cover both
		count := (table+length-1)/img.refs.perBlock - img.refs.entries() + 1
		if next := blocks + max(count, 0); next == table {
			break
		} else {
			table = next
		}
	}
	if length<<h.clusterBits > maxRefTable {
		return disk.Unsupported(formatName, "the image would need a refcount table of more than %d bytes; convert it to one with larger clusters", maxRefTable)
	}
	content, err := img.copyRefTable(length << h.clusterBits)
	if err != nil {
		return err
	}
	if err := img.layRefTable(content, blocks, table); err != nil {
		return err
	}
	return img.switchRefTable(table<<h.clusterBits, length, table+length)
}
