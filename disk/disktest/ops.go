package disktest

import (
	"fmt"

	"pgregory.net/rapid"
)

// kind is what an operation does.
type kind int

const (
	opWrite kind = iota
	opWriteZeros
	opZero
	opDiscard
	opResize
	opSync
	opReopen
	opReopenReadOnly
	opCheck
	kinds
)

var kindNames = [...]string{"write", "write zeros", "zero", "discard", "resize", "sync", "reopen", "reopen read-only", "check"}

// op is an operation on an image. Place and length become a range of the
// disk when the operation is done, so that any numbers are a valid one.
type op struct {
	Kind  kind
	Place int64
	Len   int64
	Seed  uint64
}

// String is the operation as a failure shows it.
func (o op) String() string { return fmt.Sprintf("%s(%d,+%d)", kindNames[o.Kind], o.Place, o.Len) }

// on is the range that the operation has on a disk.
func (o op) on(size int64) (off, n int64) {
	off = o.Place % size
	return off, min(o.Len, size-off)
}

// operations draws sequences of operations for a subject: of every length, at
// odd places, at the borders of blocks, and over several blocks.
func operations(s Subject, atMost int) *rapid.Generator[[]op] {
	places := rapid.OneOf(
		rapid.Int64Range(0, 2*s.Size),
		rapid.Custom(func(t *rapid.T) int64 {
			block := rapid.Int64Range(0, 2*s.Size/s.Block).Draw(t, "block")
			return max(0, block*s.Block+rapid.SampledFrom([]int64{0, 0, -1, 1, -512, 512}).Draw(t, "aside"))
		}),
	)
	lengths := rapid.OneOf(
		rapid.Int64Range(1, 2000),
		rapid.SampledFrom([]int64{512, 4096, s.Block, s.Block - 1, s.Block + 1, 2 * s.Block, 3*s.Block + 513}),
		rapid.Int64Range(1, s.Size),
	)
	// Writes are twice as likely as anything else.
	what := rapid.Custom(func(t *rapid.T) kind {
		return max(0, kind(rapid.IntRange(-4, int(kinds)-1).Draw(t, "kind")))
	})
	one := rapid.Custom(func(t *rapid.T) op {
		return op{what.Draw(t, "what"), places.Draw(t, "place"), lengths.Draw(t, "length"), rapid.Uint64().Draw(t, "seed")}
	})
	return rapid.SliceOfN(one, 1, atMost)
}
