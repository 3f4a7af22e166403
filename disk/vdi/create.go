package vdi

import (
	"encoding/binary"
	"errors"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// Where new images have their parts. The data begins at a multiple of
// dataAlign, so that blocks lie well on any store, and the map has room to grow.
const (
	mapOffset = 0x200
	dataAlign = 1 << 20
)

func create(t *disk.Target) (disk.Image, error) {
	img, err := createFile(t)
	if err != nil {
		return nil, errors.Join(err, t.File.Close())
	}
	return img, nil
}

func createFile(t *disk.Target) (*image, error) {
	h, err := newHeader(t)
	if err != nil {
		return nil, err
	}
	if _, err := t.File.WriteAt(h.raw, 0); err != nil {
		return nil, err
	}
	isFixed := h.kind() == typeFixed
	if err := writeMap(t.File, h, func(index int64) uint32 {
		if isFixed {
			return uint32(index)
		}
		return unallocated
	}); err != nil {
		return nil, err
	}
	// A fixed image has its full length from the start, and its blocks are a
	// hole until they are written.
	end := h.offData() + int64(h.used())*h.stride()
	if err := t.File.Truncate(end); err != nil {
		return nil, err
	}
	if err := t.File.Sync(); err != nil {
		return nil, err
	}
	img, err := newImage(t.File, h, true)
	if err != nil {
		return nil, err
	}
	img.Below(t.Parent, true)
	img.Space = blockmap.Behind(img.Shape, end)
	img.touched.Store(true)
	return img, nil
}

// newHeader is the header of an image that is to be made.
func newHeader(t *disk.Target) (header, error) {
	block := t.Int(optionBlockSize)
	if block&(block-1) != 0 {
		return header{}, disk.Usage("option %s is %d; it must be a power of two", optionBlockSize, block)
	}
	size := wholeSectors(t.Size)
	blocks := (size + block - 1) / block
	offData := (mapOffset + 4*blocks + dataAlign - 1) / dataAlign * dataAlign
	if offData > 0xffffffff {
		return header{}, disk.Usage("a VDI of %d bytes needs larger blocks than %d; choose %s", t.Size, block, optionBlockSize)
	}
	h := header{raw: make([]byte, layout1Plus.end), at: layout1Plus}
	copy(h.raw, imageText)
	h.setU32(0x40, signature)
	h.setU32(0x44, version11)
	h.setU32(0x48, length1Plus)
	h.setU32(h.at.offMap, mapOffset)
	h.setU32(h.at.offData, uint32(offData))
	h.setU32(h.at.geometry+12, 512)
	h.setGeometry(h.at.logical, geometryFor(size))
	h.setDiskSize(size)
	h.setU32(h.at.blockSize, uint32(block))
	h.setU32(h.at.blocks, uint32(blocks))
	if t.Variant.Name == fixed {
		h.setU32(h.at.used, uint32(blocks))
	}
	return h, h.setIdentity(t)
}

// setIdentity puts type and UUIDs into a new header.
func (h header) setIdentity(t *disk.Target) error {
	id, err := parseUUID(t.UUID)
	if err != nil {
		return err
	}
	modified, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	h.setUUID(h.at.image, id)
	h.setUUID(h.at.modified, modified)
	switch {
	case t.Parent != nil:
		h.setU32(h.at.kind, typeDiff)
		parent, parentModified, err := identityOf(t.Parent)
		if err != nil {
			return err
		}
		h.setParent(parent, parentModified)
	case t.Variant.Name == differencing:
		return disk.Usage("a differencing image needs a parent")
	case t.Variant.Name == fixed:
		h.setU32(h.at.kind, typeFixed)
	default:
		h.setU32(h.at.kind, typeDynamic)
	}
	return nil
}

// writeMap writes a whole block map.
func writeMap(f disk.File, h header, place func(index int64) uint32) error {
	const batch = 1 << 16
	blocks := int64(h.blocks())
	p := make([]byte, 0, 4*min(batch, blocks))
	for index := int64(0); index < blocks; {
		start := index
		for p = p[:0]; index < blocks && index < start+batch; index++ {
			p = binary.LittleEndian.AppendUint32(p, place(index))
		}
		if _, err := f.WriteAt(p, h.offMap()+4*start); err != nil {
			return err
		}
	}
	return nil
}
