package qcow1

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/deflate"
)

// l2At is where the L2 table lies that speaks of a disk's offset, 0 if there is
// none.
func (m *image) l2At(off int64) (int64, error) {
	at := m.l1Slot(off)
	v, err := m.tables.Uint64(at)
	if err != nil {
		return 0, err
	}
	if v > maxDiskSize || v%8 != 0 || v > 0 && v < headerBytes {
		return 0, disk.Corrupt(formatName, at, "an L1 entry points at %#x, where no L2 table can be", v)
	}
	return int64(v), nil
}

// l1Slot is where the L1 entry for a disk's offset lies.
func (m *image) l1Slot(off int64) int64 { return m.shape.l1Offset + off/m.shape.span()*8 }

// slot is where the L2 entry for a disk's offset lies in its table.
func (m *image) slot(l2, off int64) int64 {
	return l2 + off>>m.shape.clusterBits&(1<<m.shape.tableBits-1)*8
}

// Map describes the range from off on; see disk.Mapper.
func (m *image) Map(off, n int64) (disk.Extent, error) {
	e := disk.Extent{Off: off}
	for end := off + n; off < end; {
		l2, err := m.l2At(off)
		if err != nil {
			return orError(e, err)
		}
		next := min(end, (off/m.shape.span()+1)*m.shape.span())
		if l2 == 0 {
			if !extend(&e, next-off, 0, disk.Extent{State: disk.Unallocated}) {
				break
			}
		} else if more, err := m.mapTable(&e, l2, off, next); err != nil || !more {
			return orError(e, err)
		}
		off = next
	}
	return e, nil
}

// orError is the error, unless there is something before it.
func orError(e disk.Extent, err error) (disk.Extent, error) {
	if e.Len > 0 {
		err = nil
	}
	return e, err
}

// mapTable carries on e by what an L2 table says of [off, end).
func (m *image) mapTable(e *disk.Extent, l2, off, end int64) (more bool, err error) {
	for off < end {
		entry, err := m.tables.Uint64(m.slot(l2, off))
		if err != nil {
			return false, err
		}
		next := min(end, (off>>m.shape.clusterBits+1)<<m.shape.clusterBits)
		if !extend(e, next-off, off&(m.shape.clusterSize()-1), m.state(entry)) {
			return false, nil
		}
		off = next
	}
	return true, nil
}

// state is what an L2 entry says of its cluster.
func (m *image) state(entry uint64) disk.Extent {
	switch {
	case entry == 0:
		return disk.Extent{State: disk.Unallocated}
	case entry&compressedFlag != 0:
		at, _ := m.shape.packed(entry)
		return disk.Extent{State: disk.Data, Compressed: true, HostOff: at}
	}
	return disk.Extent{State: disk.Data, File: m.file, HostOff: int64(entry)}
}

// extend carries on e by n bytes, which lie in bytes behind the begin of a
// cluster; it tells whether they continue it.
func extend(e *disk.Extent, n, in int64, cluster disk.Extent) bool {
	host := cluster.HostOff
	if cluster.File != nil {
		host += in
	}
	switch {
	case e.Len == 0:
		e.State, e.Compressed, e.File, e.HostOff = cluster.State, cluster.Compressed, cluster.File, host
	case e.State != cluster.State || e.Compressed != cluster.Compressed || e.File != nil && e.HostOff+e.Len != host:
		return false
	}
	e.Len += n
	return true
}

// ReadAt reads what a guest would.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	return disk.ReadThrough(m, p, off, m.decode)
}

// recent keeps the compressed cluster that was decoded last: small reads in a row
// want the same.
type recent struct {
	mu      sync.Mutex // guards what follows
	entry   uint64     // 0 if none
	content []byte
	source  []byte
	decoder deflate.Decoder
}

// decode reads compressed clusters.
func (m *image) decode(e disk.Extent, p []byte) error {
	for off := e.Off; off < e.End(); {
		in := off & (m.shape.clusterSize() - 1)
		n := min(m.shape.clusterSize()-in, e.End()-off)
		if err := m.decodePart(off, in, p[off-e.Off:][:n]); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// decodePart reads p from the compressed cluster that off lies in.
func (m *image) decodePart(off, in int64, p []byte) error {
	l2, err := m.l2At(off)
	if err != nil {
		return err
	}
	at := m.slot(l2, off)
	entry, err := m.tables.Uint64(at)
	if err != nil {
		return err
	}
	if entry&compressedFlag == 0 { // overwritten meanwhile
		_, err := m.ReadAt(p, off)
		return err
	}
	r := &m.recent
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entry != entry {
		r.entry = 0
		if err := m.inflate(entry, at); err != nil {
			return err
		}
		r.entry = entry
	}
	copy(p, r.content[in:])
	return nil
}

// inflate decodes the cluster of an entry, which lies at at, into recent.
func (m *image) inflate(entry uint64, at int64) error {
	r, cs := &m.recent, m.shape.clusterSize()
	if r.content == nil {
		r.content, r.source = make([]byte, cs), make([]byte, cs)
	}
	off, n := m.shape.packed(entry)
	k, err := m.file.ReadAt(r.source[:n], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if k == 0 {
		return disk.Corrupt(formatName, at, "a compressed cluster of %d bytes at %#x, behind the end of the file", n, off)
	}
	got, _, err := r.decoder.Decode(r.content, r.source[:k])
	if int64(got) == cs { // as QEMU does, what follows is not looked at
		return nil
	}
	if err == nil {
		err = fmt.Errorf("it holds %d", got)
	}
	return disk.Corrupt(formatName, off, "a cluster compressed to %d bytes: %v", n, err)
}
