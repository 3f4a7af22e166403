package vmdk

import (
	"errors"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// image is a disk of one or several extents.
type image struct {
	kind   string // its createType
	name   string // of its file, in fs
	fs     disk.FS
	home   home // where the descriptor is stored
	parts  []*part
	parent disk.Image
	// borrowed says that the parent is the caller's, and stays open.
	borrowed bool
	link     *disk.Link // the parent as the image names it
	write    bool

	// shape is held for reading by whatever reads or writes the disk, and for
	// writing by what moves or removes grains. It comes before all other locks.
	shape sync.RWMutex
	size  int64
	spans []span

	memory   memory
	identity identity
	desc     *descriptor.Descriptor // nil when there is none; guarded by identity.mu once the image is open
	filling  bool                   // new, and to be filled by a sink
	// inherited says that the files may hold what whoever had them before wrote
	// and could not sync: it is read, so a Sync has to make it durable.
	inherited atomic.Bool
}

// span is an extent in its place on the disk.
type span struct {
	extent
	start, len int64
	access     descriptor.Access
	line       int // of the descriptor's extents
}

// extent is a part of the disk, with offsets of its own.
type extent interface {
	// locate describes the range at off as disk.Mapper does; Off is not set.
	locate(off, n int64) (disk.Extent, error)
}

// part is a file of the image.
type part struct {
	ref  string // as it stands in the descriptor; "" is the file that the image was opened by
	file disk.File

	written atomic.Uint64 // how often it was
	synced  atomic.Uint64 // how much of that is durable
	syncing sync.Mutex    // held while the file is synced
}

// touch notes that the file was written: after it was, because a sync in
// between would take it for durable.
func (p *part) touch() { p.written.Add(1) }

// dirty tells whether something written is not known to be durable.
func (p *part) dirty() bool { return p.written.Load() != p.synced.Load() }

// sync makes durable what was written. It waits for another that is under way.
func (p *part) sync() error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	n := p.written.Load()
	if n == p.synced.Load() {
		return nil
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	p.synced.Store(n)
	return nil
}

// core is the image that its decorators share.
func (m *image) core() *image { return m }

// cored is an image of this format, whatever it can do besides.
type cored interface{ core() *image }

// label names the part within an error, if it is not the image's own file.
func (p *part) label() string {
	if p.ref == "" {
		return ""
	}
	return p.ref + " "
}

// home is the place of a descriptor.
type home struct {
	part *part
	off  int64
	room int64 // bytes; 0: the whole file is the descriptor
}

// layer is the image as its own lock's holder sees it.
type layer struct{ *image }

// Map describes a range; image.shape is held.
func (l layer) Map(off, n int64) (disk.Extent, error) { return l.locate(off, n) }

func (m *image) locate(off, n int64) (disk.Extent, error) {
	if err := disk.InRange(off, n, m.size); err != nil {
		return disk.Extent{}, err
	}
	s := m.spanAt(off)
	e, err := s.locate(off-s.start, min(n, s.start+s.len-off))
	e.Off = off
	return e, err
}

// spanAt finds the extent that holds off, which must be on the disk.
func (m *image) spanAt(off int64) *span {
	i := sort.Search(len(m.spans), func(i int) bool { return m.spans[i].start+m.spans[i].len > off })
	return &m.spans[i]
}

// ReadAt reads what a guest would.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	m.shape.RLock()
	defer m.shape.RUnlock()
	return disk.ReadThrough(layer{m}, p, off, m.decode)
}

// Map describes the range at off.
func (m *image) Map(off, n int64) (disk.Extent, error) {
	m.shape.RLock()
	defer m.shape.RUnlock()
	return m.locate(off, n)
}

// decode reads compressed grains.
func (m *image) decode(e disk.Extent, p []byte) error {
	s := m.spanAt(e.Off)
	return s.extent.(*sparse).decompress(p, e.Off-s.start)
}

// Size is the disk's size in bytes.
func (m *image) Size() int64 {
	m.shape.RLock()
	defer m.shape.RUnlock()
	return m.size
}

// Parent is the image below, or nil.
func (m *image) Parent() disk.Image { return m.parent }

// Close writes what is left to write, and closes all files.
func (m *image) Close() error {
	err := m.finish()
	for _, p := range m.parts {
		err = errors.Join(err, p.file.Close())
	}
	if m.parent != nil && !m.borrowed {
		err = errors.Join(err, m.parent.Close())
	}
	return err
}
