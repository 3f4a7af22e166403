// Package grain encodes and decodes compressed grains: zlib streams (RFC 1950)
// of 64 KiB, each by itself.
package grain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"sync"

	"github.com/klauspost/compress/flate"
)

// ErrCorrupt says that a stream cannot be decoded, or not to what it was.
var ErrCorrupt = errors.New("the compressed grain is damaged")

// level is deflate's: the fastest that makes mixed data no larger than zlib's
// default level does.
const level = 7

// Codec keeps what encoding and decoding need, for the next grain. The zero
// Codec is ready; it may be used by many goroutines at once.
type Codec struct {
	readers sync.Pool
	writers sync.Pool
}

// writer is an encoder and what it writes to.
type writer struct {
	out     appender
	deflate *flate.Writer
}

// appender is an io.Writer to a slice.
type appender struct{ p []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.p = append(a.p, p...)
	return len(p), nil
}

// Decode decodes src into dst and returns how much came out: less than dst
// has when the stream ends earlier. What follows the stream in src is ignored;
// a stream longer than dst is corrupt.
func (c *Codec) Decode(dst, src []byte) (int, error) {
	if len(src) < 6 || src[0]&0xf != 8 || binary.BigEndian.Uint16(src)%31 != 0 || src[1]&0x20 != 0 {
		return 0, fmt.Errorf("%w: no zlib header", ErrCorrupt)
	}
	f, _ := c.readers.Get().(*inflater)
	if f == nil {
		f = &inflater{}
	}
	defer c.readers.Put(f)
	n, used, ok := f.inflate(dst, src[2:])
	if !ok {
		return n, fmt.Errorf("%w: it decodes to %d bytes and no further", ErrCorrupt, n)
	}
	if sum := src[2+used:]; len(sum) < 4 || binary.BigEndian.Uint32(sum) != adler32.Checksum(dst[:n]) {
		return n, fmt.Errorf("%w: the checksum differs", ErrCorrupt)
	}
	return n, nil
}

// Encode appends the stream of src to dst.
func (c *Codec) Encode(dst, src []byte) ([]byte, error) {
	dst = append(dst, 0x78, 0x9c) // 32 KiB of window, default level
	if Incompressible(src) {
		dst = store(dst, src)
	} else {
		var err error
		if dst, err = c.deflate(dst, src); err != nil {
			return dst, err
		}
	}
	return binary.BigEndian.AppendUint32(dst, adler32.Checksum(src)), nil
}

func (c *Codec) deflate(dst, src []byte) ([]byte, error) {
	w, _ := c.writers.Get().(*writer)
	if w == nil {
		w = &writer{}
		var err error
		if w.deflate, err = flate.NewWriter(&w.out, level); err != nil {
			return dst, err
		}
	}
	defer c.writers.Put(w)
	w.out.p = dst
	w.deflate.Reset(&w.out)
	if _, err := w.deflate.Write(src); err != nil {
		return dst, err
	}
	err := w.deflate.Close()
	dst, w.out.p = w.out.p, nil
	return dst, err
}

// store appends stored blocks (RFC 1951, 3.2.4).
func store(dst, src []byte) []byte {
	const most = 65535
	for {
		n := min(len(src), most)
		final := byte(0)
		if n == len(src) {
			final = 1
		}
		dst = append(dst, final, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		dst = append(dst, src[:n]...)
		if src = src[n:]; final == 1 {
			return dst
		}
	}
}
