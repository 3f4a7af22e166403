package qcow2

import (
	"github.com/panalvm/panal/disk"
)

// refcounts says how often each cluster of the file is used (spec, "Host cluster
// management").
type refcounts struct {
	h        *header
	file     disk.File
	bits     int
	perBlock int64  // refcounts in a block
	blocks   *cache // the refcount blocks
	table    *cache // the refcount table
}

func newRefcounts(file disk.File, h *header) *refcounts {
	return &refcounts{
		h: h, file: file, bits: h.refcountBits(), perBlock: h.clusterSize() * 8 / int64(h.refcountBits()),
		blocks: newCache(file, h.clusterSize(), cleanBytes/2), table: newCache(file, h.clusterSize(), cleanBytes/8),
	}
}

// most is the largest refcount that fits.
func (r *refcounts) most() uint64 {
	if r.bits == 64 {
		return 1<<63 - 1
	}
	return 1<<r.bits - 1
}

// entries is how many blocks the table has room for.
func (r *refcounts) entries() int64 {
	return int64(r.h.refTableLen) << r.h.clusterBits / 8
}

// block is where a refcount block lies; 0 if there is none.
func (r *refcounts) block(index int64) (int64, error) {
	if index >= r.entries() {
		return 0, nil
	}
	at := r.h.refTableOffset + index*8
	v, err := r.table.get(at, 8)
	if err != nil {
		return 0, err
	}
	off := int64(v & offsetMask)
	if off&(r.h.clusterSize()-1) != 0 {
		return 0, disk.Corrupt(formatName, at, "refcount block %d is said to lie at %#x, which is no cluster's begin", index, off)
	}
	return off, nil
}

// where is the place of a cluster's refcount in a block at off: the bytes it is
// in, and the bits of these. Narrow ones fill a byte from its lowest bits.
func (r *refcounts) where(block, cluster int64) (at int64, width int, shift int) {
	i := cluster % r.perBlock
	if r.bits >= 8 {
		return block + i*int64(r.bits/8), r.bits / 8, 0
	}
	bit := i * int64(r.bits)
	return block + bit/8, 1, int(bit % 8)
}

// get is a cluster's refcount.
func (r *refcounts) get(cluster int64) (uint64, error) {
	block, err := r.block(cluster / r.perBlock)
	if err != nil || block == 0 {
		return 0, err
	}
	at, width, shift := r.where(block, cluster)
	v, err := r.blocks.get(at, width)
	if r.bits < 8 {
		v = v >> shift & (1<<r.bits - 1)
	}
	return v, err
}

// set changes a cluster's refcount, whose block must exist.
func (r *refcounts) set(cluster int64, v uint64) error {
	block, err := r.block(cluster / r.perBlock)
	if err != nil {
		return err
	}
	if block == 0 {
		return disk.Corrupt(formatName, r.h.refTableOffset+cluster/r.perBlock*8, "cluster %d has no refcount block", cluster)
	}
	at, width, shift := r.where(block, cluster)
	if r.bits < 8 {
		old, err := r.blocks.get(at, 1)
		if err != nil {
			return err
		}
		mask := uint64(1<<r.bits-1) << shift
		v = old&^mask | v<<shift
	}
	return r.blocks.put(at, width, v)
}

// last is the last cluster with a refcount that is not 0, -1 if none has.
func (r *refcounts) last() (int64, error) {
	size, err := r.file.Size()
	if err != nil {
		return 0, err
	}
	blocks := size>>r.h.clusterBits + 1 // the file has room for no more
	for index := r.entries() - 1; index >= 0; index-- {
		block, err := r.block(index)
		if err != nil {
			return 0, err
		}
		if block == 0 {
			continue
		}
		if blocks--; blocks < 0 {
			return 0, disk.Corrupt(formatName, r.h.refTableOffset, "the refcount table names more blocks than the file has clusters")
		}
		for i := r.perBlock - 1; i >= 0; i-- {
			v, err := r.get(index*r.perBlock + i)
			if err != nil {
				return 0, err
			}
			if v != 0 {
				return index*r.perBlock + i, nil
			}
		}
	}
	return -1, nil
}

// flushBlocks writes the refcounts that were changed.
func (r *refcounts) flushBlocks() error { return r.blocks.flush() }

// drop forgets what is in memory.
func (r *refcounts) drop() {
	r.blocks.dropAll()
	r.table.dropAll()
}
