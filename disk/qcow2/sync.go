package qcow2

import (
	"context"
	"errors"

	"github.com/panalvm/panal/disk"
)

// Sync makes durable what was written.
func (img *image) Sync() error {
	if !img.canWrite {
		return nil
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	return img.sync()
}

// sync writes in three steps, each durable before the next: what nothing
// points to yet (data, refcounts; new tables are written when they are made),
// then the table of refcount blocks, then the pointers. After the last step what was
// given up is free.
func (img *image) sync() error {
	if !img.waits() {
		return nil
	}
	if err := img.refs.flushBlocks(); err != nil {
		return err
	}
	if img.outside() {
		if err := img.data.Sync(); err != nil {
			return err
		}
	}
	if err := img.file.Sync(); err != nil {
		return err
	}
	if img.stale {
		if err := img.writeHeader(); err != nil {
			return err
		}
	}
	for _, c := range []*cache{img.refs.table, img.tables} {
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
	return img.releasePending()
}

// waits tells whether something may have to be written: the image was changed, or
// a repair that failed left something.
func (img *image) waits() bool {
	return img.touched.Load() || img.stale || img.tables.soiled()+img.refs.blocks.soiled()+img.refs.table.soiled() > 0
}

// relieve syncs when too much waits in memory.
func (img *image) relieve() error {
	waits := img.tables.soiled() + img.refs.blocks.soiled() + img.refs.table.soiled()
	if waits < dirtyBytes && len(img.alloc.pending) < maxPending {
		return nil
	}
	return img.sync()
}

// giveUp takes back one use of clusters, once nothing on disk points to
// them.
func (img *image) giveUp(r clusters) {
	p := img.alloc.pending
	if n := len(p); n > 0 && p[n-1].end() == r.first && p[n-1].punch == r.punch {
		p[n-1].count += r.count
		return
	}
	img.alloc.pending = append(p, r)
}

// giveUpEntry gives up what an L2 entry points to.
func (img *image) giveUpEntry(e entry, punch bool) {
	if img.dataFile {
		return
	}
	switch img.kindOf(e) {
	case compressed:
		off, n := img.span(e)
		first, last := off>>img.clusterBits, (off+n-1)>>img.clusterBits
		img.giveUp(clusters{first: first, count: last - first + 1})
	case normal, zeroHosted:
		img.giveUp(clusters{first: e.host() >> img.clusterBits, count: 1, punch: punch})
	case absent, zeroBare:
	}
}

// releasePending frees what was given up.
func (img *image) releasePending() error {
	if len(img.alloc.pending) == 0 {
		return nil
	}
	img.gate.Lock()
	defer img.gate.Unlock()
	img.codec.recent.forget()
	pending := img.alloc.pending
	img.alloc.pending = nil
	var failed error
	for _, r := range pending {
		if err := img.release1(r); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// release1 takes one use from each cluster of a row.
func (img *image) release1(r clusters) error {
	for c := r.first; c < r.end(); c++ {
		v, err := img.refs.get(c)
		if err != nil {
			return err
		}
		if v == 0 {
			return disk.Corrupt(formatName, c<<img.clusterBits, "a cluster in use has refcount 0; the image must be repaired")
		}
		if err := img.refs.set(c, v-1); err != nil {
			return err
		}
		if v > 1 {
			r.punch = false
			continue
		}
		img.alloc.offer(clusters{first: c, count: 1})
	}
	if p, ok := img.file.(disk.Puncher); ok && r.punch {
		if err := p.PunchHole(r.first<<img.clusterBits, r.count<<img.clusterBits); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// writeHeader writes the fixed part of the header, durably. It is less than a
// sector, so that a power cut leaves the old or the new. When it fails nobody knows
// which of them the file has; the next sync writes what is right then.
func (img *image) writeHeader() error {
	img.h.encode(img.first)
	img.stale = true
	if _, err := img.file.WriteAt(img.first, 0); err != nil {
		return err
	}
	if err := img.file.Sync(); err != nil {
		return err
	}
	img.stale = false
	return nil
}

// touch makes the header ready for writing, before the first change: what we
// do not keep up to date is marked so.
func (img *image) touch() error {
	if img.closed {
		return errClosed
	}
	if img.touched.Load() {
		return nil
	}
	if img.h.incompatible&incompatCorrupt != 0 {
		return disk.Corrupt(formatName, 72, "the image is marked as corrupt and can only be read; repair it before writing")
	}
	if img.h.incompatible&incompatDirty != 0 {
		if _, err := img.recount(context.Background()); err != nil {
			return err
		}
	}
	clean := img.h
	clean.autoclear &= autoclearKnown
	clean.incompatible &^= incompatDirty
	if clean != img.h || img.stale {
		img.setHeader(clean)
		if err := img.writeHeader(); err != nil {
			return err
		}
	}
	if err := img.useBitmaps(); err != nil {
		return err
	}
	img.touched.Store(true)
	return nil
}

var errClosed = errors.New("the image is closed")

// finish writes all that waits.
func (img *image) finish() error {
	if !img.canWrite || !img.waits() {
		return nil
	}
	if err := img.sync(); err != nil {
		return err
	}
	if err := img.storeBitmaps(); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	if err := img.refs.flushBlocks(); err != nil {
		return err
	}
	return img.fillUp()
}

// fillUp makes the file reach to the end of its last cluster.
func (img *image) fillUp() error {
	size, err := img.file.Size()
	if err != nil || !img.alloc.ready {
		return err
	}
	if end := img.alloc.tail << img.clusterBits; size < end {
		return img.file.Truncate(end)
	}
	return nil
}
