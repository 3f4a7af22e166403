package ova

import (
	"errors"
	"fmt"
)

// Errors of what is read; an *[Error] wraps them.
var (
	// ErrNoDescriptor: the archive has no .ovf member.
	ErrNoDescriptor = errors.New("there is no descriptor, no .ovf file, in the archive")
	// ErrName: a member's name leads out of the archive, or comes twice.
	ErrName = errors.New("the name is not allowed")
	// ErrKind: a member is neither a plain file nor a directory.
	ErrKind = errors.New("the archive has more than plain files")
	// ErrLimit: there is more than Limits allow.
	ErrLimit = errors.New("more than the limits allow")
	// ErrCutShort: the archive ends before it should.
	ErrCutShort = errors.New("the archive is cut short")
	// ErrMissing: the manifest, or the descriptor, names a file that is not there.
	ErrMissing = errors.New("the file is not in the archive")
)

// Error says where in an archive something is wrong.
type Error struct {
	Member string // "" if it is in none
	Offset int64  // in the archive, after it was decompressed
	Err    error
}

// Error is one line.
func (e *Error) Error() string {
	if e.Member == "" {
		return fmt.Sprintf("ova: at offset %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("ova: member %.200q at offset %d: %v", e.Member, e.Offset, e.Err)
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }
