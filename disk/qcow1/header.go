package qcow1

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// The header and its limits (QEMU, block/qcow.c: QCowHeader, qcow_open).
const (
	magic       = 0x514649fb // "QFI\xfb"
	version     = 1
	headerBytes = 48

	minClusterBits = 9
	maxClusterBits = 16
	minTableBits   = 6
	maxTableBits   = 13
	maxBackingName = 1023
	maxL1Bytes     = 1<<31 - 8
	maxDiskSize    = 1 << 62

	cryptNone = 0
	cryptAES  = 1
)

// header is the file's first bytes.
type header struct {
	backingOffset int64
	backingLen    uint32
	mtime         uint32
	size          int64
	clusterBits   uint8
	tableBits     uint8 // of the number of entries in an L2 table
	crypt         uint32
	l1Offset      int64
}

func decodeHeader(p []byte) (header, error) {
	be := binary.BigEndian
	if len(p) < headerBytes || be.Uint32(p) != magic {
		return header{}, disk.Corrupt(formatName, 0, "no QCOW signature, or a file shorter than a header")
	}
	if v := be.Uint32(p[4:]); v != version {
		return header{}, disk.Unsupported(formatName, "version %d of the format; versions 2 and 3 are opened as qcow2", v)
	}
	h := header{
		backingOffset: int64(be.Uint64(p[8:])), backingLen: be.Uint32(p[16:]), mtime: be.Uint32(p[20:]), size: int64(be.Uint64(p[24:])),
		clusterBits: p[32], tableBits: p[33], crypt: be.Uint32(p[36:]), l1Offset: int64(be.Uint64(p[40:])),
	}
	return h, h.check()
}

// check checks what the fields say by themselves.
func (h *header) check() error {
	switch {
	case h.crypt == cryptAES:
		return disk.Unsupported(formatName, "the image is encrypted (AES); decrypt it first, with qemu-img convert and its key")
	case h.crypt != cryptNone:
		return disk.Corrupt(formatName, 36, "encryption method %d does not exist", h.crypt)
	case h.size < 0 || h.size > maxDiskSize:
		return disk.Corrupt(formatName, 24, "a disk of %d bytes", uint64(h.size))
	case h.clusterBits < minClusterBits || h.clusterBits > maxClusterBits:
		return disk.Corrupt(formatName, 32, "clusters of 2^%d bytes; 2^9 to 2^16 exist", h.clusterBits)
	case h.tableBits < minTableBits || h.tableBits > maxTableBits:
		return disk.Corrupt(formatName, 33, "L2 tables of 2^%d entries; 2^6 to 2^13 exist", h.tableBits)
	case h.l1Offset < headerBytes || h.l1Offset%8 != 0:
		return disk.Corrupt(formatName, 40, "the L1 table lies at %#x", uint64(h.l1Offset))
	case h.backingOffset < 0:
		return disk.Corrupt(formatName, 8, "the name of the backing file lies at %#x", uint64(h.backingOffset))
	case h.backingOffset != 0 && h.backingLen > maxBackingName:
		return disk.Corrupt(formatName, 16, "a name of %d bytes for the backing file; %d are allowed", h.backingLen, maxBackingName)
	}
	return nil
}

// placed checks the L1 table against the file's length.
func (h *header) placed(fileSize int64) error {
	if n := h.l1Bytes(); h.l1Offset > fileSize || n > fileSize-h.l1Offset {
		return disk.Corrupt(formatName, 40, "the L1 table (%d bytes at %#x) goes beyond the end of the file at %d", n, h.l1Offset, fileSize)
	}
	return nil
}

func (h *header) clusterSize() int64 { return 1 << h.clusterBits }

// tableBytes is the length of an L2 table.
func (h *header) tableBytes() int64 { return 8 << h.tableBits }

// span is how many bytes of the disk an L2 table speaks of.
func (h *header) span() int64 { return 1 << (h.clusterBits + h.tableBits) }

// l1Bytes is the length of the L1 table.
func (h *header) l1Bytes() int64 {
	n := h.size / h.span()
	if h.size%h.span() != 0 {
		n++
	}
	return n * 8
}

// aligned is the next begin of a cluster, for offsets of files.
func (h *header) aligned(off int64) int64 {
	return (off + h.clusterSize() - 1) &^ (h.clusterSize() - 1)
}

func (h *header) encode() []byte {
	be := binary.BigEndian
	p := make([]byte, headerBytes)
	be.PutUint32(p, magic)
	be.PutUint32(p[4:], version)
	be.PutUint64(p[8:], uint64(h.backingOffset))
	be.PutUint32(p[16:], h.backingLen)
	be.PutUint32(p[20:], h.mtime)
	be.PutUint64(p[24:], uint64(h.size))
	p[32], p[33] = h.clusterBits, h.tableBits
	be.PutUint32(p[36:], h.crypt)
	be.PutUint64(p[40:], uint64(h.l1Offset))
	return p
}

// compressedFlag marks an L2 entry of a compressed cluster.
const compressedFlag = 1 << 63

// span of a compressed entry: where its cluster begins in the file, and how many bytes it has.
func (h *header) packed(entry uint64) (off, n int64) {
	shift := 63 - uint(h.clusterBits)
	return int64(entry & (1<<shift - 1)), int64(entry >> shift & (1<<h.clusterBits - 1))
}
