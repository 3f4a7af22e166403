package qcow2

import "encoding/binary"

// copyRefTable is the refcount table, as it is in memory, in a buffer of n bytes.
func (img *image) copyRefTable(n int64) ([]byte, error) {
	content := make([]byte, n)
	for i := range img.refs.entries() {
		block, err := img.refs.block(i)
		if err != nil {
			return nil, err
		}
		binary.BigEndian.PutUint64(content[i*8:], uint64(block))
	}
	return content, nil
}

// layRefTable writes a larger refcount table at the cluster table, and the
// blocks that it needs for itself from cluster blocks on.
func (img *image) layRefTable(content []byte, blocks, table int64) error {
	cs := img.clusterSize()
	end := table + int64(len(content))/cs
	at := blocks
	for index := blocks / img.refs.perBlock; index <= (end-1)/img.refs.perBlock; index++ {
		if binary.BigEndian.Uint64(content[index*8:]) != 0 {
			continue
		}
		if _, err := img.file.WriteAt(make([]byte, cs), at<<img.clusterBits); err != nil {
			return err
		}
		img.refs.blocks.drop(at<<img.clusterBits, cs)
		binary.BigEndian.PutUint64(content[index*8:], uint64(at<<img.clusterBits))
		at++
	}
	if _, err := img.file.WriteAt(content, table<<img.clusterBits); err != nil {
		return err
	}
	return nil
}

// switchRefTable makes the header name the refcount table that was written at
// off; tail is the first cluster behind it.
func (img *image) switchRefTable(off, length, tail int64) error {
	h, a := &img.h, &img.alloc
	oldOffset, oldLen := h.refTableOffset, h.refTableLen
	h.refTableOffset, h.refTableLen = off, uint32(length)
	if err := img.countFresh(a.tail, tail); err != nil {
		h.refTableOffset, h.refTableLen = oldOffset, oldLen
		img.refs.table.drop(off, length<<img.clusterBits)
		img.refs.blocks.drop(a.tail<<img.clusterBits, (tail-a.tail)<<img.clusterBits)
		return err
	}
	// From here on there is no way back: the header may name the new table.
	img.refs.table.drop(oldOffset, int64(oldLen)<<img.clusterBits)
	a.tail = tail
	if oldOffset != 0 {
		img.giveUp(clusters{first: oldOffset >> img.clusterBits, count: int64(oldLen)})
	}
	return img.writeHeader()
}

// countFresh gives each cluster of a row that nobody has its first use, durably.
func (img *image) countFresh(from, to int64) error {
	for c := from; c < to; c++ {
		if err := img.refs.set(c, 1); err != nil {
			return err
		}
	}
	if err := img.refs.flushBlocks(); err != nil {
		return err
	}
	return img.file.Sync()
}
