// Package framing holds what the two JSON-lines protocols Panal speaks (QMP to
// QEMU, the guest agent's to the guest) share: lines of bounded length out of
// a stream nobody vouches for, and reads and writes that end with a context.
package framing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrTooLong is given for a line longer than the limit its reader set.
var ErrTooLong = errors.New("line too long")

// keepBuffer is the largest line buffer kept for the next line. A larger one,
// needed once for a long answer, is left to the garbage collector.
const keepBuffer = 64 << 10

// Reader cuts a stream into lines.
type Reader struct {
	src *bufio.Reader
	buf []byte
}

// NewReader returns a Reader on r.
func NewReader(r io.Reader) *Reader {
	return &Reader{src: bufio.NewReader(r)}
}

// Line returns the next line without its newline, valid until the next call.
// A line of more than limit bytes gives ErrTooLong, and the stream is then in
// the middle of it. The stream's end between lines gives io.EOF, within a line
// io.ErrUnexpectedEOF. After any other error (a deadline) what had come of the
// line is lost.
func (r *Reader) Line(limit int) ([]byte, error) {
	if cap(r.buf) > keepBuffer {
		r.buf = nil
	}
	r.buf = r.buf[:0]
	for {
		part, err := r.src.ReadSlice('\n')
		if len(r.buf)+len(part) > limit+1 {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
		}
		r.buf = append(r.buf, part...)
		switch {
		case err == nil:
			return r.buf[:len(r.buf)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(r.buf) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// SkipPast throws everything away up to and including the next delim. It
// keeps nothing, so only the deadline bounds it.
func (r *Reader) SkipPast(delim byte) error {
	for {
		_, err := r.src.ReadSlice(delim)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// Within runs do, whose reads or writes end with a timeout when ctx does.
// setDeadline is the connection's SetDeadline, SetReadDeadline or
// SetWriteDeadline; when Within returns, no deadline is set. The error is
// do's own: a do that finished in spite of ctx's end is not undone.
func Within(ctx context.Context, setDeadline func(time.Time) error, do func() error) error {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = setDeadline(time.Unix(1, 0))
	})
	err := do()
	if !stop() {
		// The deadline is being set at this moment or was: lift it only after.
		<-ended
		_ = setDeadline(time.Time{})
	}
	return err
}
