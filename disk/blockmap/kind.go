package blockmap

import "github.com/panalvm/panal/disk"

// Kind is what a format adds to an Image. Unless it is said otherwise its methods
// are called with the space's lock held, and the layout's shared or alone.
type Kind interface {
	// MapAt is Mapper.Map for a range within the disk; the space's lock is not held.
	MapAt(off, n int64) (disk.Extent, error)
	// WriteSome writes the beginning of p at off, which lies within the disk, and
	// tells how much. It may write nothing and be called again, when another was
	// faster. The space's lock is not held.
	WriteSome(p []byte, off int64) (int, error)

	// Begin is called before the first change. It gives the image a Space (see
	// Image.FindSpace), or an error for an image that must not be changed.
	Begin() error
	// Heads writes, if it must be, what belongs to the blocks that were made and
	// no pointer leads to yet: a header that counts them, a footer behind them.
	Heads() error
	// Shorten makes the file end where the space does, and says so in it. It is
	// called when all pointers are durable.
	Shorten() error

	// Used lists what of the file is neither pointers' blocks nor free.
	Used() []Span
	// Lost tells whether what a pointer leads to is cut off by the file's end.
	Lost(pointer uint32) bool
	// Examine adds to a check what only the format can see: headers, and space that
	// is used by nothing.
	Examine(r *disk.Report, s Survey)
	// Mend mends headers, as Examine promised.
	Mend() error

	// Point lets the pointer of a block lead elsewhere, where a copy of it is.
	Point(index int64, pointer uint32) error
	// Lose takes the pointer away from a block whose data is lost.
	Lose(index int64) error
	// Needless tells whether the disk reads the same without a block.
	Needless(h Held) (bool, error)
	// GiveUp does without a needless block: the pointer leads there no more, and
	// the space has it.
	GiveUp(h Held) error
}

// Pending is something beside the blocks that is changed in memory first, as
// [table.Cache] is.
type Pending interface {
	// Dirty is how many bytes have to be written.
	Dirty() int
	// Flush writes them.
	Flush() error
}

// Words are what an image says that depends on its format.
type Words struct {
	Format string // its name
	Lost   string // what Kind.Lose does, as the remedy of a finding
	Full   string // what to do when no pointer leads to what is free
}
