package ovf

import (
	"errors"
	"fmt"
)

// Errors of what is read. They are wrapped with the place and the reason.
var (
	// ErrDigest: a file does not have the digest that the manifest says.
	ErrDigest = errors.New("the file is not what the manifest says")
	// ErrSignature: the signature was not made with the key of the
	// certificate, or not of this manifest.
	ErrSignature = errors.New("the signature does not fit the manifest")
	// ErrPassphrase: what was decrypted makes no sense.
	ErrPassphrase = errors.New("the passphrase is wrong, or the encrypted content is damaged")
	// ErrOverflow: a quantity is more than 64 bits can hold.
	ErrOverflow = errors.New("more than 64 bits can hold")
)

// FormatError says that a document is not what it should be.
type FormatError struct {
	Document string // what was read: "envelope", "manifest", "certificate", …
	Line     int    // from 1; 0 if no place
	Column   int    // from 1; 0 if only the line is known
	Reason   string
}

// Error is one line.
func (e *FormatError) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.Document, e.Reason)
	case e.Column == 0:
		return fmt.Sprintf("%s: line %d: %s", e.Document, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s: line %d, column %d: %s", e.Document, e.Line, e.Column, e.Reason)
}

func malformed(document string, line, column int, reason string, args ...any) error {
	return &FormatError{Document: document, Line: line, Column: column, Reason: fmt.Sprintf(reason, args...)}
}

// UnsupportedError says that a document, or what was asked, is right and we
// cannot do it. It matches errors.ErrUnsupported.
type UnsupportedError struct{ Reason string }

// Error is one line.
func (e *UnsupportedError) Error() string { return e.Reason }

// Is makes it match errors.ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

func unsupported(reason string, args ...any) error {
	return &UnsupportedError{Reason: fmt.Sprintf(reason, args...)}
}
