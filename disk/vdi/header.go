package vdi

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// VirtualBox 7, VDICore.h: VDIPREHEADER, VDIHEADER0, VDIHEADER1, VDIHEADER1PLUS.
const (
	signature   = 0xbeda107f
	preHeader   = 0x48
	headerMax   = 512
	version11   = 0x00010001
	length1     = 0x180 // of a header 1.x without the second geometry
	length1Plus = 0x190

	imageText = "<<< Panal VDI Disk Image >>>\n"
)

// Types of images; VDIIMAGETYPE.
const (
	typeDynamic = 1
	typeFixed   = 2
	typeUndo    = 3
	typeDiff    = 4
)

// Places in the block map that are none; VDI_IMAGE_BLOCK_FREE and _ZERO.
const (
	unallocated = 0xffffffff
	zeroed      = 0xfffffffe
)

// layout says where the fields of a header revision are, in bytes from the
// start of the file; 0 is a field that it does not have.
type layout struct {
	kind, flags, comment, offMap, offData, geometry, diskSize, blockSize, extra, blocks, used int
	image, modified, parent, parentModified, logical                                          int
	end                                                                                       int
}

var (
	layout0 = layout{
		kind: 0x48, flags: 0x4c, comment: 0x50, geometry: 0x150, diskSize: 0x160, blockSize: 0x168, blocks: 0x16c, used: 0x170,
		image: 0x174, modified: 0x184, parent: 0x194, end: 0x1a4,
	}
	layout1 = layout{
		kind: 0x4c, flags: 0x50, comment: 0x54, offMap: 0x154, offData: 0x158, geometry: 0x15c, diskSize: 0x170, blockSize: 0x178,
		extra: 0x17c, blocks: 0x180, used: 0x184, image: 0x188, modified: 0x198, parent: 0x1a8, parentModified: 0x1b8, end: 0x1c8,
	}
	layout1Plus = func() layout { l := layout1; l.logical, l.end = 0x1c8, 0x1d8; return l }()
)

// header is the pre-header and header of an image as they stand in its file.
type header struct {
	raw []byte
	at  layout
}

// readHeader reads and checks the header of a file.
func readHeader(f disk.File) (header, error) {
	size, err := f.Size()
	if err != nil {
		return header{}, err
	}
	raw, err := disk.ReadFull(f, 0, min(size, headerMax), name, "header")
	if err != nil {
		return header{}, err
	}
	h := header{raw: raw}
	if len(raw) < preHeader || h.u32(0x40) != signature {
		return header{}, disk.Corrupt(name, 0x40, "this is no VirtualBox disk image: its signature is missing")
	}
	if err := h.chooseLayout(); err != nil {
		return header{}, err
	}
	if len(raw) < h.at.end {
		return header{}, disk.Corrupt(name, int64(len(raw)), "the file ends within its header of %d bytes", h.at.end)
	}
	h.raw = raw[:h.at.end]
	return h, h.check(size)
}

func (h *header) chooseLayout() error {
	version := h.u32(0x44)
	switch version >> 16 {
	case 0:
		h.at = layout0
	case 1:
		h.at = layout1
		if len(h.raw) < preHeader+4 {
			return disk.Corrupt(name, int64(len(h.raw)), "the file ends within its header")
		}
		length := h.u32(0x48)
		if length < length1 {
			return disk.Corrupt(name, 0x48, "the header is said to have %d bytes; there must be at least %d", length, length1)
		}
		if length >= length1Plus {
			h.at = layout1Plus
		}
	default:
		return disk.Unsupported(name, "version %d.%d of the format; only 0 and 1 are known", version>>16, version&0xffff)
	}
	return nil
}

// check finds what would make the header's numbers unusable.
func (h header) check(fileSize int64) error {
	block, extra, blocks := int64(h.blockSize()), int64(h.extra()), int64(h.blocks())
	switch {
	case h.kind() < typeDynamic || h.kind() > typeDiff:
		return disk.Corrupt(name, int64(h.at.kind), "the image type is %d; it must be from 1 to 4", h.kind())
	case block < 512 || block > 1<<30 || block&(block-1) != 0:
		return disk.Corrupt(name, int64(h.at.blockSize), "the block size is %d; it must be a power of two from 512 to 1 GiB", block)
	case extra > 1<<20:
		return disk.Corrupt(name, int64(h.at.extra), "a block is said to have %d bytes of extra data; more than 1 MiB makes no sense", extra)
	case h.diskSize() < 0 || h.diskSize() > blocks*block:
		return disk.Corrupt(name, int64(h.at.diskSize), "the disk is said to have %d bytes, and its %d blocks hold %d", uint64(h.diskSize()), blocks, blocks*block)
	case h.offMap() < int64(h.at.end) || h.offMap()%4 != 0:
		return disk.Corrupt(name, int64(h.at.offMap), "the block map cannot be at %#x", h.offMap())
	case h.offMap()+4*blocks > fileSize:
		return disk.Corrupt(name, h.offMap(), "the map of %d blocks goes beyond the end of the file at %#x", blocks, fileSize)
	case h.offData() < h.offMap()+4*blocks:
		return disk.Corrupt(name, int64(h.at.offData), "the data begins at %#x, within the block map at %#x", h.offData(), h.offMap())
	}
	return nil
}

func (h header) u32(off int) uint32       { return binary.LittleEndian.Uint32(h.raw[off:]) }
func (h header) setU32(off int, v uint32) { binary.LittleEndian.PutUint32(h.raw[off:], v) }
func (h header) version() uint32          { return h.u32(0x44) }
func (h header) kind() uint32             { return h.u32(h.at.kind) }
func (h header) flags() uint32            { return h.u32(h.at.flags) }
func (h header) blockSize() uint32        { return h.u32(h.at.blockSize) }
func (h header) blocks() uint32           { return h.u32(h.at.blocks) }
func (h header) used() uint32             { return h.u32(h.at.used) }
func (h header) diskSize() int64          { return int64(binary.LittleEndian.Uint64(h.raw[h.at.diskSize:])) }

func (h header) setDiskSize(n int64)    { binary.LittleEndian.PutUint64(h.raw[h.at.diskSize:], uint64(n)) }
func (h header) differencing() bool     { return h.kind() == typeDiff || h.kind() == typeUndo }
func (h header) uuid(off int) uuid.UUID { return swapped(h.raw[off : off+16]) }
func (h header) setUUID(off int, u uuid.UUID) {
	s := swapped(u[:])
	copy(h.raw[off:], s[:])
}

// based tells whether the header names a parent.
func (h header) based() bool { return h.differencing() && h.uuid(h.at.parent) != uuid.Nil }

// extra is how many bytes stand before each block's data.
func (h header) extra() uint32 {
	if h.at.extra == 0 {
		return 0
	}
	return h.u32(h.at.extra)
}

// offMap is where the block map begins: in version 0, behind the header.
func (h header) offMap() int64 {
	if h.at.offMap == 0 {
		return int64(h.at.end)
	}
	return int64(h.u32(h.at.offMap))
}

// offData is where place 0 begins: in version 0, behind the map.
func (h header) offData() int64 {
	if h.at.offData == 0 {
		return h.offMap() + 4*int64(h.blocks())
	}
	return int64(h.u32(h.at.offData))
}

// stride is the distance between two places.
func (h header) stride() int64 { return int64(h.extra()) + int64(h.blockSize()) }

func (h header) parentModified() uuid.UUID {
	if h.at.parentModified == 0 {
		return uuid.Nil
	}
	return h.uuid(h.at.parentModified)
}

func (h header) comment() string { return text(h.raw[h.at.comment : h.at.comment+256]) }

// creator is the text at the start of the file, without its brackets.
func (h header) creator() string {
	t := strings.Trim(text(h.raw[:0x40]), "<> \r\n")
	t = strings.TrimSuffix(t, " Disk Image")
	t = strings.TrimSuffix(t, " Virtual")
	return strings.TrimSuffix(t, " VDI")
}

// geometry reads cylinders, heads, sectors; nil if there is none.
func (h header) geometry(off int) *disk.Geometry {
	if off == 0 || h.u32(off) == 0 {
		return nil
	}
	return &disk.Geometry{Cylinders: int(h.u32(off)), Heads: int(h.u32(off + 4)), Sectors: int(h.u32(off + 8))}
}

func (h header) setGeometry(off int, g disk.Geometry) {
	h.setU32(off, uint32(g.Cylinders))
	h.setU32(off+4, uint32(g.Heads))
	h.setU32(off+8, uint32(g.Sectors))
	h.setU32(off+12, 512)
}

// clone is a copy that can be changed on its own.
func (h header) clone() header { return header{raw: bytes.Clone(h.raw), at: h.at} }

// text is what stands before the first zero byte.
func text(p []byte) string {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		p = p[:i]
	}
	return strings.ToValidUTF8(string(p), "\uFFFD")
}

// swapped turns a UUID between its order in memory of a PC, which VirtualBox
// writes, and the order in which it is printed.
func swapped(p []byte) uuid.UUID {
	return uuid.UUID{p[3], p[2], p[1], p[0], p[5], p[4], p[7], p[6], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]}
}

// geometryFor is the geometry that VirtualBox gives to a disk of a size: 16
// heads, 63 sectors, at most 16383 cylinders.
func geometryFor(size int64) disk.Geometry {
	cylinders := size / (16 * 63 * 512)
	return disk.Geometry{Cylinders: int(min(max(cylinders, 1), 16383)), Heads: 16, Sectors: 63}
}
