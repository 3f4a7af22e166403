package qcow2

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/panalvm/panal/disk/deflate"
)

// zlibWindow is how far back deflated clusters may refer. The spec does not
// say; QEMU opens encoder and decoder with 12 window bits (block/qcow2-threads.c).
const zlibWindow = 1 << 12

// codec compresses and decompresses clusters. It may be used by many
// goroutines.
type codec struct {
	kind    uint8
	cluster int64
	level   zstd.EncoderLevel // 0 is the fastest

	inflaters sync.Pool // of *deflate.Decoder
	deflaters sync.Pool // of *deflate.Encoder
	buffers   sync.Pool // of *[]byte, for compressed clusters
	recent    recent
	zstdOnce  sync.Once
	zstdErr   error
	decoder   *zstd.Decoder
	encoder   *zstd.Encoder
}

// zstdLevels are what the option compressionLevel can be.
var zstdLevels = map[string]zstd.EncoderLevel{
	"fast": zstd.SpeedFastest, "default": zstd.SpeedDefault, "better": zstd.SpeedBetterCompression, "best": zstd.SpeedBestCompression,
}

func newCodec(kind uint8, cluster int64) *codec { return &codec{kind: kind, cluster: cluster} }

// buffer is a buffer of n bytes at least, to be put back into buffers.
func (c *codec) buffer(n int) *[]byte {
	p, _ := c.buffers.Get().(*[]byte)
	if p == nil || len(*p) < n {
		b := make([]byte, max(n, int(c.cluster)))
		p = &b
	}
	return p
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// decompress fills dst, a whole cluster, from src, which may be longer than
// what belongs to the cluster.
func (c *codec) decompress(dst, src []byte) error {
	if c.kind == compressionZstd {
		return c.unzstd(dst, src)
	}
	d, _ := c.inflaters.Get().(*deflate.Decoder)
	if d == nil {
		d = &deflate.Decoder{}
	}
	defer c.inflaters.Put(d)
	// Like QEMU we ask no more of the stream than that it fills the cluster.
	switch n, _, err := d.Decode(dst, src); {
	case n == len(dst):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("the deflate stream holds %d bytes of %d", n, len(dst))
	}
}

func (c *codec) unzstd(dst, src []byte) error {
	if err := c.startZstd(); err != nil {
		return err
	}
	for done := 0; done < len(dst); { // QEMU takes several frames in a row, and so do we
		n, err := zstdFrame(src)
		if err != nil {
			return err
		}
		got, err := c.decoder.DecodeAll(src[:n], dst[done:done:len(dst)])
		switch {
		case err != nil:
			return fmt.Errorf("zstd: %w", err)
		case len(got) == 0:
			return errors.New("zstd: an empty frame")
		case len(got) > len(dst)-done:
			return fmt.Errorf("zstd: more than %d bytes", len(dst))
		}
		done += len(got)
		src = src[n:]
	}
	return nil
}

func (c *codec) startZstd() error {
	c.zstdOnce.Do(func() {
		c.decoder, c.zstdErr = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(uint64(max(c.cluster, 1<<20))))
		if c.zstdErr == nil {
			c.encoder, c.zstdErr = zstd.NewWriter(nil, zstd.WithEncoderLevel(max(c.level, zstd.SpeedFastest)), zstd.WithEncoderCRC(false), zstd.WithWindowSize(int(max(c.cluster, zstd.MinWindowSize))))
		}
	})
	return c.zstdErr
}

// compress appends the compressed form of a cluster to dst, or the cluster
// itself when it is clear that it would not become smaller.
func (c *codec) compress(dst, cluster []byte) ([]byte, error) {
	if c.kind == compressionZstd { // which finds out by itself, and faster
		if err := c.startZstd(); err != nil {
			return nil, err
		}
		return c.encoder.EncodeAll(cluster, dst), nil
	}
	if deflate.Incompressible(cluster) {
		return append(dst, cluster...), nil
	}
	e, _ := c.deflaters.Get().(*deflate.Encoder)
	if e == nil {
		e = &deflate.Encoder{Window: zlibWindow}
	}
	defer c.deflaters.Put(e)
	return e.Encode(dst, cluster), nil
}

// zstdFrame is the length of the frame that src begins with. What follows it in
// the sector belongs to others (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
func zstdFrame(src []byte) (int, error) {
	short := errors.New("zstd: the frame is cut short")
	if len(src) < 6 {
		return 0, short
	}
	if src[0] != 0x28 || src[1] != 0xb5 || src[2] != 0x2f || src[3] != 0xfd {
		return 0, errors.New("zstd: no frame begins here")
	}
	descriptor := src[4]
	at := 5 + []int{0, 1, 2, 4}[descriptor&3] + []int{0, 2, 4, 8}[descriptor>>6]
	single := descriptor&0x20 != 0
	if !single {
		at++
	} else if descriptor>>6 == 0 {
		at++
	}
	for last := false; !last; {
		if at+3 > len(src) {
			return 0, short
		}
		block := int(src[at]) | int(src[at+1])<<8 | int(src[at+2])<<16
		last = block&1 != 0
		n := block >> 3
		if block>>1&3 == 1 { // a byte repeated
			n = 1
		}
		at += 3 + n
	}
	if descriptor&4 != 0 {
		at += 4
	}
	if at > len(src) {
		return 0, short
	}
	return at, nil
}
