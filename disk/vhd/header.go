package vhd

import (
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// Microsoft, Virtual Hard Disk Image Format Specification 1.0, "Dynamic Disk
// Header Format".
const (
	headerSize   = 1024
	headerCookie = "cxsparse"

	atTable       = 16
	atHeaderVer   = 24
	atEntries     = 28
	atBlockSize   = 32
	atHeaderSum   = 36
	atParentID    = 40
	atParentTime  = 56
	atParentName  = 64
	parentNameLen = 512
	atLocators    = 576
	locatorLen    = 24
	locators      = 8

	free = 0xffffffff // no block, in the table
)

// header is the header of a dynamic or differencing image.
type header []byte

func (h header) u32(off int) uint32       { return binary.BigEndian.Uint32(h[off:]) }
func (h header) u64(off int) uint64       { return binary.BigEndian.Uint64(h[off:]) }
func (h header) setU32(off int, v uint32) { binary.BigEndian.PutUint32(h[off:], v) }
func (h header) setU64(off int, v uint64) { binary.BigEndian.PutUint64(h[off:], v) }
func (h header) entries() int64           { return int64(h.u32(atEntries)) }
func (h header) blockSize() int64         { return int64(h.u32(atBlockSize)) }
func (h header) parentID() uuid.UUID      { return uuid.UUID(h[atParentID : atParentID+16]) }
func (h header) sound() bool              { return h.u32(atHeaderSum) == checksum(h, atHeaderSum) }
func (h header) clone() header            { return append(header(nil), h...) }

// seal sets the checksum.
func (h header) seal() header {
	h.setU32(atHeaderSum, checksum(h, atHeaderSum))
	return h
}

// readHeader reads the header that a footer points to.
func readHeader(f disk.File, foot footer, fileSize int64) (header, error) {
	at := foot.u64(atDataOffset)
	if at > uint64(fileSize) {
		return nil, disk.Corrupt(name, atDataOffset, "the header is said to be at %#x, behind the end of the file", at)
	}
	p, err := disk.ReadFull(f, int64(at), headerSize, name, "header")
	if err != nil {
		return nil, err
	}
	h := header(p)
	if string(h[:8]) != headerCookie {
		return nil, disk.Corrupt(name, int64(at), "there is no header where the footer says; its signature is missing")
	}
	return h, h.check(int64(at), fileSize)
}

// check finds what would make the header's numbers unusable.
func (h header) check(at, fileSize int64) error {
	block, table := h.blockSize(), h.u64(atTable)
	switch {
	case block < sector || block > 1<<30 || block&(block-1) != 0:
		return disk.Corrupt(name, at+atBlockSize, "the block size is %d; it must be a power of two from 512 to 1 GiB", block)
	case table > uint64(fileSize) || int64(table)+4*h.entries() > fileSize:
		return disk.Corrupt(name, at+atTable, "the table of %d blocks at %#x goes beyond the end of the file at %#x", h.entries(), table, fileSize)
	case table%4 != 0:
		return disk.Corrupt(name, at+atTable, "the table cannot be at %#x, which is no multiple of 4", table)
	}
	return nil
}

// bitmapSize is how long the bitmap before each block is: whole sectors.
func bitmapSize(block int64) int64 {
	return (block/sector + 8*sector - 1) / (8 * sector) * sector
}

// locator is one of the ways to the parent.
type locator struct {
	code   string // "W2ru"
	space  int64
	length int64
	offset int64
}

// locator reads the i-th of eight.
func (h header) locator(i int) locator {
	at := atLocators + i*locatorLen
	return locator{
		code: string(h[at : at+4]), space: int64(h.u32(at + 4)), length: int64(h.u32(at + 8)),
		offset: int64(min(h.u64(at+16), 1<<62)),
	}
}

func (h header) setLocator(i int, l locator) {
	at := atLocators + i*locatorLen
	clear(h[at : at+locatorLen])
	copy(h[at:], l.code)
	h.setU32(at+4, uint32(l.space))
	h.setU32(at+8, uint32(l.length))
	h.setU64(at+16, uint64(l.offset))
}

// none tells whether the entry is empty.
func (l locator) none() bool { return l.code == "\x00\x00\x00\x00" || l.length == 0 }
