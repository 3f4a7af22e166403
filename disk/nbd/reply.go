package nbd

import "encoding/binary"

// batchBytes is from which size on a reply does not wait for others: what is
// saved is little, and the client could have begun to look at it.
const batchBytes = 64 << 10

// send gives a reply to the output.
func (c *conn) send(r request, b *buffer) {
	large := b.size() >= batchBytes
	c.out.queue(b)
	if !r.batched || large {
		c.out.flush()
	}
}

// sendChunk puts the header of a chunk in front of b, and sends it.
func (c *conn) sendChunk(r request, b *buffer, flags, kind uint16) {
	length := len(b.bytes())
	if c.extended {
		p := b.prepend(extReplyHeaderLen)
		binary.BigEndian.PutUint32(p, magicExtReply)
		putChunk(p, r, flags, kind)
		binary.BigEndian.PutUint64(p[16:], r.off)
		binary.BigEndian.PutUint64(p[24:], uint64(length))
	} else {
		p := b.prepend(structuredHeaderLen)
		binary.BigEndian.PutUint32(p, magicStructured)
		putChunk(p, r, flags, kind)
		binary.BigEndian.PutUint32(p[16:], uint32(length))
	}
	c.send(r, b)
}

// putChunk fills what both headers of chunks have in common.
func putChunk(p []byte, r request, flags, kind uint16) {
	binary.BigEndian.PutUint16(p[4:], flags)
	binary.BigEndian.PutUint16(p[6:], kind)
	binary.BigEndian.PutUint64(p[8:], r.cookie)
}

// sendSimple puts a simple reply's header in front of b, and sends it.
func (c *conn) sendSimple(r request, b *buffer, e errno) {
	p := b.prepend(simpleReplyLen)
	binary.BigEndian.PutUint32(p, magicSimpleReply)
	binary.BigEndian.PutUint32(p[4:], uint32(e))
	binary.BigEndian.PutUint64(p[8:], r.cookie)
	c.send(r, b)
}

// succeed replies that a request without data to return is done. A simple
// reply is shorter than a chunk, and may answer all but reads.
func (c *conn) succeed(r request) {
	b, err := c.buffer(0)
	switch {
	case err != nil: // nobody is there to be told
	case c.extended, c.structured && r.kind == cmdRead:
		c.sendChunk(r, b, replyFlagDone, chunkNone)
	default:
		c.sendSimple(r, b, 0)
	}
}

// fail replies that a request failed.
func (c *conn) fail(r request, failure error) {
	e, text := classify(failure)
	if _, refused := failure.(refusal); !refused {
		c.log.Warn("an NBD request failed", "export", c.export.Name, "command", r.kind, "offset", r.off, "length", r.length, "error", failure)
	}
	b, err := c.buffer(0)
	if err != nil {
		return
	}
	if !c.chunked() {
		c.sendSimple(r, b, e)
		return
	}
	p := b.resize(6 + len(text))
	binary.BigEndian.PutUint32(p, uint32(e))
	binary.BigEndian.PutUint16(p[4:], uint16(len(text)))
	copy(p[6:], text)
	c.sendChunk(r, b, replyFlagDone, chunkError)
}
