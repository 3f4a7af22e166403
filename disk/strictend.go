package disk

import (
	"errors"
	"io"
)

// StrictEnd is a reader of the same that only io.EOF ends well. Others, such as
// decompressors, say io.ErrUnexpectedEOF of what is cut short, and that
// is what io.ReadFull says when a last piece is shorter than its buffer.
func StrictEnd(r io.Reader) io.Reader { return strictEnd{r} }

type strictEnd struct{ r io.Reader }

// Read reads on.
func (s strictEnd) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = cutShort{err}
	}
	return n, err
}

// cutShort is an error that is no end.
type cutShort struct{ why error }

// Error says why.
func (e cutShort) Error() string { return "it is cut short: " + e.why.Error() }

// Is is that of the error itself, but for the ends.
func (e cutShort) Is(target error) bool {
	return target != io.ErrUnexpectedEOF && target != io.EOF && errors.Is(e.why, target)
}

// As is that of the error itself.
func (e cutShort) As(target any) bool { return errors.As(e.why, target) }
