package vdi

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/table"
)

// tableMemory is how much of the block map is kept in memory, in bytes: the
// map of a terabyte of blocks of the usual size.
const tableMemory = 4 << 20

// image is an open VDI. Locks are taken in the order of the fields.
type image struct {
	file   disk.File
	parent disk.Image
	based  bool // names a parent, whether or not that is open
	write  bool

	// layout is held for writing while blocks move or the disk changes its
	// size, so that nobody reads at a place that was given up.
	layout sync.RWMutex
	geo    geometry

	// alloc is held while places are given out or given up, and guards what
	// follows it.
	alloc   sync.Mutex
	head    header
	places  *allocator // nil until the first change
	stale   bool       // the header in the file is not head
	touched bool       // the modification UUID was changed since opening

	ready    atomic.Bool // the first change may be made
	blockMap *table.Cache
	used     atomic.Int64 // the header's number of used places, for reading without alloc
	fileEnd  atomic.Int64 // behind which the file has nothing
}

// geometry is what of the header is needed for each read.
type geometry struct {
	size    int64
	block   int64 // a power of two
	stride  int64
	extra   int64
	offMap  int64
	offData int64
	blocks  int64
	fixed   bool
}

// sector is what a guest reads at least.
const sector = 512

// wholeSectors is a size as a guest can see it. VBoxManage makes images of odd
// sizes from odd files.
func wholeSectors(size int64) int64 { return (size + sector - 1) / sector * sector }

func geometryOf(h header) geometry {
	return geometry{
		size: wholeSectors(h.diskSize()), block: int64(h.blockSize()), stride: h.stride(), extra: int64(h.extra()),
		offMap: h.offMap(), offData: h.offData(), blocks: int64(h.blocks()), fixed: h.kind() == typeFixed,
	}
}

// dataAt is where the data of a place begins in the file.
func (g geometry) dataAt(place uint32) int64 {
	return g.offData + int64(place)*g.stride + g.extra
}

// placeEnd is where a place ends in the file.
func (g geometry) placeEnd(place int64) int64 { return g.offData + (place+1)*g.stride }

func open(s *disk.Source) (disk.Image, error) {
	img, err := openFile(s)
	if err != nil {
		return nil, errors.Join(err, s.File.Close())
	}
	return img, nil
}

func openFile(s *disk.Source) (*image, error) {
	if s.Snapshot != "" {
		return nil, disk.Unsupported(name, "images of this format hold no snapshots; each is a file of its own")
	}
	h, err := readHeader(s.File)
	if err != nil {
		return nil, err
	}
	img, err := newImage(s.File, h, s.Write)
	if err != nil {
		return nil, err
	}
	img.parent, err = openParent(s, h)
	return img, err
}

func newImage(f disk.File, h header, write bool) (*image, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	img := &image{file: f, based: h.based(), write: write, head: h, geo: geometryOf(h), blockMap: table.New(f, binary.LittleEndian, tableMemory, name)}
	img.used.Store(int64(h.used()))
	img.fileEnd.Store(size)
	return img, nil
}

// Size is the length of the disk.
func (m *image) Size() int64 {
	m.layout.RLock()
	defer m.layout.RUnlock()
	return m.geo.size
}

// CanWrite tells whether it was opened for writing.
func (m *image) CanWrite() bool { return m.write }

// Parent is the image below, or nil.
func (m *image) Parent() disk.Image { return m.parent }

// Close writes out what was not, and gives the files back.
func (m *image) Close() error {
	var failed error
	if m.write {
		failed = m.Sync()
	}
	if m.parent != nil {
		failed = errors.Join(failed, m.parent.Close())
	}
	return errors.Join(failed, m.file.Close())
}
