package qcow2

import (
	"context"
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// walker goes through all that the image points to.
type walker struct {
	img      *image
	ctx      context.Context
	clusters int64 // of the file, a last partial one too
	use      func(first, n int64)
	found    func(disk.Finding) // may be nil
	// data is told of each L2 entry of the current state; it may be nil.
	data func(at int64, e entry)
	// pointer is told of each L1 entry of the current state; it may be nil.
	pointer func(at int64, v uint64)

	allocated int64
	broken    bool // pointers lead nowhere: what they led to cannot be told
	tables    bool // refcount structures are walked, too
}

func (img *image) newWalker(ctx context.Context) (*walker, error) {
	size, err := img.file.Size()
	if err != nil {
		return nil, err
	}
	return &walker{
		img: img, ctx: ctx, clusters: (size + img.clusterSize() - 1) >> img.clusterBits,
		use: func(int64, int64) {}, tables: true,
	}, nil
}

func (w *walker) damage(at int64, err error) {
	w.broken = true
	w.report(disk.Damage, at, err.Error(), "")
}

func (w *walker) report(s disk.Severity, at int64, reason, remedy string) {
	if w.found != nil {
		w.found(disk.Finding{Severity: s, Offset: at, Reason: reason, Remedy: remedy})
	}
}

// bytes counts what n bytes at off are in; where tells who points to them.
func (w *walker) bytes(off, n, where int64, what string) bool {
	if n == 0 {
		return true
	}
	bits := w.img.clusterBits
	first, last := off>>bits, (off+n-1)>>bits
	if off < 0 || n < 0 || off+n < 0 || last >= w.clusters {
		w.damage(where, disk.Corrupt(formatName, where, "%s of %d bytes at %#x, behind the end of the file", what, n, off))
		return false
	}
	w.use(first, last-first+1)
	return true
}

// all walks everything. It fails only when the file cannot be read.
func (w *walker) all() error {
	img, h := w.img, &w.img.h
	w.use(0, 1)
	if w.tables {
		if err := w.refcounts(); err != nil {
			return err
		}
	}
	if err := w.l1(h.l1Offset, int64(h.l1Size), 40, true); err != nil {
		return err
	}
	if n := len(img.snapshots); n > 0 {
		last := img.snapshots[n-1]
		w.bytes(h.snapshotOffset, last.at+last.length-h.snapshotOffset, 64, "a snapshot table")
	}
	if img.encrypted() {
		w.bytes(img.sealed.off, img.sealed.n, 32, "an encryption header")
	}
	for _, s := range img.snapshots {
		if s.problem != nil {
			w.damage(s.at, s.problem)
			continue
		}
		if err := w.l1(s.l1Offset, s.l1Size, s.at, false); err != nil {
			return err
		}
	}
	return w.bitmaps()
}

// refcounts walks the refcount table and its blocks.
func (w *walker) refcounts() error {
	img, h := w.img, &w.img.h
	w.bytes(h.refTableOffset, int64(h.refTableLen)<<h.clusterBits, 48, "a refcount table")
	for index := range img.refs.entries() {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		at := h.refTableOffset + index*8
		off, err := img.refs.block(index)
		if err != nil {
			if !isCorrupt(err) {
				return err
			}
			w.report(disk.Damage, at, err.Error(), rebuildRemedy)
			continue
		}
		if off != 0 && off>>h.clusterBits >= w.clusters {
			w.report(disk.Damage, at, "a refcount block lies behind the end of the file", rebuildRemedy)
		} else if off != 0 {
			w.use(off>>h.clusterBits, 1)
		}
	}
	return nil
}

// l1 walks an L1 table and what it points to.
func (w *walker) l1(off, entries, where int64, current bool) error {
	if !w.bytes(off, entries*8, where, "an L1 table") {
		return nil
	}
	tables := int64(0) // as many as the file has room for, or they are not all different
	for i := range entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		at := off + i*8
		v, err := w.img.tables.get(at, 8)
		if err != nil {
			return err
		}
		table := int64(v & offsetMask)
		switch {
		case table == 0:
			continue
		case table&(w.img.clusterSize()-1) != 0:
			w.damage(at, disk.Corrupt(formatName, at, "an L1 entry %#x points to no cluster's begin", v))
		case tables > w.clusters:
			w.damage(at, disk.Corrupt(formatName, at, "the L1 table names more L2 tables than the file has clusters"))
			return nil
		case w.bytes(table, w.img.clusterSize(), at, "an L2 table"):
			tables++
			if current && w.pointer != nil {
				w.pointer(at, v)
			}
			if err := w.l2(table, current); err != nil {
				return err
			}
		}
	}
	return nil
}

// l2 walks an L2 table.
func (w *walker) l2(table int64, current bool) error {
	img := w.img
	var buffer [512]byte
	size := int(img.h.entryBytes())
	for at := table; at < table+img.clusterSize(); {
		n, err := img.tables.read(buffer[:], at)
		if err != nil {
			return err
		}
		for i := 0; i+size <= n; i += size {
			e := entry{word: binary.BigEndian.Uint64(buffer[i:])}
			if img.extended {
				e.bitmap = binary.BigEndian.Uint64(buffer[i+8:])
			}
			w.entry(at+int64(i), e, current)
		}
		at += int64(n)
	}
	return nil
}

// entry counts what an L2 entry points to.
func (w *walker) entry(at int64, e entry, current bool) {
	img := w.img
	if e == (entry{}) {
		return
	}
	if err := img.check(e, at); err != nil {
		w.damage(at, err)
		return
	}
	k := img.kindOf(e)
	switch {
	case k == compressed:
		off, n := img.span(e)
		if e.word&flagCopied != 0 && current {
			w.report(disk.Damage, at, "a compressed cluster is flagged as copied", copiedRemedy)
		}
		// The length is an upper bound; the last sector may lie behind the end.
		if off>>img.clusterBits >= w.clusters {
			w.bytes(off, n, at, "a compressed cluster")
			return
		}
		first, last := off>>img.clusterBits, min((off+n-1)>>img.clusterBits, w.clusters-1)
		w.use(first, last-first+1)
	case k == normal || k == zeroHosted:
		if !img.dataFile && !w.bytes(e.host(), 1, at, "a cluster") {
			return
		}
	case k == absent || k == zeroBare:
	}
	if current && w.data != nil {
		if k != absent && k != zeroBare {
			w.allocated++
		}
		w.data(at, e)
	}
}

// bitmaps walks the bitmap directory and the bitmaps.
func (w *walker) bitmaps() error {
	img := w.img
	off, size, n, err := bitmapDirectory(&img.h, img.extensions)
	if err != nil || n == 0 {
		return err
	}
	w.bytes(off, size, img.h.backingOffset, "a bitmap directory")
	for _, b := range img.bitmaps {
		if !w.bytes(b.tableOffset, b.tableSize*8, b.at, "a bitmap table") {
			continue
		}
		for i := range b.tableSize {
			at := b.tableOffset + i*8
			v, err := img.tables.get(at, 8)
			if err != nil {
				return err
			}
			if host := int64(v & offsetMask); host != 0 {
				w.bytes(host, img.clusterSize(), at, "a cluster of a bitmap")
			}
		}
	}
	return nil
}
