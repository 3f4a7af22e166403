package nbd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

const (
	// chunkBytes is the most that one chunk of a read carries, unless it must
	// not be split: long reads take no more memory than that, and what was
	// read is still in the processor's cache when it is sent.
	chunkBytes = 1 << 20
	// mapBytes is from which length on the image is asked where it holds data;
	// reading less costs less than asking.
	mapBytes = 64 << 10
	// lookAhead is how far the image is asked at least, because whoever reads
	// long ranges reads on.
	lookAhead = 256 << 20
	// holeBytes is the least zeros, between data, that are a chunk of their own.
	holeBytes = 32 << 10
)

// read replies with what the disk holds.
func (c *conn) read(r request) error {
	switch {
	case r.length == 0:
		c.succeed(r)
		return nil
	case !c.chunked():
		return c.readSimply(r)
	case r.flags&cmdFlagDF != 0, r.length < mapBytes:
		return c.readChunk(r, piece{int64(r.off), int64(r.length), false}, true)
	}
	return c.readPieces(r)
}

// fill reads from the disk into a new buffer.
func (c *conn) fill(off, n int64) (*buffer, error) {
	b, err := c.buffer(int(n))
	if err != nil {
		return nil, err
	}
	got, err := c.export.Image.ReadAt(b.payload(), off)
	if got == int(n) {
		return b, nil
	}
	c.discard(b)
	if err == nil || err == io.EOF { // it was made smaller meanwhile
		err = fmt.Errorf("read %d bytes of %d at %d: %w", got, n, off, io.ErrUnexpectedEOF)
	}
	return nil, err
}

func (c *conn) readSimply(r request) error {
	b, err := c.fill(int64(r.off), int64(r.length))
	if err != nil {
		return err
	}
	c.sendSimple(r, b, 0)
	return nil
}

// piece is a range that is sent as one chunk.
type piece struct {
	off, n int64
	hole   bool
}

// readPieces sends data and holes apart.
func (c *conn) readPieces(r request) error {
	for off, end := int64(r.off), int64(r.off+r.length); off < end; {
		p, err := c.piece(off, end)
		if err != nil {
			return err
		}
		off += p.n
		if p.hole {
			err = c.sendHole(r, p, off == end)
		} else {
			err = c.readChunk(r, p, off == end)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// piece finds what can be sent as one chunk at off: a hole, or data up to the
// next hole that is worth a chunk.
func (c *conn) piece(off, end int64) (piece, error) {
	p := piece{off: off}
	limit := min(end, off+chunkBytes)
	for at := off; at < limit; {
		l, err := c.layer(at, end)
		if err != nil {
			return p, err
		}
		if l.State != disk.Data && (l.Len >= holeBytes || l.Len == end-off) {
			if at == off {
				return piece{off, l.Len, true}, nil
			}
			break
		}
		at = min(l.End(), limit)
		p.n = at - off
	}
	return p, nil
}

// layer is disk.LayerAt, which is not asked again about data that it has
// mentioned: for a file with holes that would be a search each time.
func (c *conn) layer(at, end int64) (disk.Layer, error) {
	if known := c.export.data.Load(); known != nil && known.Off <= at && at < known.End() {
		return disk.Layer{Extent: disk.Extent{Off: at, Len: min(known.End(), end) - at, State: disk.Data}}, nil
	}
	ahead := max(end-at, min(lookAhead, c.export.Image.Size()-at))
	l, err := disk.LayerAt(c.export.Image, at, ahead)
	if err != nil {
		return l, err
	}
	if l.State == disk.Data {
		c.export.data.Store(&disk.Extent{Off: l.Off, Len: l.Len})
	}
	l.Len = min(l.Len, end-at)
	return l, nil
}

// readChunk sends a piece as data, or as a hole if it turns out to be zero.
func (c *conn) readChunk(r request, p piece, last bool) error {
	b, err := c.fill(p.off, p.n)
	if err != nil {
		return err
	}
	if isZero(b.payload()) {
		c.discard(b)
		return c.sendHole(r, p, last)
	}
	binary.BigEndian.PutUint64(b.prepend(8), uint64(p.off))
	c.sendChunk(r, b, doneIf(last), chunkData)
	return nil
}

func (c *conn) sendHole(r request, p piece, last bool) error {
	b, err := c.buffer(12)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint64(b.payload(), uint64(p.off))
	binary.BigEndian.PutUint32(b.payload()[8:], uint32(p.n))
	c.sendChunk(r, b, doneIf(last), chunkHole)
	return nil
}

func doneIf(last bool) uint16 {
	if last {
		return replyFlagDone
	}
	return 0
}

// isZero tells whether p is zero: each byte like the one before it, and the
// first zero.
func isZero(p []byte) bool {
	return p[0] == 0 && p[len(p)-1] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}
