package qcow2

import (
	"encoding/binary"
	"strings"

	"github.com/panalvm/panal/disk"
)

const formatName = "qcow2"

// The header's fixed part (spec, "Header").
const (
	magic      = 0x514649fb // "QFI\xfb"
	headerV2   = 72         // length of a version 2 header
	headerV3   = 104        // least length of a version 3 header
	headerOurs = 112        // what we write: with the compression type, padded to 8

	minClusterBits = 9
	maxClusterBits = 21 // QEMU's MAX_CLUSTER_BITS; the spec allows more, nothing makes it
	maxBackingName = 1023
	maxL1Bytes     = 32 << 20 // QEMU's QCOW_MAX_L1_SIZE
	maxRefTable    = 8 << 20  // QEMU's QCOW_MAX_REFTABLE_SIZE
	maxSnapshots   = 65536    // QEMU's QCOW_MAX_SNAPSHOTS
	maxDiskSize    = 1 << 62

	headerSector = 512 // what a power cut leaves as it was or as it was to be
)

// Incompatible features (spec, "Header", bytes 72-79).
const (
	incompatDirty       = 1 << 0 // refcounts may be wrong
	incompatCorrupt     = 1 << 1 // must not be written
	incompatDataFile    = 1 << 2
	incompatCompression = 1 << 3
	incompatExtendedL2  = 1 << 4

	incompatKnown = incompatDirty | incompatCorrupt | incompatDataFile | incompatCompression | incompatExtendedL2
)

// Compatible features (spec, bytes 80-87).
const compatLazyRefcounts = 1 << 0

// Autoclear features (spec, bytes 88-95).
const (
	autoclearBitmaps     = 1 << 0
	autoclearDataFileRaw = 1 << 1

	autoclearKnown = autoclearBitmaps | autoclearDataFileRaw
)

// Encryption methods (spec, bytes 32-35).
const (
	cryptAES  = 1
	cryptLUKS = 2
)

// Compression types (spec, byte 104).
const (
	compressionZlib = 0
	compressionZstd = 1
)

// header is the fixed part of the header.
type header struct {
	version        uint32
	backingOffset  int64
	backingLen     uint32
	clusterBits    uint32
	size           uint64
	crypt          uint32
	l1Size         uint32 // entries
	l1Offset       int64
	refTableOffset int64
	refTableLen    uint32 // clusters
	snapshots      uint32
	snapshotOffset int64
	incompatible   uint64
	compatible     uint64
	autoclear      uint64
	refcountOrder  uint32
	length         uint32
	compression    uint8
}

// clusterSize is in bytes.
func (h *header) clusterSize() int64 { return 1 << h.clusterBits }

// refcountBits is the width of a refcount.
func (h *header) refcountBits() int { return 1 << h.refcountOrder }

// extended tells whether L2 entries have subclusters.
func (h *header) extended() bool { return h.incompatible&incompatExtendedL2 != 0 }

// entryBytes is the length of an L2 entry.
func (h *header) entryBytes() int64 {
	if h.extended() {
		return 16
	}
	return 8
}

// l2Entries is how many clusters an L2 table speaks of.
func (h *header) l2Entries() int64 { return h.clusterSize() / h.entryBytes() }

// l2Span is how many bytes of the disk an L2 table speaks of.
func (h *header) l2Span() int64 { return h.l2Entries() << h.clusterBits }

// l1Needed is how many L1 entries a disk of a size needs.
func (h *header) l1Needed(size int64) int64 {
	n := size / h.l2Span()
	if size%h.l2Span() != 0 {
		n++
	}
	return n
}

// decodeHeader reads the fixed part and checks each field by itself.
func decodeHeader(p []byte) (header, error) {
	be := binary.BigEndian
	if versionOne(p) {
		return header{}, disk.Unsupported(formatName, "the file is a QCOW, version 1 of the format; it is opened as qcow")
	}
	if len(p) < headerV2 || be.Uint32(p) != magic {
		return header{}, disk.Corrupt(formatName, 0, "no QCOW2 signature, or a file shorter than a header")
	}
	h := header{
		version: be.Uint32(p[4:]), backingOffset: int64(be.Uint64(p[8:])), backingLen: be.Uint32(p[16:]),
		clusterBits: be.Uint32(p[20:]), size: be.Uint64(p[24:]), crypt: be.Uint32(p[32:]),
		l1Size: be.Uint32(p[36:]), l1Offset: int64(be.Uint64(p[40:])),
		refTableOffset: int64(be.Uint64(p[48:])), refTableLen: be.Uint32(p[56:]),
		snapshots: be.Uint32(p[60:]), snapshotOffset: int64(be.Uint64(p[64:])),
		refcountOrder: 4, length: headerV2,
	}
	switch h.version {
	case 2:
		return h, h.check()
	case 3:
	default:
		return h, disk.Unsupported(formatName, "version %d of the format; versions 2 and 3 can be read", h.version)
	}
	if len(p) < headerV3 {
		return h, disk.Corrupt(formatName, 0, "a version 3 header of %d bytes, but the file ends after %d", headerV3, len(p))
	}
	h.incompatible, h.compatible, h.autoclear = be.Uint64(p[72:]), be.Uint64(p[80:]), be.Uint64(p[88:])
	h.refcountOrder, h.length = be.Uint32(p[96:]), be.Uint32(p[100:])
	if h.length > headerV3 && len(p) > headerV3 {
		h.compression = p[104]
	}
	return h, h.check()
}

// check checks what the fields say by themselves.
func (h *header) check() error {
	switch {
	case h.clusterBits < minClusterBits || h.clusterBits > maxClusterBits:
		return disk.Corrupt(formatName, 20, "clusters of 2^%d bytes; 2^9 to 2^21 exist", h.clusterBits)
	case h.version == 3 && (h.length < headerV3 || int64(h.length) > h.clusterSize() || h.length%8 != 0):
		return disk.Corrupt(formatName, 100, "a header of %d bytes", h.length)
	case h.refcountOrder > 6:
		return disk.Corrupt(formatName, 96, "refcounts of 2^%d bits", h.refcountOrder)
	case h.size > maxDiskSize:
		return disk.Corrupt(formatName, 24, "a disk of %d bytes", h.size)
	case h.backingOffset < 0 || h.backingOffset != 0 && h.backingOffset+int64(h.backingLen) > h.clusterSize():
		return disk.Corrupt(formatName, 8, "the name of the backing file lies at %#x, outside of the first cluster", h.backingOffset)
	case h.backingOffset != 0 && h.backingLen > maxBackingName:
		return disk.Corrupt(formatName, 16, "a name of %d bytes for the backing file; %d are allowed", h.backingLen, maxBackingName)
	}
	return nil
}

// supported tells whether the features of the image can be handled; names is
// the image's own table of feature names.
func (h *header) supported(names []featureName) error {
	switch {
	case h.crypt > cryptLUKS:
		return disk.Corrupt(formatName, 32, "encryption method %d does not exist", h.crypt)
	case h.crypt == cryptAES:
		return disk.Unsupported(formatName, "the image is encrypted (AES); decrypt it first, with qemu-img convert and its key")
	case h.crypt == cryptLUKS && h.incompatible&incompatDataFile != 0:
		return disk.Unsupported(formatName, "the image is encrypted (LUKS) and has an external data file; decrypt it first, with qemu-img convert and its key")
	}
	if unknown := h.incompatible &^ incompatKnown; unknown != 0 {
		return disk.Unsupported(formatName, "the image needs features that we do not know: %s",
			strings.Join(bitNames(unknown, featureIncompatible, names), ", "))
	}
	if h.incompatible&incompatCompression != 0 && h.compression > compressionZstd {
		return disk.Unsupported(formatName, "compression type %d; zlib (0) and zstd (1) can be read", h.compression)
	}
	if (h.incompatible&incompatCompression != 0) != (h.compression != compressionZlib) {
		return disk.Corrupt(formatName, 104, "compression type %d contradicts the header's features", h.compression)
	}
	if h.extended() && h.clusterBits < 14 {
		return disk.Corrupt(formatName, 20, "subclusters in clusters of %d bytes; 16384 is the least", h.clusterSize())
	}
	return nil
}

// placed checks where the tables lie, against the file's length.
func (h *header) placed(fileSize int64) error {
	for _, t := range []struct {
		what       string
		at         int64 // of the field
		off, bytes int64
		most       int64
	}{
		{"refcount table", 48, h.refTableOffset, int64(h.refTableLen) << h.clusterBits, maxRefTable},
		{"L1 table", 40, h.l1Offset, int64(h.l1Size) * 8, maxL1Bytes},
	} {
		switch {
		case t.off < 0 || t.off&(h.clusterSize()-1) != 0:
			return disk.Corrupt(formatName, t.at, "the %s lies at %#x, which is no cluster's begin", t.what, t.off)
		case t.bytes > t.most && t.bytes > h.clusterSize():
			return disk.Corrupt(formatName, t.at, "a %s of %d bytes; %d is the most", t.what, t.bytes, t.most)
		case t.bytes > 0 && (t.off >= fileSize || t.bytes > fileSize-t.off):
			return disk.Corrupt(formatName, t.at, "the %s (%d bytes at %#x) goes beyond the end of the file at %d", t.what, t.bytes, t.off, fileSize)
		}
	}
	if need := h.l1Needed(int64(h.size)); need > int64(h.l1Size) {
		return disk.Corrupt(formatName, 36, "an L1 table of %d entries for a disk that needs %d", h.l1Size, need)
	}
	return nil
}

// encode writes the fixed part into p, which is at least h.length bytes
// long; what lies in p beyond the fields we know stays.
func (h *header) encode(p []byte) {
	be := binary.BigEndian
	be.PutUint32(p, magic)
	be.PutUint32(p[4:], h.version)
	be.PutUint64(p[8:], uint64(h.backingOffset))
	be.PutUint32(p[16:], h.backingLen)
	be.PutUint32(p[20:], h.clusterBits)
	be.PutUint64(p[24:], h.size)
	be.PutUint32(p[32:], h.crypt)
	be.PutUint32(p[36:], h.l1Size)
	be.PutUint64(p[40:], uint64(h.l1Offset))
	be.PutUint64(p[48:], uint64(h.refTableOffset))
	be.PutUint32(p[56:], h.refTableLen)
	be.PutUint32(p[60:], h.snapshots)
	be.PutUint64(p[64:], uint64(h.snapshotOffset))
	if h.version < 3 {
		return
	}
	be.PutUint64(p[72:], h.incompatible)
	be.PutUint64(p[80:], h.compatible)
	be.PutUint64(p[88:], h.autoclear)
	be.PutUint32(p[96:], h.refcountOrder)
	be.PutUint32(p[100:], h.length)
	if h.length > headerV3 && len(p) > headerV3 {
		p[104] = h.compression
	}
}
