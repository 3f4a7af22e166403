package qcow2

import (
	"math/bits"

	"github.com/panalvm/panal/disk"
)

// Bits of L1 and L2 entries (spec, "Cluster mapping").
const (
	flagCopied     = 1 << 63
	flagCompressed = 1 << 62
	flagZero       = 1 << 0             // of a standard L2 entry without subclusters, version 3
	offsetMask     = 0x00fffffffffffe00 // bits 9..55
	subclusters    = 32                 // in a cluster, where L2 entries are extended
)

// kind is what an L2 entry says of its cluster.
type kind uint8

const (
	absent     kind = iota // not here: ask the backing file
	zeroBare               // reads as zeros, no host cluster
	zeroHosted             // reads as zeros, with a host cluster kept for it
	normal                 // lies in a host cluster; with subclusters, see the bitmap
	compressed             // lies compressed
)

// entry is an L2 entry. Without subclusters bitmap is 0.
type entry struct {
	word, bitmap uint64
}

// layout is what is needed to understand entries.
type layout struct {
	clusterBits  uint32
	extended     bool
	zeroFlag     bool // version 3, without subclusters
	dataFile     bool
	sectorsShift uint32 // where a compressed entry's count of sectors begins
}

func (h *header) layout() layout {
	return layout{
		clusterBits: h.clusterBits, extended: h.extended(), zeroFlag: h.version >= 3 && !h.extended(),
		dataFile: h.incompatible&incompatDataFile != 0, sectorsShift: 62 - (h.clusterBits - 8),
	}
}

func (l layout) clusterSize() int64 { return 1 << l.clusterBits }

// unit is the length of what has a state of its own: a subcluster or cluster.
func (l layout) unit() int64 {
	if l.extended {
		return l.clusterSize() / subclusters
	}
	return l.clusterSize()
}

// kindOf is the kind of an entry.
func (l layout) kindOf(e entry) kind {
	if e.word&flagCompressed != 0 {
		return compressed
	}
	hosted := e.word&offsetMask != 0 || l.dataFile && e.word&flagCopied != 0
	switch {
	case l.zeroFlag && e.word&flagZero != 0:
		if hosted {
			return zeroHosted
		}
		return zeroBare
	case hosted:
		return normal
	}
	return absent
}

// host is where the cluster of a normal or zeroHosted entry lies.
func (e entry) host() int64 { return int64(e.word & offsetMask) }

// span is where a compressed cluster lies: its first byte and an upper bound
// of its length (spec, "Compressed Clusters Descriptor").
func (l layout) span(e entry) (off, n int64) {
	off = int64(e.word & (1<<l.sectorsShift - 1))
	sectors := int64(e.word>>l.sectorsShift&(1<<(l.clusterBits-8)-1)) + 1
	return off, sectors*512 - off&511
}

// compressedEntry is the entry for n bytes at off; the file's layout allows
// off < 1<<sectorsShift.
func (l layout) compressedEntry(off, n int64) entry {
	sectors := (off+n-1)>>9 - off>>9
	return entry{word: flagCompressed | uint64(sectors)<<l.sectorsShift | uint64(off)}
}

// check tells what is wrong with an entry by itself; at is where it lies.
func (l layout) check(e entry, at int64) error {
	switch k := l.kindOf(e); {
	case k == compressed && l.dataFile:
		return disk.Corrupt(formatName, at, "a compressed cluster in an image with an external data file")
	case k != compressed && e.host()&(l.clusterSize()-1) != 0:
		return disk.Corrupt(formatName, at, "an L2 entry %#x points at %#x, which is no cluster's begin", e.word, e.host())
	case l.extended && e.bitmap&(e.bitmap>>32)&0xffffffff != 0:
		return disk.Corrupt(formatName, at, "a subcluster is said to be here and to be zero: bitmap %#x", e.bitmap)
	case l.extended && k == absent && e.bitmap&0xffffffff != 0:
		return disk.Corrupt(formatName, at, "subclusters %#x are said to be here, and there is no cluster", e.bitmap&0xffffffff)
	}
	return nil
}

// stateAt is the state of the unit with an index in the cluster, and how
// many units from there on have the same.
func (l layout) stateAt(e entry, k kind, unit int) (disk.State, int) {
	if !l.extended || k == compressed {
		switch k {
		case absent:
			return disk.Unallocated, 1
		case zeroBare, zeroHosted:
			return disk.Zeroed, 1
		case normal, compressed:
		}
		if l.extended {
			return disk.Data, subclusters - unit
		}
		return disk.Data, 1
	}
	here, zero := uint32(e.bitmap)>>unit, uint32(e.bitmap>>32)>>unit
	left := subclusters - unit
	switch {
	case here&1 != 0:
		return disk.Data, min(left, bits.TrailingZeros32(^here))
	case zero&1 != 0:
		return disk.Zeroed, min(left, bits.TrailingZeros32(^zero))
	}
	return disk.Unallocated, min(left, bits.TrailingZeros32(here|zero))
}
