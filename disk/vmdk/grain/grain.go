// Package grain encodes and decodes compressed grains: zlib streams (RFC 1950)
// of 64 KiB, each by itself. Both ways are its own: all of a grain is in memory,
// which general packages for streams cannot make use of.
package grain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"sync"
)

// ErrCorrupt says that a stream cannot be decoded, or not to what it was.
var ErrCorrupt = errors.New("the compressed grain is damaged")

// Codec keeps what encoding and decoding need, for the next grain. The zero
// Codec is ready; it may be used by many goroutines at once.
type Codec struct {
	readers sync.Pool
	writers sync.Pool
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
		dst = c.deflate(dst, src)
	}
	return binary.BigEndian.AppendUint32(dst, adler32.Checksum(src)), nil
}

// deflate compresses, unless storing takes less.
func (c *Codec) deflate(dst, src []byte) []byte {
	d, _ := c.writers.Get().(*deflater)
	if d == nil {
		d = &deflater{}
	}
	defer c.writers.Put(d)
	before := len(dst)
	dst = d.deflate(dst, src)
	d.out.p = nil
	if len(dst)-before > len(src)+5*(1+len(src)/65535) {
		dst = store(dst[:before], src)
	}
	return dst
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
