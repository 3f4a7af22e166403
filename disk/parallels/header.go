package parallels

import (
	"encoding/binary"
	"math"

	"github.com/panalvm/panal/disk"
)

// name is the format's.
const name = "parallels"

// The header, QEMU docs/interop/parallels "Header".
const (
	headerLen = 64

	magicOld = "WithoutFreeSpace" // BAT entries count sectors
	magicNew = "WithouFreSpacExt" // BAT entries count clusters

	version = 2

	inUseOpen   = 0x746F6E59 // a program has it open for writing, or died so
	inUseClosed = 0x312E3276 // closed by a program that keeps the format extension
	inUseNone   = 0          // closed by one that does not

	flagEmpty = 1 // the BAT is to be taken for all zeros

	sector = 512

	// maxCluster keeps all arithmetic on offsets within 63 bits. Programs
	// write clusters of 1 MiB.
	maxCluster = 1 << 30
)

// header is the start of an expanding image.
type header struct {
	isNew     bool // which magic
	heads     uint32
	cylinders uint32
	tracks    uint32 // sectors a cluster
	entries   uint32 // of the BAT
	sectors   uint64 // of the disk
	inUse     uint32
	dataOff   uint32 // in sectors; 0 of old images: right behind the BAT
	flags     uint32
	extOff    uint64 // in sectors; 0: no format extension
}

// hasMagic tells whether a file that begins with p is an expanding image.
func hasMagic(p []byte) bool {
	return len(p) >= 16 && (string(p[:16]) == magicOld || string(p[:16]) == magicNew)
}

// parseHeader decodes a header and checks what must hold whatever the file's
// length is.
func parseHeader(p []byte) (header, error) {
	le := binary.LittleEndian
	if len(p) < headerLen || !hasMagic(p) {
		return header{}, disk.Corrupt(name, 0, "there is no header of an expanding image")
	}
	if v := le.Uint32(p[16:]); v != version {
		return header{}, disk.Unsupported(name, "version %d is unknown; only 2 is known", v)
	}
	h := header{
		isNew: string(p[:16]) == magicNew,
		heads: le.Uint32(p[20:]), cylinders: le.Uint32(p[24:]),
		tracks: le.Uint32(p[28:]), entries: le.Uint32(p[32:]), sectors: le.Uint64(p[36:]),
		inUse: le.Uint32(p[44:]), dataOff: le.Uint32(p[48:]), flags: le.Uint32(p[52:]), extOff: le.Uint64(p[56:]),
	}
	if !h.isNew { // the upper half is not part of the number
		h.sectors &= math.MaxUint32
	}
	switch {
	case h.tracks == 0:
		return h, disk.Corrupt(name, 28, "a cluster has no sectors")
	case h.tracks > maxCluster/sector:
		return h, disk.Corrupt(name, 28, "a cluster has %d sectors; more than %d are not supported", h.tracks, maxCluster/sector)
	case h.sectors > math.MaxInt64/sector:
		return h, disk.Corrupt(name, 36, "the disk has %d sectors, more than can be addressed", h.sectors)
	case h.extOff > math.MaxInt64/sector:
		return h, disk.Corrupt(name, 56, "the format extension would lie at sector %d", h.extOff)
	}
	return h, nil
}

// encode is the header's bytes.
func (h *header) encode() []byte {
	p := make([]byte, headerLen)
	copy(p, magicOld)
	if h.isNew {
		copy(p, magicNew)
	}
	le := binary.LittleEndian
	le.PutUint32(p[16:], version)
	le.PutUint32(p[20:], h.heads)
	le.PutUint32(p[24:], h.cylinders)
	le.PutUint32(p[28:], h.tracks)
	le.PutUint32(p[32:], h.entries)
	le.PutUint64(p[36:], h.sectors)
	le.PutUint32(p[44:], h.inUse)
	le.PutUint32(p[48:], h.dataOff)
	le.PutUint32(p[52:], h.flags)
	le.PutUint64(p[56:], h.extOff)
	return p
}

// magic is the header's first 16 bytes.
func (h *header) magic() string {
	if h.isNew {
		return magicNew
	}
	return magicOld
}

// cluster is the length of a cluster in bytes.
func (h *header) cluster() int64 { return int64(h.tracks) * sector }

// unit is what a BAT entry counts, in bytes.
func (h *header) unit() int64 {
	if h.isNew {
		return h.cluster()
	}
	return sector
}

// size is the disk's, in bytes.
func (h *header) size() int64 { return int64(h.sectors) * sector }

// tableEnd is the offset behind the BAT.
func (h *header) tableEnd() int64 { return headerLen + 4*int64(h.entries) }

// data is the offset of the data area.
func (h *header) data() int64 {
	if h.dataOff == 0 {
		return roundUp(h.tableEnd(), sector)
	}
	return int64(h.dataOff) * sector
}

// base is the offset of the first place for a cluster: the data area's, or
// where behind it an entry can point to.
func (h *header) base() int64 { return roundUp(max(h.data(), h.tableEnd()), h.unit()) }

// clusters is how many the disk has.
func (h *header) clusters() int64 { return ceilDiv(h.size(), h.cluster()) }

// maxOffset is the largest offset of a cluster that an entry can hold.
func (h *header) maxOffset() int64 { return math.MaxUint32 * h.unit() }

// setSize puts a size into the header, with the geometry that goes with it.
func (h *header) setSize(size int64) {
	h.sectors = uint64(size / sector)
	h.entries = uint32(ceilDiv(size, h.cluster()))
	h.heads = 16
	h.cylinders = uint32(min(h.sectors/(16*32), math.MaxUint32))
}

// sizeFits says which size an image can have. The error names the nearest.
func sizeFits(size, cluster int64, isNew bool) error {
	if size%sector != 0 {
		return disk.Unsupported(name, "a disk of %d bytes is not whole sectors; the nearest size is %d", size, roundUp(size, sector))
	}
	largest := int64(math.MaxUint32) * sector
	if isNew {
		// As many entries as a table of 4 GiB has, each below 2^32.
		largest = min((1<<30)*cluster, math.MaxInt64/2) / sector * sector
	}
	if size > largest {
		return disk.Unsupported(name, "a disk of %d bytes is too large for clusters of %d; the largest is %d", size, cluster, largest)
	}
	return nil
}

func roundUp(n, unit int64) int64 { return ceilDiv(n, unit) * unit }

func ceilDiv(n, unit int64) int64 { return n/unit + min(1, n%unit) }
