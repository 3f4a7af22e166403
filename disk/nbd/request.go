package nbd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// request is what a client wants of an export.
type request struct {
	flags   uint16
	kind    command
	cookie  uint64 // the client's name for it
	off     uint64
	length  uint64  // of the range that it is about
	payload *buffer // of a write
	strange bool    // there was a payload where none belongs
	batched bool    // its reply need not be sent at once
}

// parseRequest reads a compact header.
func parseRequest(p []byte) (request, error) {
	if magic := binary.BigEndian.Uint32(p); magic != magicRequest {
		return request{}, fmt.Errorf("a request begins with %#x", magic)
	}
	return request{
		flags: binary.BigEndian.Uint16(p[4:]), kind: command(binary.BigEndian.Uint16(p[6:])),
		cookie: binary.BigEndian.Uint64(p[8:]), off: binary.BigEndian.Uint64(p[16:]),
		length: uint64(binary.BigEndian.Uint32(p[24:])),
	}, nil
}

// parseExtRequest reads an extended header.
func parseExtRequest(p []byte) (request, error) {
	if magic := binary.BigEndian.Uint32(p); magic != magicExtRequest {
		return request{}, fmt.Errorf("an extended request begins with %#x", magic)
	}
	return request{
		flags: binary.BigEndian.Uint16(p[4:]), kind: command(binary.BigEndian.Uint16(p[6:])),
		cookie: binary.BigEndian.Uint64(p[8:]), off: binary.BigEndian.Uint64(p[16:]),
		length: binary.BigEndian.Uint64(p[24:]),
	}, nil
}

// payloadLen is how many bytes follow the header.
func (r request) payloadLen(extended bool) uint64 {
	if extended && r.flags&cmdFlagPayloadLen != 0 || !extended && r.kind == cmdWrite {
		return r.length
	}
	return 0
}

// inside tells whether the range lies on a disk of that size.
func (r request) inside(size int64) bool {
	return r.off <= uint64(size) && r.length <= uint64(size)-r.off
}

// end is where the range ends; the largest number if that cannot be said.
func (r request) end() uint64 {
	if r.length > math.MaxUint64-r.off {
		return math.MaxUint64
	}
	return r.off + r.length
}

// errTooMuch: reading over gigabytes would only keep the connection busy.
var errTooMuch = errors.New("the client sends more data in a request than it was told it may")

// readRequest reads the next request with its payload. Before it waits for
// the client, replies that were held back are sent.
func (c *conn) readRequest() (request, error) {
	r, err := c.readHeader()
	if err != nil {
		return r, err
	}
	n := r.payloadLen(c.extended)
	switch {
	case n == 0:
		// An extended write must say that it has a payload.
		r.strange = c.extended && r.kind == cmdWrite && r.length > 0
		return r, nil
	case n > maxPayload:
		return r, fmt.Errorf("%w: %d bytes", errTooMuch, n)
	case r.kind != cmdWrite:
		r.strange = true
		c.flushBefore(int(n))
		_, err := c.in.Discard(int(n))
		return r, err
	}
	return c.readPayload(r, int(n))
}

func (c *conn) readHeader() (request, error) {
	length, parse := requestLen, parseRequest
	if c.extended {
		length, parse = extRequestLen, parseExtRequest
	}
	c.flushBefore(length)
	header, err := c.in.Peek(length)
	if err != nil {
		if err == io.EOF && len(header) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return request{}, err
	}
	r, err := parse(header)
	if err != nil {
		return r, err
	}
	_, err = c.in.Discard(length)
	return r, err
}

func (c *conn) readPayload(r request, n int) (request, error) {
	b, err := c.buffer(n)
	if err != nil {
		return r, err
	}
	c.flushBefore(n)
	if _, err := io.ReadFull(c.in, b.payload()); err != nil {
		c.discard(b)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return r, err
	}
	r.payload = b
	return r, nil
}

// flushBefore sends replies if reading n bytes might have to wait.
func (c *conn) flushBefore(n int) {
	if c.in.Buffered() < n {
		c.out.flush()
	}
}
