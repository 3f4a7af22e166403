package blockmap

// Shape says where in the file the blocks of a disk are.
type Shape struct {
	Size    int64  // of the disk, bytes
	Block   int64  // bytes of the disk in a block, a power of two
	Before  int64  // bytes of the file before each block's data that go with it
	Table   int64  // where the pointers are in the file
	Entries int64  // how many there are; at least one a block
	Base    int64  // where pointer 0 leads
	Unit    int64  // how much further each next pointer leads
	None    uint32 // pointers from this on are none
	Align   int64  // where data begins when that can be chosen: at its multiples
}

// Stride is how much of the file a block takes.
func (s Shape) Stride() int64 { return s.Before + s.Block }

// At is where a pointer leads.
func (s Shape) At(pointer uint32) int64 { return s.Base + int64(pointer)*s.Unit }

// DataAt is where the data of a block begins.
func (s Shape) DataAt(pointer uint32) int64 { return s.At(pointer) + s.Before }

// Blocks is how many blocks the disk has.
func (s Shape) Blocks() int64 { return (s.Size + s.Block - 1) / s.Block }

// Length is how much of a block the disk has: the last one may be cut. Of a
// block behind the end it is not positive.
func (s Shape) Length(index int64) int64 { return min(s.Block, s.Size-index*s.Block) }

// EntryAt is where the pointer of a block stands.
func (s Shape) EntryAt(index int64) int64 { return s.Table + 4*index }
