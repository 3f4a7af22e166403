package vhdx

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// image is an open VHDX. The package comment has the order of its locks.
type image struct {
	shape
	file     disk.File // what is read: the file itself, or an overlay with its log
	parent   disk.Image
	borrowed bool // the parent is its caller's and stays open
	write    bool
	creator  string
	replays  int          // entries of the log that had to be replayed
	bytes    atomic.Int64 // of the disk

	markedFile, markedData atomic.Bool // the GUIDs were changed; see mark

	flushing sync.Mutex // one flush at a time; guards journal and undone
	journal  *journal   // nil unless open for writing
	undone   []sector   // to be put back, after a change of them failed

	data sync.RWMutex // shared by those who use places in the file; guards nothing itself

	mu       sync.RWMutex
	pages    *pages
	headers  headers
	regions  regions
	metadata metadata
	table    span   // the allocation table's region
	reserved []span // where no block may lie
	end      int64  // of what is used of the file; new blocks are put here
	free     []span // given back, and read as zeros
	freed    []span // given back, not yet to be used again
	stale    []span // not used when the image was opened; hold old data
	closed   bool
}

// open opens an image and its parent.
func open(s *disk.Source) (disk.Image, error) {
	m, err := load(s.File, s.Write)
	if err != nil {
		return nil, errors.Join(err, s.File.Close())
	}
	if m.metadata.hasParent {
		if m.parent, err = s.OpenParent(m.parentRef()); err != nil {
			return nil, errors.Join(err, s.File.Close())
		}
	}
	return m, nil
}

// parentRef says which image is the parent.
func (m *image) parentRef() disk.ParentRef {
	l := m.metadata.locator
	return disk.ParentRef{
		Paths:  l.paths(),
		Search: true,
		Accept: func(img disk.Image) error {
			have := disk.Describe(img).Modified
			if l.links(have) {
				return nil
			}
			return fmt.Errorf("%w: the image was made on one with the data write GUID %s, and this one has %s", disk.ErrWrongParent, l.get(keyLinkage), have)
		},
	}
}

// load reads the headers, replays the log, and reads what lies behind it.
func load(f disk.File, write bool) (*image, error) {
	p, err := disk.ReadFull(f, 0, identifierLength, name, "file type identifier")
	if err != nil {
		return nil, err
	}
	if string(p[:8]) != signature {
		return nil, disk.Corrupt(name, 0, "the file begins with %q, not with %q", p[:8], signature)
	}
	m := &image{file: f, write: write, creator: creator(p)}
	if m.headers, err = readHeaders(f); err != nil {
		return nil, err
	}
	if err := m.log(); err != nil {
		return nil, err
	}
	if err := m.tables(); err != nil {
		return nil, err
	}
	if err := m.bounds(); err != nil {
		return nil, err
	}
	if write {
		m.journal, err = newJournal(m.file, m.headers)
	}
	return m, err
}

// log replays the log if it must be: in the file when it may be written to, and
// else in memory.
func (m *image) log() error {
	l, run, err := pending(m.file, m.headers.header)
	if err != nil {
		return err
	}
	m.replays = len(run)
	switch {
	case m.write && !m.headers.log.zero():
		if l != nil {
			if err := l.replay(run); err != nil {
				return err
			}
		}
		m.headers, err = m.headers.next(m.file, func(h *header) { h.log, h.fileWrite = guid{}, newGUID() })
		if err == nil {
			err = m.file.Sync()
		}
	case l != nil:
		m.file, err = newOverlay(m.file, l, run)
	}
	return err
}

// tables reads the region table and the metadata.
func (m *image) tables() (err error) {
	if m.regions, err = readRegions(m.file); err != nil {
		return err
	}
	where, err := m.regions.find(regionMetadata)
	if err != nil {
		return err
	}
	if m.metadata, err = readMetadata(m.file, where); err != nil {
		return err
	}
	m.shape = shapeOf(m.metadata.blockSize, m.metadata.logical)
	m.bytes.Store(m.metadata.size)
	if m.table, err = m.regions.find(regionBAT); err != nil {
		return err
	}
	if need := m.entries(m.metadata.size, m.metadata.hasParent) * entryLength; need > m.table.length {
		return disk.Corrupt(name, m.table.off, "the allocation table's region has %d bytes; the disk needs %d", m.table.length, need)
	}
	m.pages = newPages(m.file)
	return nil
}

// bounds finds where blocks may lie.
func (m *image) bounds() error {
	size, err := m.file.Size()
	if err != nil {
		return err
	}
	m.reserve()
	m.end = size
	if !m.write {
		return nil
	}
	m.end = roundUp(size, mib)
	// The last block may be cut where the disk ends; its place is whole.
	last := m.blocks(m.metadata.size) - 1
	if last < 0 {
		return nil
	}
	e, err := m.payload(last)
	if err == nil && e.present() && e.host() >= 0 && e.host() <= size {
		m.end = max(m.end, e.host()+m.blockSize())
	}
	return err
}

// reserve lists what lies where no block may.
func (m *image) reserve() {
	m.reserved = []span{{0, headerSection}, {m.headers.logOffset, m.headers.logLength}}
	for _, r := range m.regions.list {
		m.reserved = append(m.reserved, r.span)
	}
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// Size is the size of the virtual disk in bytes.
func (m *image) Size() int64 { return m.bytes.Load() }

// Parent is the image that is read where this one is unallocated, or nil.
func (m *image) Parent() disk.Image {
	if m.parent == nil {
		return nil
	}
	return m.parent
}

// CanWrite tells whether the image was opened for writing.
func (m *image) CanWrite() bool { return m.write }

// Close writes out what was not, and gives back the files.
func (m *image) Close() error {
	m.mu.Lock()
	already := m.closed
	m.closed = true
	m.mu.Unlock()
	if already {
		return nil
	}
	var failed error
	if m.write {
		if failed = m.Sync(); failed == nil {
			failed = m.finish()
		}
	}
	failed = errors.Join(failed, m.file.Close())
	if m.parent != nil && !m.borrowed {
		failed = errors.Join(failed, m.parent.Close())
	}
	return failed
}

// payload is the table entry of a block. m.mu must be held.
func (m *image) payload(b int64) (entry, error) {
	return m.pages.entryAt(m.table.off + m.payloadIndex(b)*entryLength)
}

// bitmap is the table entry of a chunk's sector bitmap. m.mu must be held.
func (m *image) bitmap(c int64) (entry, error) {
	return m.pages.entryAt(m.table.off + m.bitmapIndex(c)*entryLength)
}

// blockEnd is where block b ends on the disk.
func (m *image) blockEnd(b int64) int64 { return min((b+1)<<m.block, m.Size()) }

// locate checks where a present block lies. m.mu must be held.
func (m *image) locate(b int64, e entry) (int64, error) {
	return e.host(), m.placeable(span{e.host(), m.blockEnd(b) - b<<m.block}, m.payloadIndex(b))
}

// locateBitmap finds a chunk's sector bitmap. m.mu must be held.
func (m *image) locateBitmap(c int64) (int64, error) {
	e, err := m.bitmap(c)
	if err != nil {
		return 0, err
	}
	if e.state() != bitmapPresent {
		return 0, disk.Corrupt(name, m.table.off+m.bitmapIndex(c)*entryLength, "blocks %d and on are partly the parent's, and there is no bitmap that says where", c<<m.chunk)
	}
	return e.host(), m.placeable(span{e.host(), bitmapLength}, m.bitmapIndex(c))
}

// placeable tells what is wrong with the place that an entry names.
func (m *image) placeable(s span, index int64) error {
	if s.off < 0 || s.off > m.end-s.length {
		return disk.Corrupt(name, m.table.off+index*entryLength, "a block lies at [%#x,+%#x), beyond the end of the file at %#x", s.off, s.length, m.end)
	}
	for _, r := range m.reserved {
		if r.overlaps(s) {
			return disk.Corrupt(name, m.table.off+index*entryLength, "a block lies at [%#x,+%#x), in the file's own tables at [%#x,+%#x)", s.off, s.length, r.off, r.length)
		}
	}
	return nil
}
