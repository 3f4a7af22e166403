package qcow2

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/panalvm/panal/disk"
)

// Repair makes refcounts and flags right. Pointers that lead nowhere stay; while
// there are any, refcounts are only raised: what they led to may be found again.
func (img *image) Repair(ctx context.Context) (disk.Report, error) {
	if !img.canWrite {
		return disk.Report{}, disk.ErrReadOnly
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if img.closed {
		return disk.Report{}, errClosed
	}
	if err := img.sync(); err != nil {
		return disk.Report{}, err
	}
	img.gate.Lock()
	defer img.gate.Unlock()
	before, err := img.check2(ctx)
	if err != nil {
		return before, err
	}
	mended := disk.Report{Blocks: before.Blocks, Allocated: before.Allocated, Leaked: before.Leaked, More: before.More}
	for _, f := range before.Findings {
		if f.Remedy != "" {
			mended.Add(f)
		}
	}
	if len(mended.Findings) == 0 {
		return withReason(mended, before), nil
	}
	broken, err := img.recount(ctx)
	if err != nil {
		return mended, err
	}
	img.h.incompatible &^= incompatDirty
	if !broken {
		img.h.incompatible &^= incompatCorrupt
	}
	return withReason(mended, before), img.writeHeader()
}

// withReason adds why not all that was found was mended, if that was found.
func withReason(mended, before disk.Report) disk.Report {
	if n := len(before.Findings); n > 0 && before.Findings[n-1].Reason == withheld {
		mended.Findings = append(mended.Findings, before.Findings[n-1])
	}
	return mended
}

// fixCopied makes the flags right, durably.
func (img *image) fixCopied(ctx context.Context) error {
	w, err := img.newWalker(ctx)
	if err != nil {
		return err
	}
	fix := copiedCheck{img: img, fix: true}
	w.data, w.pointer = fix.data, fix.pointer
	if err := errors.Join(w.all(), fix.err); err != nil || fix.fixed == 0 {
		return err
	}
	if err := img.tables.flush(); err != nil {
		return err
	}
	return img.file.Sync()
}

// recount makes refcounts and flags right. What waits in memory is written before.
// Refcounts that are only too high are lowered; if some are too low, or their
// blocks cannot be used, all are written anew. If pointers are broken, which it
// tells, none is lowered, and the flags stay.
func (img *image) recount(ctx context.Context) (broken bool, err error) {
	if err := img.flushAll(); err != nil {
		return false, err
	}
	w, err := img.newWalker(ctx)
	if err != nil {
		return false, err
	}
	low, leaks := 0, 0
	w.found = func(f disk.Finding) {
		if f.Remedy == rebuildRemedy {
			low++
		}
	}
	err = img.compare(w, func(_ int64, stored, used uint64) error {
		if stored < used {
			low++
		} else {
			leaks++
		}
		return nil
	})
	if err != nil {
		return w.broken, err
	}
	switch {
	case low > 0:
		err = img.rebuild(ctx)
	case leaks > 0 && !w.broken:
		err = img.lower(ctx)
	}
	img.alloc.ready, img.alloc.free, img.alloc.pending = false, nil, nil
	if err != nil || w.broken {
		return w.broken, err
	}
	return false, img.fixCopied(ctx)
}

// flushAll writes what waits in memory, if the image was written at all.
func (img *image) flushAll() error {
	for _, c := range []*cache{img.refs.blocks, img.refs.table, img.tables} {
		if c.soiled() == 0 {
			continue
		}
		if err := c.flush(); err != nil {
			return err
		}
		if err := img.file.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// lower lowers the refcounts that are too high.
func (img *image) lower(ctx context.Context) error {
	w, err := img.newWalker(ctx)
	if err != nil {
		return err
	}
	err = img.compare(w, func(cluster int64, stored, used uint64) error {
		if stored < used {
			return nil
		}
		if err := img.refs.set(cluster, used); err != nil {
			return err
		}
		if img.refs.blocks.soiled() > dirtyBytes {
			return img.refs.flushBlocks()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return img.flushAll()
}

// rebuild writes new refcounts behind the end of the file and then makes the
// header name them; the old ones are no longer used by that. If pointers are
// broken, none becomes lower than it was.
func (img *image) rebuild(ctx context.Context) error {
	w, err := img.newWalker(ctx)
	if err != nil {
		return err
	}
	w.tables = false
	s := newStructure(w.clusters, img.refs.perBlock, img.clusterSize())
	if s.length<<img.clusterBits > maxRefTable {
		return disk.Unsupported(formatName, "the image would need a refcount table of more than %d bytes", maxRefTable)
	}
	for from := int64(0); from < s.end; {
		c := newCounts(from, s.end, countPages)
		w.use = c.add
		if err := w.all(); err != nil {
			return err
		}
		c.add(s.blocks, s.end-s.blocks)
		if w.broken {
			err = img.writeCounts(c, s, img.atLeast)
		} else {
			err = img.writeCounts(c, s, func(_ int64, used uint64) (uint64, error) { return used, nil })
		}
		if err != nil {
			return err
		}
		from = c.to
	}
	table := make([]byte, s.length<<img.clusterBits)
	for i := range s.table - s.blocks {
		binary.BigEndian.PutUint64(table[i*8:], uint64((s.blocks+i)<<img.clusterBits))
	}
	if _, err := img.file.WriteAt(table, s.table<<img.clusterBits); err != nil {
		return err
	}
	if err := img.file.Sync(); err != nil {
		return err
	}
	img.refs.drop()
	img.h.refTableOffset, img.h.refTableLen = s.table<<img.clusterBits, uint32(s.length)
	return img.writeHeader()
}

// structure is where new refcounts lie: one block after the other, then the
// table; all in clusters.
type structure struct {
	blocks, table, length, end int64
}

// newStructure places refcounts for all of a file, themselves included,
// from the cluster begin on.
func newStructure(begin, perBlock, clusterSize int64) structure {
	s := structure{blocks: begin, end: begin}
	for {
		blocks := (s.end + perBlock - 1) / perBlock
		length := (blocks*8 + clusterSize - 1) / clusterSize
		if end := begin + blocks + length; end == s.end {
			return s
		}
		s.table, s.length = begin+blocks, length
		s.end = s.table + s.length
	}
}

// atLeast is the refcount that a cluster has, or how often it is used.
func (img *image) atLeast(cluster int64, used uint64) (uint64, error) {
	stored, err := img.refs.get(cluster)
	if err != nil && !isCorrupt(err) {
		return 0, err
	}
	if err != nil {
		stored = 0
	}
	return max(stored, used), nil
}

// writeCounts writes the refcounts of a window into the new blocks, as count makes
// them of how often each cluster is used.
func (img *image) writeCounts(c *counts, s structure, count func(cluster int64, used uint64) (uint64, error)) error {
	r := img.refs
	step := min(r.perBlock, countPage)
	for k := c.from / step * step; k < c.to; k += step {
		p := make([]byte, max(step*int64(r.bits)/8, 1))
		for i := range step {
			var v uint64
			if k+i < c.to {
				var err error
				if v, err = count(k+i, c.of(k+i)); err != nil {
					return err
				}
			}
			if v > r.most() {
				return disk.Unsupported(formatName, "a cluster is used %d times, which %d bits of refcount cannot say; convert the image", v, r.bits)
			}
			putBits(p, i, r.bits, v)
		}
		at := (s.blocks+k/r.perBlock)<<img.clusterBits + k%r.perBlock*int64(r.bits)/8
		if _, err := img.file.WriteAt(p, at); err != nil {
			return err
		}
	}
	return nil
}

// putBits writes the refcount i of those in p.
func putBits(p []byte, i int64, bits int, v uint64) {
	if bits < 8 {
		bit := int(i) * bits
		p[bit/8] |= byte(v << (bit % 8))
		return
	}
	at := int(i) * bits / 8
	for b := bits/8 - 1; b >= 0; b-- {
		p[at+b] = byte(v)
		v >>= 8
	}
}
