package vdi

import (
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// image is an open VDI.
type image struct {
	*blockmap.Image
	based bool // names a parent, whether or not that is open
	fixed bool

	head  header // guarded by the space's lock
	stale bool   // the header in the file is not head; so guarded

	used    atomic.Int64 // the header's number of used places, for reading without that lock
	touched atomic.Bool  // the modification UUID was changed since opening
}

// sector is what a guest reads at least.
const sector = 512

// wholeSectors is a size as a guest can see it. VBoxManage makes images of odd
// sizes from odd files.
func wholeSectors(size int64) int64 { return (size + sector - 1) / sector * sector }

// shapeOf is where a header says that the blocks are.
func shapeOf(h header) blockmap.Shape {
	return blockmap.Shape{
		Size: wholeSectors(h.diskSize()), Block: int64(h.blockSize()), Before: int64(h.extra()),
		Table: h.offMap(), Entries: int64(h.blocks()), Base: h.offData(), Unit: h.stride(), None: zeroed, Align: 1,
	}
}

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
	parent, err := openParent(s, h)
	if err != nil {
		return nil, err
	}
	img.Below(parent, false)
	return img, nil
}

func newImage(f disk.File, h header, write bool) (*image, error) {
	m := &image{based: h.based(), fixed: h.kind() == typeFixed, head: h}
	m.used.Store(int64(h.used()))
	var err error
	m.Image, err = blockmap.NewImage(f, shapeOf(h), binary.LittleEndian, write, m, blockmap.Words{
		Format: name,
		Lost:   "the block is marked as zero",
		Full:   "the image has no number left for a new block; compact it, or convert it to one with larger blocks",
	})
	return m, err
}
