package ova

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/panalvm/panal/ovf"
)

// maxWindow is how far back a zstd stream may refer: what "zstd --long" needs.
const maxWindow = 128 << 20

// unpacked is an archive as a stream of tar.
type unpacked struct {
	*bounded
	close func()
}

// unpack recognises what an archive is compressed with by its first bytes.
func unpack(r io.Reader, limits Limits) (*unpacked, error) {
	packed := &counter{r: r}
	in := bufio.NewReaderSize(packed, 1<<20)
	start, err := in.Peek(6)
	if err != nil && len(start) == 0 {
		return nil, &Error{Err: fmt.Errorf("there is nothing to read: %w", err)}
	}
	u := &unpacked{bounded: &bounded{limits: limits}, close: func() {}}
	switch {
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &Error{Err: fmt.Errorf("reading gzip: %w", err)}
		}
		u.r, u.packed = z, packed
	case bytes.HasPrefix(start, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, &Error{Err: fmt.Errorf("reading zstd: %w", err)}
		}
		u.r, u.packed, u.close = z, packed, z.Close
	case bytes.HasPrefix(start, []byte("BZh")), bytes.HasPrefix(start, []byte("\xfd7zXZ\x00")), bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return nil, &Error{Err: &ovf.UnsupportedError{Reason: "the archive is compressed with bzip2 or xz, or is a ZIP file; gzip and zstd are read: decompress it first"}}
	default:
		u.r = in
	}
	return u, nil
}

// Decompress gives what r has, decompressed if it begins as gzip or zstd does,
// within the limits. Packed tells whether it was. Close gives back what that takes,
// and does not close r.
func Decompress(r io.Reader, limits Limits) (content io.ReadCloser, packed bool, err error) {
	u, err := unpack(r, limits.orDefaults())
	if err != nil {
		return nil, false, err
	}
	return decompressed{u}, u.packed != nil, nil
}

// decompressed is an unpacked stream that can be closed.
type decompressed struct{ *unpacked }

// Close gives back what decompressing takes.
func (d decompressed) Close() error {
	d.close()
	return nil
}
