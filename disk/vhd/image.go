package vhd

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// image is an open dynamic or differencing VHD.
type image struct {
	*blockmap.Image
	based bool // is differencing, whether or not the parent is open
	// tracked images have bitmaps that count: a sector is in its block only if
	// its bit is set.
	tracked bool
	doubt   error // why the image must not be changed, or nil

	batmap   []byte // XenServer's: blocks all of whose sectors are there; nil if none
	batmapAt int64  // where it is in the file

	// The space's lock guards what follows.
	foot   footer
	head   header
	ends   ends // as found when opening
	inFile bool // footer and copy are in the file as they should be
	moved  bool // the footer must be written behind the last block
	torn   bool // writing header or footer failed: the file may have others

	bitmaps *bitmaps
	full    full
	touched atomic.Bool // the content was changed since opening
}

func newImage(f disk.File, foot footer, h header, write bool) (*image, error) {
	m := &image{foot: foot, head: h, based: foot.kind() == kindDiff}
	m.tracked = m.based || foot.creator() == "tap\x00"
	m.bitmaps = newBitmaps(m, h.blockSize())
	var err error
	m.Image, err = blockmap.NewImage(f, shapeOf(foot, h), binary.BigEndian, write, m, blockmap.Words{
		Format: name,
		Lost:   "the block is marked as missing, and reads as zeros or as the parent",
		Full:   "the table cannot point behind 2 TiB of the file; compact the image, or convert it to VHDX",
	}, m.bitmaps)
	if err != nil {
		return nil, err
	}
	if blocks := m.Shape.Blocks(); blocks > m.Shape.Entries {
		return nil, disk.Corrupt(name, int64(foot.u64(atDataOffset))+atEntries, "the disk has %d blocks of %d bytes, and the table only %d entries", blocks, m.Shape.Block, m.Shape.Entries)
	}
	return m, nil
}

// shapeOf is where footer and header say that the blocks are. Pointers are
// sectors of the file.
func shapeOf(foot footer, h header) blockmap.Shape {
	return blockmap.Shape{
		Size: foot.size(h.entries() * h.blockSize()), Block: h.blockSize(), Before: bitmapSize(h.blockSize()),
		Table: int64(h.u64(atTable)), Entries: h.entries(), Unit: sector, None: free, Align: blockmap.Page,
	}
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
