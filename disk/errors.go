package disk

import (
	"errors"
	"fmt"
)

// Errors of use.
var (
	// ErrReadOnly: the image or file was not opened for writing, or cannot be.
	ErrReadOnly = errors.New("opened for reading only")
	// ErrRange: an offset or length beyond the end of the disk.
	ErrRange = errors.New("beyond the end of the disk")
	// ErrOutside: an image refers to a file that the caller did not allow.
	ErrOutside = errors.New("outside of the directories that were allowed")
	// ErrDepth: a chain with more images than Options.MaxDepth.
	ErrDepth = errors.New("the chain of parents is too long")
	// ErrCycle: an image that is its own parent, at whatever distance.
	ErrCycle = errors.New("the chain of parents comes back to itself")
	// ErrNoParent: a differencing image whose parent was not found.
	ErrNoParent = errors.New("its parent was not found")
	// ErrWrongParent: a file was found where the parent should be, and is
	// another or was changed since.
	ErrWrongParent = errors.New("what was found is not its parent as it was")
	// ErrUnknownFormat: no format recognised the file.
	ErrUnknownFormat = errors.New("no known image format")
	// ErrLookalike: a write would make a disk of unstated format look like an
	// image of another format.
	ErrLookalike = errors.New("the write would make a raw disk look like an image of another format")
)

// FormatError says that a file is not a valid image.
type FormatError struct {
	Format string // the format's name
	Offset int64  // where in the file the wrong thing is, in bytes; -1 if no place
	Reason string
}

// Error is one line.
func (e *FormatError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %s", e.Format, e.Reason)
	}
	return fmt.Sprintf("%s: at offset %#x: %s", e.Format, e.Offset, e.Reason)
}

// Corrupt makes a FormatError.
func Corrupt(format string, offset int64, reason string, args ...any) error {
	return &FormatError{Format: format, Offset: offset, Reason: fmt.Sprintf(reason, args...)}
}

// UnsupportedError says that a file, or what was asked, is right and we cannot
// do it.
type UnsupportedError struct {
	Format string // the format's name
	Reason string // what, and what to do instead
}

// Error is one line.
func (e *UnsupportedError) Error() string { return fmt.Sprintf("%s: %s", e.Format, e.Reason) }

// Is makes it match errors.ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// Unsupported makes an UnsupportedError.
func Unsupported(format, reason string, args ...any) error {
	return &UnsupportedError{Format: format, Reason: fmt.Sprintf(reason, args...)}
}

// UsageError says that the caller asked for what does not exist: an unknown
// format, variant or option, or a value out of range.
type UsageError struct{ Reason string }

// Error is one line.
func (e *UsageError) Error() string { return e.Reason }

// Usage makes a UsageError.
func Usage(reason string, args ...any) error {
	return &UsageError{Reason: fmt.Sprintf(reason, args...)}
}
