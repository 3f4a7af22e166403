package nbd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// maxChunk bounds what a chunk has beside a read's data: extents and messages.
const maxChunk = 1 << 20

// receive takes the server's answers until the connection ends.
func (c *Client) receive() {
	defer close(c.ended)
	r := bufio.NewReaderSize(c.conn, 64<<10)
	for {
		if err := c.reply(r); err != nil {
			c.fail(err)
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.pending {
		x.err = c.failure
		close(x.done)
	}
	c.pending = nil
}

// reply takes one reply or chunk of one. An error ends the connection.
func (c *Client) reply(r *bufio.Reader) error {
	header := make([]byte, structuredHeaderLen)
	if _, err := io.ReadFull(r, header[:simpleReplyLen]); err != nil {
		return err
	}
	cookie := binary.BigEndian.Uint64(header[8:])
	c.mu.Lock()
	x := c.pending[cookie]
	c.mu.Unlock()
	if x == nil {
		return errors.New("the server answers what was not asked")
	}
	switch binary.BigEndian.Uint32(header) {
	case magicSimpleReply:
		if err := c.simple(r, x, binary.BigEndian.Uint32(header[4:])); err != nil {
			return err
		}
		c.settle(cookie, x)
		return nil
	case magicStructured:
		if _, err := io.ReadFull(r, header[simpleReplyLen:]); err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(header[16:]))
		if err := c.chunk(r, x, binary.BigEndian.Uint16(header[6:]), length); err != nil {
			return err
		}
		if binary.BigEndian.Uint16(header[4:])&replyFlagDone != 0 {
			c.settle(cookie, x)
		}
		return nil
	}
	return fmt.Errorf("the server's answer begins with %#x", header[:4])
}

// settle ends an exchange.
func (c *Client) settle(cookie uint64, x *exchange) {
	c.mu.Lock()
	delete(c.pending, cookie)
	c.mu.Unlock()
	if x.err == nil && x.kind == cmdRead && x.covered != x.length {
		x.err = fmt.Errorf("the server gave %d of %d bytes", x.covered, x.length)
	}
	close(x.done)
}

// simple takes the rest of a simple reply.
func (c *Client) simple(r io.Reader, x *exchange, code uint32) error {
	if code != 0 {
		x.err = serverError(errno(code), "")
		return nil
	}
	if x.kind != cmdRead {
		return nil
	}
	x.covered = x.length
	_, err := io.ReadFull(r, x.data)
	return err
}

// chunk takes the rest of a chunk.
func (c *Client) chunk(r io.Reader, x *exchange, kind uint16, length int64) error {
	if kind == chunkData && x.kind == cmdRead {
		return c.dataChunk(r, x, length)
	}
	if length > maxChunk {
		return fmt.Errorf("a chunk of kind %d has %d bytes", kind, length)
	}
	p := make([]byte, length)
	if _, err := io.ReadFull(r, p); err != nil {
		return err
	}
	switch {
	case kind == chunkNone:
		return nil
	case kind == chunkHole && x.kind == cmdRead && len(p) == 12:
		return x.hole(binary.BigEndian.Uint64(p), int64(binary.BigEndian.Uint32(p[8:])))
	case kind == chunkStatus && x.kind == cmdBlockStatus:
		return c.statusChunk(x, p)
	case kind&(1<<15) != 0 && len(p) >= 6:
		text := p[6:]
		x.err = serverError(errno(binary.BigEndian.Uint32(p)), string(text[:min(len(text), int(binary.BigEndian.Uint16(p[4:])))]))
		return nil
	}
	return fmt.Errorf("a chunk of kind %d and %d bytes answers a request of kind %d", kind, length, x.kind)
}

// dataChunk takes bytes that were read to where they belong.
func (c *Client) dataChunk(r io.Reader, x *exchange, length int64) error {
	var at [8]byte
	if length < int64(len(at)) {
		return fmt.Errorf("a chunk of data has %d bytes", length)
	}
	if _, err := io.ReadFull(r, at[:]); err != nil {
		return err
	}
	p, err := x.part(binary.BigEndian.Uint64(at[:]), length-int64(len(at)))
	if err != nil {
		return err
	}
	_, err = io.ReadFull(r, p)
	return err
}

// hole zeroes a part of what is read.
func (x *exchange) hole(off uint64, n int64) error {
	p, err := x.part(off, n)
	clear(p)
	return err
}

// part is a part of what is read, which has now come.
func (x *exchange) part(off uint64, n int64) ([]byte, error) {
	at := int64(off) - x.off
	if n <= 0 || int64(off) < x.off || at > x.length-n {
		return nil, fmt.Errorf("the server gives %d bytes at %d, which were not asked for", n, off)
	}
	x.covered += n
	return x.data[at : at+n], nil
}

// statusChunk takes the states of a range (proto, NBD_REPLY_TYPE_BLOCK_STATUS).
func (c *Client) statusChunk(x *exchange, p []byte) error {
	const each = 8
	if len(p) < 4+each || (len(p)-4)%each != 0 || binary.BigEndian.Uint32(p) != c.context {
		return errors.New("the server's list of extents is invalid")
	}
	off := x.off
	for p = p[4:]; len(p) > 0 && off < c.size; p = p[each:] {
		// The last may reach beyond what was asked for.
		n := min(int64(binary.BigEndian.Uint32(p)), c.size-off)
		if n == 0 {
			return errors.New("the server tells of an extent without length")
		}
		state := disk.Data
		if binary.BigEndian.Uint32(p[4:])&stateZero != 0 {
			state = disk.Zeroed
		}
		if last := len(x.extents) - 1; last >= 0 && x.extents[last].State == state {
			x.extents[last].Len += n
		} else {
			x.extents = append(x.extents, disk.Extent{Off: off, Len: n, State: state})
		}
		off += n
	}
	return nil
}

// serverError is an error that a server reports.
func serverError(code errno, text string) error {
	if text == "" {
		text = code.text()
	}
	for _, known := range errnoTable() {
		if known.errno == code {
			return fmt.Errorf("the server says: %q: %w", text, known.err)
		}
	}
	return fmt.Errorf("the server says: %q (error %d)", text, code)
}
