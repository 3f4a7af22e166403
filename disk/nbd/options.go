package nbd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// padding is what follows EXPORT_NAME's reply unless it was negotiated away
// (proto, "Fixed newstyle negotiation").
const padding = 124

// option answers one option. An error ends the session.
func (c *conn) option(ctx context.Context, o received) error {
	if !c.fixed && o.option != optExportName {
		return fmt.Errorf("option %d of a client that does not speak fixed newstyle", o.option)
	}
	if c.server.options.TLS == TLSRequire && !c.encrypted {
		return c.optionBeforeTLS(ctx, o)
	}
	switch o.option {
	case optExportName:
		return c.exportName(o)
	case optAbort:
		return c.abort(o)
	case optList:
		return c.list(o)
	case optStartTLS:
		return c.startTLS(ctx, o)
	case optInfo, optGo:
		return c.info(o)
	case optStructuredReply:
		return c.structuredReply(o)
	case optExtendedHeaders:
		return c.extendedHeaders(o)
	case optListMetaContext, optSetMetaContext:
		return c.metaContexts(o)
	}
	return c.refuse(o, repErrUnsup, "unknown option")
}

// optionBeforeTLS answers while nothing but TLS is allowed.
func (c *conn) optionBeforeTLS(ctx context.Context, o received) error {
	switch o.option {
	case optStartTLS:
		return c.startTLS(ctx, o)
	case optAbort:
		return c.abort(o)
	case optExportName:
		return errors.New("the client wants an export without TLS, which this server requires")
	}
	return c.refuse(o, repErrTLSReqd, "this server requires TLS")
}

func (c *conn) abort(o received) error {
	c.answer(o, repAck, nil)
	c.sendAnswers() //nolint:errcheck // the client may have gone already, and may do so
	return errAborted
}

// list names the exports.
func (c *conn) list(o received) error {
	if len(o.data) != 0 {
		return c.refuse(o, repErrInvalid, "LIST takes no data")
	}
	for _, e := range c.server.exports {
		data := binary.BigEndian.AppendUint32(nil, uint32(len(e.Name)))
		data = append(data, e.Name...)
		c.answer(o, repServer, append(data, e.Description...))
		if len(c.answers) > maxAnswers {
			if err := c.sendAnswers(); err != nil {
				return err
			}
		}
	}
	return c.acknowledge(o)
}

func (c *conn) structuredReply(o received) error {
	switch {
	case len(o.data) != 0:
		return c.refuse(o, repErrInvalid, "STRUCTURED_REPLY takes no data")
	case c.extended:
		return c.refuse(o, repErrExtHeader, "extended headers are in use already")
	}
	c.structured = true
	return c.acknowledge(o)
}

func (c *conn) extendedHeaders(o received) error {
	if len(o.data) != 0 {
		return c.refuse(o, repErrInvalid, "EXTENDED_HEADERS takes no data")
	}
	c.extended = true
	return c.acknowledge(o)
}

// exportName chooses an export in the old way, which cannot say no.
func (c *conn) exportName(o received) error {
	e := find(c.server.exports, string(o.data))
	if e == nil {
		return fmt.Errorf("there is no export %.80q", o.data)
	}
	if c.extended {
		return errors.New("EXPORT_NAME with extended headers, which the protocol forbids")
	}
	c.choose(e)
	c.answers = binary.BigEndian.AppendUint64(c.answers, uint64(c.told))
	c.answers = binary.BigEndian.AppendUint16(c.answers, e.flags(c.chunked()))
	if c.zeroes {
		c.answers = append(c.answers, make([]byte, padding)...)
	}
	return nil
}

// info tells about an export, and chooses it if the option is GO.
func (c *conn) info(o received) error {
	name, wanted, ok := parseInfo(o.data)
	if !ok {
		return c.refuse(o, repErrInvalid, "the option's lengths do not add up")
	}
	e := find(c.server.exports, name)
	if e == nil {
		return c.refuse(o, repErrUnknown, "there is no export of this name")
	}
	size := e.Image.Size()
	c.answer(o, repInfo, exportInfo(size, e.flags(c.chunked())))
	if slices.Contains(wanted, infoName) {
		c.answer(o, repInfo, append(binary.BigEndian.AppendUint16(nil, infoName), e.Name...))
	}
	if slices.Contains(wanted, infoDescription) && e.Description != "" {
		c.answer(o, repInfo, append(binary.BigEndian.AppendUint16(nil, infoDescription), e.Description...))
	}
	if slices.Contains(wanted, infoBlockSize) {
		c.answer(o, repInfo, blockSizeInfo(e.preferred))
	}
	if o.option == optGo {
		c.choose(e)
		c.told = size
	}
	return c.acknowledge(o)
}

func exportInfo(size int64, flags uint16) []byte {
	data := binary.BigEndian.AppendUint16(nil, infoExport)
	data = binary.BigEndian.AppendUint64(data, uint64(size))
	return binary.BigEndian.AppendUint16(data, flags)
}

func blockSizeInfo(preferred uint32) []byte {
	data := binary.BigEndian.AppendUint16(nil, infoBlockSize)
	data = binary.BigEndian.AppendUint32(data, 1)
	data = binary.BigEndian.AppendUint32(data, preferred)
	return binary.BigEndian.AppendUint32(data, maxPayload)
}

// parseInfo reads the data of INFO and GO: a name, and numbers of what is
// wanted.
func parseInfo(data []byte) (name string, wanted []uint16, ok bool) {
	name, data, ok = cutString(data)
	if !ok || len(data) < 2 {
		return "", nil, false
	}
	n := int(binary.BigEndian.Uint16(data))
	data = data[2:]
	if len(data) != 2*n {
		return "", nil, false
	}
	for ; n > 0; n-- {
		wanted = append(wanted, binary.BigEndian.Uint16(data))
		data = data[2:]
	}
	return name, wanted, true
}

// cutString reads a length of four bytes and that many bytes.
func cutString(data []byte) (text string, rest []byte, ok bool) {
	if len(data) < 4 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(data)
	data = data[4:]
	if uint64(n) > uint64(len(data)) || n > maxString {
		return "", nil, false
	}
	return string(data[:n]), data[n:], true
}

// choose ends the handshake. The client counts as a user before it is told.
func (c *conn) choose(e *export) {
	e.users.Add(1)
	c.export, c.told = e, e.Image.Size()
	if c.named != e.Name {
		c.contexts = nil // they were asked for another export
	}
}
