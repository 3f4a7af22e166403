package qcow2

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// Resize changes the size of the disk.
func (img *image) Resize(size int64) error {
	if !img.canWrite {
		return disk.ErrReadOnly
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if size < 0 {
		return disk.Usage("a disk cannot have %d bytes", size)
	}
	size = wholeSectors(size)
	if err := img.resizable(size); err != nil {
		return err
	}
	if err := img.touch(); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	old := img.Size()
	switch {
	case size > old:
		return img.grow(old, size)
	case size < old:
		return img.shrink(old, size)
	}
	return nil
}

// resizable tells why a size is not possible.
func (img *image) resizable(size int64) error {
	if size > maxDiskSize || img.h.l1Needed(size)*8 > max(maxL1Bytes, img.clusterSize()) {
		most := min(maxDiskSize, max(maxL1Bytes, img.clusterSize())/8*img.h.l2Span())
		return disk.Unsupported(formatName, "a disk of %d bytes; with clusters of %d bytes it can have %d", size, img.clusterSize(), most)
	}
	for _, s := range img.snapshots {
		if !s.sized {
			return disk.Unsupported(formatName, "snapshot %q does not say its disk's size, so the disk cannot be resized; delete the snapshot", s.id)
		}
	}
	return nil
}

// setSize makes the size durable and known.
func (img *image) setSize(size int64) error {
	img.gate.Lock()
	defer img.gate.Unlock()
	old := img.h.size
	img.h.size = uint64(size)
	if err := img.writeHeader(); err != nil {
		img.h.size = old
		return err
	}
	img.size.Store(size)
	return nil
}

// shrink cuts the disk first and gives up the clusters then.
func (img *image) shrink(old, size int64) error {
	if err := img.setSize(size); err != nil {
		return err
	}
	cs, span := img.clusterSize(), img.h.l2Span()
	for off := (size + cs - 1) &^ (cs - 1); off < old; {
		next := min((off/span+1)*span, (old+cs-1)&^(cs-1))
		table, copied, err := img.l2At(off)
		if err != nil {
			return err
		}
		if table != 0 {
			if err := img.cut(table, copied, off, next); err != nil {
				return err
			}
			if err := img.relieve(); err != nil {
				return err
			}
		}
		off = next
	}
	if err := img.sync(); err != nil {
		return err
	}
	if img.outside() {
		return img.data.Truncate(size)
	}
	return nil
}

// cut forgets the clusters in a range of one L2 table, and the table if that
// is all it speaks of.
func (img *image) cut(table int64, copied bool, off, end int64) error {
	span := img.h.l2Span()
	whole := off%span == 0
	if !copied && whole {
		return img.cutShared(table, off)
	}
	table, err := img.ownTable(off)
	if err != nil {
		return err
	}
	for at := off; at < end; at += img.clusterSize() {
		where := img.slot(table, at)
		e, err := img.entryAt(where)
		if err != nil {
			return err
		}
		if e == (entry{}) {
			continue
		}
		if err := img.setEntry(where, entry{}); err != nil {
			return err
		}
		if img.check(e, where) == nil {
			img.giveUpEntry(e, true)
		}
	}
	if !whole {
		return nil
	}
	if err := img.tables.put(img.l1Offset+off/span*8, 8, 0); err != nil {
		return err
	}
	img.giveUp(clusters{first: table >> img.clusterBits, count: 1, punch: true})
	return nil
}

// cutShared forgets a whole table that a snapshot uses, too.
func (img *image) cutShared(table, off int64) error {
	if err := img.tables.put(img.l1Offset+off/img.h.l2Span()*8, 8, 0); err != nil {
		return err
	}
	img.giveUp(clusters{first: table >> img.clusterBits, count: 1})
	for at := table; at < table+img.clusterSize(); at += img.h.entryBytes() {
		e, err := img.entryAt(at)
		if err != nil {
			return err
		}
		if img.check(e, at) == nil {
			img.giveUpEntry(e, false)
		}
	}
	return nil
}

// grow makes room in the L1 table, clears what is to be added, and makes it
// part of the disk then.
func (img *image) grow(old, size int64) error {
	if need := img.h.l1Needed(size); need > img.l1Size {
		if err := img.growL1(need); err != nil {
			return err
		}
	}
	if err := img.growBitmaps(size); err != nil {
		return err
	}
	if img.outside() {
		if err := img.data.Truncate(size); err != nil {
			return err
		}
	}
	img.horizon = size
	defer func() { img.horizon = 0 }()
	unit := img.unit()
	first, last := (old+unit-1)&^(unit-1), (size+unit-1)&^(unit-1)
	if err := img.zeroEdge(old, min(first, size)); err != nil {
		return err
	}
	if first < last && img.h.autoclear&autoclearDataFileRaw == 0 {
		if err := img.clearUnits(first, last, false); err != nil {
			return err
		}
	}
	img.marks.add(old, size-old)
	if err := img.sync(); err != nil {
		return err
	}
	return img.setSize(size)
}

// growL1 moves the L1 table to where it has room for more entries.
func (img *image) growL1(need int64) error {
	cs := img.clusterSize()
	count := (need*8 + cs - 1) >> img.clusterBits
	fresh, err := img.take(count)
	if err != nil {
		return err
	}
	content := make([]byte, count<<img.clusterBits)
	for i := range img.l1Size {
		v, err := img.tables.get(img.l1Offset+i*8, 8)
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint64(content[i*8:], v)
	}
	if err := img.writeTable(img.tables, fresh, content); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	return img.switchL1(fresh, need)
}

// switchL1 makes the header name the L1 table that lies at off.
func (img *image) switchL1(off, entries int64) error {
	img.gate.Lock()
	defer img.gate.Unlock()
	old, oldEntries := img.l1Offset, img.l1Size
	img.h.l1Offset, img.h.l1Size = off, uint32(entries)
	if err := img.writeHeader(); err != nil {
		img.h.l1Offset, img.h.l1Size = old, uint32(oldEntries)
		return err
	}
	img.l1Offset, img.l1Size = off, entries
	cs := img.clusterSize()
	if old != 0 && oldEntries > 0 {
		img.giveUp(clusters{first: old >> img.clusterBits, count: (oldEntries*8 + cs - 1) >> img.clusterBits})
	}
	return nil
}

// growBitmaps gives bitmaps tables that are long enough for a disk of the size.
func (img *image) growBitmaps(size int64) error {
	for i := range img.bitmaps {
		b := &img.bitmaps[i]
		per := img.clusterSize() * 8 << b.granularity
		need := (size + per - 1) / per
		if need <= b.tableSize {
			continue
		}
		if err := img.growBitmap(b, need); err != nil {
			return err
		}
	}
	return nil
}

func (img *image) growBitmap(b *bitmap, need int64) error {
	cs := img.clusterSize()
	fresh, err := img.take((need*8 + cs - 1) >> img.clusterBits)
	if err != nil {
		return err
	}
	content := make([]byte, (need*8+cs-1)&^(cs-1))
	for i := range b.tableSize {
		v, err := img.tables.get(b.tableOffset+i*8, 8)
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint64(content[i*8:], v)
	}
	if err := img.writeTable(img.tables, fresh, content); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	if err := img.moveBitmap(b, fresh, need); err != nil {
		b.flags |= bitmapInUse // which table the directory names nobody knows, so it stays out of date
		return err
	}
	if b.tableSize > 0 {
		img.giveUp(clusters{first: b.tableOffset >> img.clusterBits, count: (b.tableSize*8 + cs - 1) >> img.clusterBits})
	}
	b.tableOffset, b.tableSize = fresh, need
	return nil
}

// moveBitmap makes the directory name a longer table of a bitmap, durably. Its
// place and its length may lie in two sectors: the longer table is good for both lengths.
func (img *image) moveBitmap(b *bitmap, off, entries int64) error {
	if _, err := img.file.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(off)), b.at); err != nil {
		return err
	}
	if err := img.file.Sync(); err != nil {
		return err
	}
	if _, err := img.file.WriteAt(binary.BigEndian.AppendUint32(nil, uint32(entries)), b.at+8); err != nil {
		return err
	}
	return img.file.Sync()
}
