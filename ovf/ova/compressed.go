package ova

import (
	"bufio"
	"bytes"
	"errors"
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

// Compression tells by what a file is compressed as a whole that begins so, with four bytes at least: "gzip", "zstd", or "" for
// anything else. Programs that compress by zstd with several processors put a frame first that is passed over (RFC 8878, 3.1.2).
func Compression(start []byte) string {
	switch {
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return "gzip"
	case bytes.HasPrefix(start, []byte("\x28\xb5\x2f\xfd")), len(start) >= 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:4], []byte("\x2a\x4d\x18")):
		return "zstd"
	}
	return ""
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
	switch compression := Compression(start); {
	case compression == "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &Error{Err: fmt.Errorf("reading gzip: %w", err)}
		}
		z.Multistream(false)
		u.r, u.packed = &gzipped{in: in, z: z}, packed
	case compression == "zstd":
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

// gzipped reads the members of a gzip file one behind another (RFC 1952, 2.2), with zeros between and behind them, which
// gzip passes over, too: what is written in blocks is filled up by them.
type gzipped struct {
	in *bufio.Reader
	z  *gzip.Reader
}

// maxPadding bounds the zeros behind a member.
const maxPadding = 16 << 20

// Read reads on, into the next member where one ends.
func (g *gzipped) Read(p []byte) (int, error) {
	for {
		n, err := g.z.Read(p)
		if n > 0 && errors.Is(err, io.EOF) {
			return n, nil
		}
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := g.follow(); err != nil {
			return 0, err
		}
	}
}

// follow goes on to the next member; io.EOF behind the last.
func (g *gzipped) follow() error {
	for range maxPadding {
		b, err := g.in.ReadByte()
		if err != nil {
			return err
		}
		if b == 0 {
			continue
		}
		if err := g.in.UnreadByte(); err != nil {
			return err
		}
		break
	}
	start, err := g.in.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(start, []byte("\x1f\x8b")) {
		return errors.New("there is something behind what is compressed by gzip, and it is not: the file is damaged, or something was appended to it")
	}
	if err := g.z.Reset(g.in); err != nil {
		return err
	}
	g.z.Multistream(false)
	return nil
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
