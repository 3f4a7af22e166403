package disk

import (
	"errors"
	"io"
	"io/fs"
)

// File is a file that an image, or a part of one, is kept in. It may be read
// and written by many goroutines at once.
type File interface {
	// ReadAt follows io.ReaderAt.
	io.ReaderAt
	// WriteAt makes the file longer when it writes past its end; what lies
	// between is zero. Of a file opened for reading it gives ErrReadOnly.
	io.WriterAt
	// Size is the file's length in bytes; of a block device, its capacity.
	Size() (int64, error)
	// Truncate makes the file size bytes long; what is added is zero. A block
	// device gives an error unless size is its own.
	Truncate(size int64) error
	// Sync makes durable what was written, the length, and of a new file its name.
	Sync() error
	// Close gives the file back. It syncs nothing.
	Close() error
}

// Puncher is a file that can give back the space of a range.
type Puncher interface {
	// PunchHole makes the range read as zeros and frees its space; the length
	// of the file stays. errors.ErrUnsupported where the file system cannot.
	PunchHole(off, n int64) error
}

// Holed is a file that knows where it has holes.
type Holed interface {
	// NextData finds the first range at or behind off that may hold data:
	// [start, end). When there is none, start and end are the file's size.
	NextData(off int64) (start, end int64, err error)
}

// RangeCopier is a file that can take a range of another without the bytes
// passing through the process, by sharing blocks where the file system can.
type RangeCopier interface {
	// CopyRange writes n bytes of src at srcOff to off. It may do less and
	// returns how much; errors.ErrUnsupported means that it cannot at all.
	CopyRange(off int64, src File, srcOff, n int64) (int64, error)
}

// Samer is a file that can tell whether another is the same.
type Samer interface {
	// Same tells whether both have the same content because they are one file,
	// opened twice. When it is not known, they are not.
	Same(other File) bool
}

// Allocated is a file that knows how much room it takes.
type Allocated interface {
	// Allocated is the number of bytes that the file occupies on its store.
	Allocated() (int64, error)
}

// Device is a file that may be a block device.
type Device interface {
	// IsDevice tells whether it is one: its length cannot be changed, and it
	// is not empty when it is new.
	IsDevice() bool
}

// FS is where an image's files, siblings and parents are. Names are the
// implementation's own; a format only passes on those it was given and what
// Resolve and Siblings return. Everything that an FS does stays within what the caller
// allowed it.
type FS interface {
	// Open opens a file that exists: fs.ErrNotExist if it doesn't, ErrOutside
	// if it may not be reached.
	Open(name string, write bool) (File, error)
	// Create makes a file, for reading and writing: fs.ErrExist if it exists.
	Create(name string) (File, error)
	// Remove deletes a file.
	Remove(name string) error
	// Resolve gives the name of the file that the image named from refers to as
	// ref, a path as it stands in an image: relative to from's directory
	// or absolute, with slashes or backslashes, maybe with a drive letter.
	// It does not say whether the file exists. ErrOutside if it may not be reached.
	Resolve(from, ref string) (string, error)
	// Siblings lists the files that lie where name does and in other places
	// where its parents are usually found.
	Siblings(name string) ([]string, error)
}

// ReadFull reads n bytes of a file at off. That they exist is asked before
// memory is taken for them, so a length that a hostile file claims costs nothing. What
// is missing is a FormatError of the given format, what being read.
func ReadFull(f File, off, n int64, format, what string) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if off < 0 || n < 0 || off > size || n > size-off {
		return nil, Corrupt(format, off, "the %s (%d bytes) goes beyond the end of the file at %d", what, n, size)
	}
	p := make([]byte, n)
	if _, err := f.ReadAt(p, off); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return p, nil
}

// PunchHole frees a range of a file where it can be done, and else writes
// zeros.
func PunchHole(f File, off, n int64) error {
	if p, ok := f.(Puncher); ok {
		if err := p.PunchHole(off, n); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return writeZeros(f, off, n)
}

var zeros [64 << 10]byte

func writeZeros(w io.WriterAt, off, n int64) error {
	for n > 0 {
		k, err := w.WriteAt(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}

// NoFS has no files: an image that is opened with it is alone.
type NoFS struct{}

// Open says that there is no such file.
func (NoFS) Open(name string, _ bool) (File, error) { return nil, noFile("open", name) }

// Create refuses.
func (NoFS) Create(name string) (File, error) { return nil, noFile("create", name) }

// Remove says that there is no such file.
func (NoFS) Remove(name string) error { return noFile("remove", name) }

// Resolve allows nothing.
func (NoFS) Resolve(_, ref string) (string, error) {
	return "", &fs.PathError{Op: "open", Path: ref, Err: ErrOutside}
}

// Siblings are none.
func (NoFS) Siblings(string) ([]string, error) { return nil, nil }

func noFile(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}
