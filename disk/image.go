package disk

import (
	"context"
	"io"
	"iter"
)

// Image is a virtual disk. Any number of goroutines may read at once.
type Image interface {
	// ReadAt reads what a guest would read: parents are looked through, what
	// nobody wrote is zero. It follows io.ReaderAt: at the end of the disk it
	// gives what there is and io.EOF. It needs no alignment.
	io.ReaderAt
	// Size is the size of the virtual disk in bytes.
	Size() int64
	// Close gives back the files, parents' included. What was written and not
	// synced is written out (see Writer.Sync), and an error in that is returned.
	Close() error
}

// Writer is an image that can be changed. An image opened read-only may still
// implement it: its methods then give ErrReadOnly; ask with [Writable].
type Writer interface {
	// WriteAt writes all of p at off, or says why not. It needs no alignment.
	// A write that goes past the end of the disk writes nothing and gives
	// ErrRange. Writes and reads may run at once; overlapping ones that do are
	// in no order.
	io.WriterAt
	// Sync makes durable all that was written by calls that returned before it
	// began.
	Sync() error
	// CanWrite tells whether the image was opened for writing.
	CanWrite() bool
}

// Mapper is an image that knows where it holds data.
type Mapper interface {
	// Map describes the range that begins at off: one state, from off on, for
	// at most n bytes; n > 0 and off+n ≤ Size. The extent's Off is off and its
	// Len is in [1, n]; longer is better, all that is adjacent is best, but a
	// call should stay cheap. It speaks of this image alone: what its parent
	// holds is Unallocated here.
	Map(off, n int64) (Extent, error)
}

// Zeroer is an image that can make a range zero faster than by writing zeros.
type Zeroer interface {
	// ZeroAt makes the range read as zeros, whatever a parent holds, and gives
	// space back where the format can say so. Limits and errors are WriteAt's.
	ZeroAt(off, n int64) error
}

// Discarder is an image that can give up the space of a range.
type Discarder interface {
	// DiscardAt says that the range's content is of no interest. Each byte then
	// reads as before or as zero, and never as what a parent holds. Limits and
	// errors are WriteAt's.
	DiscardAt(off, n int64) error
}

// Resizer is an image whose size can be changed.
type Resizer interface {
	// Resize makes the disk size bytes long. What is added reads as zeros even
	// where a parent is longer; what is cut is gone. Sizes that the format cannot
	// express give an UnsupportedError that names the nearest that it can.
	// It is durable when it returns.
	Resize(size int64) error
}

// Compacter is an image that can make its files smaller in place.
type Compacter interface {
	// Compact gives back the space of blocks that hold only zeros or are used
	// by nothing, and tells how many bytes the files became shorter by. Killed at any
	// moment it leaves an image with the same content. progress may be nil.
	Compact(ctx context.Context, progress func(done, total int64)) (freed int64, err error)
}

// Backed is an image that may have a parent.
type Backed interface {
	// Parent is the image that is read where this one is unallocated, or nil.
	// It belongs to this image and is closed with it.
	Parent() Image
}

// Reparenter is a differencing image that can be told of another parent.
type Reparenter interface {
	// SetParent changes which parent the image names, and not its content; the
	// caller sees to it that the disk reads as it did (see Rebase). parent is
	// open, and gives its identity; name is what is to be written into the
	// image as its path, relative to the image's directory or absolute. A nil parent makes it
	// an image without one. It is durable when it returns. The open image goes
	// on reading through the parent that it was opened with.
	SetParent(parent Image, name, format string) error
}

// Identified is an image with an identity of its own that can be changed.
type Identified interface {
	// SetUUID gives the image another identity, written 8-4-4-4-12; "" means
	// a random one. It is durable when it returns.
	SetUUID(uuid string) error
}

// Describer is an image that can say what it is.
type Describer interface {
	// Describe reads nothing but headers and costs no more than opening.
	Describe() Info
}

// Checker is an image that can be looked through for what is wrong with it.
type Checker interface {
	// Check reads all the image's own tables (not its data, unless these have
	// checksums; not its parents) and changes nothing. An error means that it
	// could not look, not that something was found.
	Check(ctx context.Context) (Report, error)
}

// Repairer is an image that can mend what its Check found.
type Repairer interface {
	// Repair mends each finding of a Check that has a Remedy, does nothing
	// else, and reports what it mended. It keeps every block that can still
	// be read.
	Repair(ctx context.Context) (Report, error)
}

// Dumper is an image whose headers can be shown.
type Dumper interface {
	// Dump yields the fields of every header and, in short, of the tables, in
	// the order of their offsets in each file. It ends at the first error; to ctx
	// it looks where it goes through a table for long without yielding.
	Dump(ctx context.Context) iter.Seq2[Field, error]
}

// Snapshotter is an image that holds earlier states of itself.
type Snapshotter interface {
	// Snapshots lists them, the oldest first. Options.Snapshot opens one.
	Snapshots() []Snapshot
}

// SnapshotTaker is an image that can keep its current state, and give up states
// that it kept. All that it does is durable when it returns.
type SnapshotTaker interface {
	Snapshotter
	// TakeSnapshot keeps the current state as a snapshot, which is returned. What
	// is written from now on leaves it alone.
	TakeSnapshot() (Snapshot, error)
	// DropSnapshot gives up a state that is not the current one; all others read
	// as before, also while it is under way and when it is broken off: then
	// what is left of the state that was to go may be a mixture, and dropping it
	// again completes that. progress may be nil.
	DropSnapshot(ctx context.Context, id string, progress func(done, total int64)) error
}

// Compressor is an image, new and writable, that can take blocks compressed
// beforehand. Convert uses it when asked for compression and when the format
// can store nothing else.
type Compressor interface {
	// Compressing gives a sink that fills the image with compressed blocks. The
	// image must not be written otherwise until the sink is closed, which does
	// not close the image.
	Compressing() (Sink, error)
}

// Sink takes the content of a disk in ascending order, block by block.
//
//	sink.Encode(dst, block)     from many goroutines, any order
//	sink.Append(off, encoded)   one at a time, ascending; blocks not appended are zero
//	sink.Close()                once, at the end: tables and footers
type Sink interface {
	// BlockSize is the length of a block in bytes, a power of two. Each
	// block is that long but the disk's last, which ends where the disk ends.
	BlockSize() int
	// Encode appends the encoded form of one block to dst and returns it. It may
	// be called concurrently. It may return block itself.
	Encode(dst, block []byte) ([]byte, error)
	// Append stores what Encode gave for the block that begins at off.
	Append(off int64, encoded []byte) error
	// Close completes what Append began. Without it nothing is valid.
	Close() error
}

// Writable tells whether img can be changed.
func Writable(img Image) bool {
	w, ok := img.(Writer)
	return ok && w.CanWrite()
}

// Parent is the image that img falls back on, nil if none.
func Parent(img Image) Image {
	if b, ok := img.(Backed); ok {
		return b.Parent()
	}
	return nil
}
