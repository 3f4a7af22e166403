package nbd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of what a client may send before it has chosen an export.
const (
	maxOptions    = 1024      // options in a handshake
	maxOptionData = 64 << 10  // bytes of an option that are looked at
	maxSkipped    = 256 << 10 // bytes of an option that are read over; beyond, the client is disconnected
	maxAnswers    = 64 << 10  // bytes of answers that are kept before they are sent
)

// errAborted ends a handshake as the client wished.
var errAborted = errors.New("the client ended the handshake")

// received is an option as it came.
type received struct {
	option option
	data   []byte
}

// handshake speaks with the client until it has chosen an export.
func (c *conn) handshake(ctx context.Context) error {
	if err := c.limit(c.server.options.HandshakeTimeout); err != nil {
		return err
	}
	if err := c.greet(); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	for range maxOptions {
		o, err := c.readOption()
		if err != nil {
			return fmt.Errorf("read an option: %w", err)
		}
		if err := c.option(ctx, o); err != nil {
			return err
		}
		if err := c.sendAnswers(); err != nil {
			return fmt.Errorf("answer option %d: %w", o.option, err)
		}
		if c.export != nil {
			return c.limit(0)
		}
	}
	return fmt.Errorf("the client sent %d options and chose no export", maxOptions)
}

// greet sends what the server is, and reads what the client is.
func (c *conn) greet() error {
	hello := binary.BigEndian.AppendUint64(nil, magicServer)
	hello = binary.BigEndian.AppendUint64(hello, magicOption)
	hello = binary.BigEndian.AppendUint16(hello, flagFixedNewstyle|flagNoZeroes)
	if _, err := c.stream.Write(hello); err != nil {
		return err
	}
	var reply [4]byte
	if _, err := io.ReadFull(c.in, reply[:]); err != nil {
		return err
	}
	flags := binary.BigEndian.Uint32(reply[:])
	if flags&^(flagFixedNewstyle|flagNoZeroes) != 0 {
		return fmt.Errorf("the client sets unknown flags: %#x", flags)
	}
	c.fixed = flags&flagFixedNewstyle != 0
	c.zeroes = flags&flagNoZeroes == 0
	return nil
}

// readOption reads the next option. One that is longer than any can be is read
// over and answered.
func (c *conn) readOption() (received, error) {
	for range maxOptions {
		var header [optionHeaderLen]byte
		if _, err := io.ReadFull(c.in, header[:]); err != nil {
			return received{}, err
		}
		o, length, err := parseOption(header)
		if err != nil {
			return received{}, err
		}
		if length <= maxOptionData {
			o.data = make([]byte, length)
			_, err := io.ReadFull(c.in, o.data)
			return o, err
		}
		if err := c.skipOption(o, length); err != nil {
			return received{}, err
		}
	}
	return received{}, errors.New("the client sends nothing but options that are too long")
}

// parseOption reads an option's header.
func parseOption(header [optionHeaderLen]byte) (received, uint32, error) {
	if magic := binary.BigEndian.Uint64(header[:]); magic != magicOption {
		return received{}, 0, fmt.Errorf("an option begins with %#x", magic)
	}
	o := received{option: option(binary.BigEndian.Uint32(header[8:]))}
	return o, binary.BigEndian.Uint32(header[12:]), nil
}

// skipOption reads over an option's data and says that it is too long.
func (c *conn) skipOption(o received, length uint32) error {
	if length > maxSkipped || o.option == optExportName {
		return fmt.Errorf("option %d has %d bytes", o.option, length)
	}
	if _, err := c.in.Discard(int(length)); err != nil {
		return err
	}
	if err := c.refuse(o, repErrTooBig, "the option is too long"); err != nil {
		return err
	}
	return c.sendAnswers()
}

// answer appends a reply to an option; sendAnswers sends it.
func (c *conn) answer(o received, kind answer, data []byte) {
	c.answers = binary.BigEndian.AppendUint64(c.answers, magicOptionReply)
	c.answers = binary.BigEndian.AppendUint32(c.answers, uint32(o.option))
	c.answers = binary.BigEndian.AppendUint32(c.answers, uint32(kind))
	c.answers = binary.BigEndian.AppendUint32(c.answers, uint32(len(data)))
	c.answers = append(c.answers, data...)
}

// acknowledge answers that all is well.
func (c *conn) acknowledge(o received) error {
	c.answer(o, repAck, nil)
	return nil
}

// refuse answers with an error; the client may go on.
func (c *conn) refuse(o received, kind answer, why string) error {
	c.log.Debug("refused an NBD option", "option", o.option, "why", why)
	c.answer(o, kind, []byte(why))
	return nil
}

// sendAnswers sends what was answered.
func (c *conn) sendAnswers() error {
	if len(c.answers) == 0 {
		return nil
	}
	_, err := c.stream.Write(c.answers)
	c.answers = c.answers[:0]
	return err
}
