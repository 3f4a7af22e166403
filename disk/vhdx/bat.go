package vhdx

import "math/bits"

// entry is one of the block allocation table, [MS-VHDX] 2.5.1.
type entry uint64

// States of payload blocks, [MS-VHDX] 2.5.1.1. Draft 0.95 of the
// specification numbered the unmapped state 5, and some programs wrote that.
const (
	notPresent       = 0
	undefined        = 1
	zeroed           = 2
	unmapped         = 3
	unmapped095      = 5
	fullyPresent     = 6
	partiallyPresent = 7
)

// bitmapPresent is the one state in which a sector bitmap block is there,
// [MS-VHDX] 2.5.1.2.
const bitmapPresent = 6

const (
	entryLength    = 8
	entryReserved  = entry(1<<20 - 8)
	bitmapLength   = mib
	sectorsPerMap  = 1 << 23 // bits of a bitmap block
	sectorMapShift = 23
)

func (e entry) state() int { return int(e & 7) }

// host is where the block lies in the file.
func (e entry) host() int64 { return int64(e>>20) << 20 }

// present tells whether the file holds the block, all of it or in part.
func (e entry) present() bool { return e.state() == fullyPresent || e.state() == partiallyPresent }

func makeEntry(state int, host int64) entry { return entry(uint64(state) | uint64(host)) }

// shape is how a disk is cut up.
type shape struct {
	block  uint // shifts: bytes to blocks
	sector uint // bytes to logical sectors
	chunk  uint // blocks to chunks, each with a bitmap block
}

func shapeOf(blockSize, logical int64) shape {
	s := shape{block: uint(bits.TrailingZeros64(uint64(blockSize))), sector: uint(bits.TrailingZeros64(uint64(logical)))}
	s.chunk = sectorMapShift + s.sector - s.block
	return s
}

func (s shape) blockSize() int64  { return 1 << s.block }
func (s shape) sectorSize() int64 { return 1 << s.sector }

// blocks is how many blocks a disk of the given size has.
func (s shape) blocks(size int64) int64 { return (size + s.blockSize() - 1) >> s.block }

// chunks is how many bitmap blocks it has when all are there.
func (s shape) chunks(size int64) int64 { return (s.blocks(size) + 1<<s.chunk - 1) >> s.chunk }

// entries is how long the table is, [MS-VHDX] 2.5. Each chunk's payload
// entries are followed by its bitmap's; without a parent the last bitmap's may be missing.
func (s shape) entries(size int64, hasParent bool) int64 {
	n := s.blocks(size)
	if hasParent {
		return s.chunks(size) * (1<<s.chunk + 1)
	}
	return n + max(n-1, 0)>>s.chunk
}

// payloadIndex is where in the table the entry of block b stands.
func (s shape) payloadIndex(b int64) int64 { return b + b>>s.chunk }

// bitmapIndex is where in the table the entry of chunk c's bitmap stands.
func (s shape) bitmapIndex(c int64) int64 { return c<<s.chunk + 1<<s.chunk + c }
