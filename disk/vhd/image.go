package vhd

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/table"
)

// tableMemory is how much of the block allocation table is kept in memory, in
// bytes: all of one for two terabytes.
const tableMemory = 4 << 20

// image is an open dynamic or differencing VHD. Locks are taken in the order
// of the fields.
type image struct {
	file   disk.File
	parent disk.Image
	based  bool // is differencing, whether or not the parent is open
	write  bool
	// tracked images have bitmaps that count: a sector is in its block only if
	// its bit is set.
	tracked bool
	doubt   error // why the image must not be changed, or nil

	// layout is held for writing while blocks move or the disk changes its
	// size, so that nobody reads where a block was.
	layout   sync.RWMutex
	geo      geometry
	batmap   []byte // XenServer's: blocks all of whose sectors are there; nil if none
	batmapAt int64  // where it is in the file

	// alloc is held while blocks are made or given up, and guards what follows.
	alloc  sync.Mutex
	foot   footer
	head   header
	ends   ends       // as found when opening
	inFile bool       // footer and copy are in the file as they should be
	space  *allocator // nil until the first change
	moved  bool       // the footer must be written behind the last block
	torn   bool       // writing header or footer failed: the file may have others

	table   *table.Cache
	bitmaps *bitmaps
	full    full
	fileEnd atomic.Int64 // behind which the file has nothing
	ready   atomic.Bool  // the first change may be made
}

// geometry is what of footer and header is needed for each read.
type geometry struct {
	size    int64
	block   int64
	bitmap  int64 // bytes before each block
	table   int64
	entries int64
}

func newImage(f disk.File, foot footer, h header, write bool) (*image, error) {
	end, err := f.Size()
	if err != nil {
		return nil, err
	}
	img := &image{
		file: f, write: write, foot: foot, head: h, based: foot.kind() == kindDiff,
		table: table.New(f, binary.BigEndian, tableMemory, name),
	}
	img.tracked = img.based || foot.creator() == "tap\x00"
	img.geo = geometryOf(foot, h)
	if blocks := (img.geo.size + img.geo.block - 1) / img.geo.block; blocks > img.geo.entries {
		return nil, disk.Corrupt(name, int64(foot.u64(atDataOffset))+atEntries, "the disk has %d blocks of %d bytes, and the table only %d entries", blocks, img.geo.block, img.geo.entries)
	}
	img.bitmaps = newBitmaps(img)
	img.fileEnd.Store(end)
	return img, nil
}

func geometryOf(foot footer, h header) geometry {
	return geometry{
		size: foot.size(h.entries() * h.blockSize()), block: h.blockSize(), bitmap: bitmapSize(h.blockSize()),
		table: int64(h.u64(atTable)), entries: h.entries(),
	}
}

// stride is how long a block is in the file, with its bitmap.
func (g geometry) stride() int64 { return g.bitmap + g.block }

// dataAt is where a block's data begins that is entered in the table as start.
func (g geometry) dataAt(start uint32) int64 { return int64(start)*sector + g.bitmap }

// blocks is how many blocks the disk has; the table may have more entries.
func (g geometry) blocks() int64 { return (g.size + g.block - 1) / g.block }

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
	if m.write && m.ready.Load() {
		failed = m.Sync()
	}
	if m.parent != nil {
		failed = errors.Join(failed, m.parent.Close())
	}
	return errors.Join(failed, m.file.Close())
}
