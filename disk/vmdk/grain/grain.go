// Package grain encodes and decodes compressed grains: zlib streams (RFC 1950)
// of 64 KiB, each by itself.
package grain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/panalvm/panal/disk/deflate"
)

// ErrCorrupt says that a stream cannot be decoded, or not to what it was.
var ErrCorrupt = errors.New("the compressed grain is damaged")

// Codec keeps what encoding and decoding need, for the next grain. The zero
// Codec is ready; it may be used by many goroutines at once.
type Codec struct {
	decoders sync.Pool
	encoders sync.Pool
}

// Decode decodes src into dst and returns how much came out: less than dst
// has when the stream ends earlier; the rest of dst is undefined then. What
// follows the stream in src is ignored; a stream longer than dst is corrupt.
func (c *Codec) Decode(dst, src []byte) (int, error) {
	if len(src) < 6 || src[0]&0xf != 8 || src[0]>>4 > 7 || binary.BigEndian.Uint16(src)%31 != 0 || src[1]&0x20 != 0 {
		return 0, fmt.Errorf("%w: no zlib header", ErrCorrupt)
	}
	d, _ := c.decoders.Get().(*deflate.Decoder)
	if d == nil {
		d = &deflate.Decoder{}
	}
	defer c.decoders.Put(d)
	n, used, err := d.Decode(dst, src[2:])
	if err != nil {
		return n, fmt.Errorf("%w: it decodes to %d bytes and no further: %w", ErrCorrupt, n, err)
	}
	if sum := src[2+used:]; len(sum) < 4 || binary.BigEndian.Uint32(sum) != deflate.Adler32(dst[:n]) {
		return n, fmt.Errorf("%w: the checksum differs", ErrCorrupt)
	}
	return n, nil
}

// Encode appends the stream of src to dst.
func (c *Codec) Encode(dst, src []byte) ([]byte, error) {
	e, _ := c.encoders.Get().(*deflate.Encoder)
	if e == nil {
		e = &deflate.Encoder{}
	}
	defer c.encoders.Put(e)
	dst = append(dst, 0x78, 0x9c) // 32 KiB of window, default level
	dst = e.Encode(dst, src)
	return binary.BigEndian.AppendUint32(dst, deflate.Adler32(src)), nil
}
