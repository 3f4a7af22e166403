package nbd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// allocationName is the metadata context that tells data from holes.
const allocationName = "base:allocation"

// maxReplyOption bounds the answer to an option: a server sends names and texts.
const maxReplyOption = 64 << 10

// handshake negotiates what the client uses and chooses the export.
func (c *Client) handshake() error {
	greeting := make([]byte, 18)
	if _, err := io.ReadFull(c.conn, greeting); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(greeting) != magicServer || binary.BigEndian.Uint64(greeting[8:]) != magicOption ||
		binary.BigEndian.Uint16(greeting[16:])&flagFixedNewstyle == 0 {
		return errors.New("this is no NBD server of the fixed newstyle protocol")
	}
	flags := uint32(binary.BigEndian.Uint16(greeting[16:]) & (flagFixedNewstyle | flagNoZeroes))
	if _, err := c.conn.Write(binary.BigEndian.AppendUint32(nil, flags)); err != nil {
		return err
	}
	structured, err := c.ask(optStructuredReply, nil, nil)
	if err != nil {
		return err
	}
	if structured {
		if err := c.askForMap(); err != nil {
			return err
		}
	}
	return c.choose()
}

// askForMap asks for the context that tells data from holes.
func (c *Client) askForMap() error {
	data := putString(putString(nil, c.export, 1), allocationName, 0)
	_, err := c.ask(optSetMetaContext, data, func(kind answer, p []byte) error {
		if kind == repMetaContext && len(p) >= 4 && string(p[4:]) == allocationName {
			c.context, c.hasMap = binary.BigEndian.Uint32(p), true
		}
		return nil
	})
	return err
}

// putString appends a string after its length and, if it is not zero, a number
// after it.
func putString(p []byte, text string, number uint32) []byte {
	p = append(binary.BigEndian.AppendUint32(p, uint32(len(text))), text...)
	if number != 0 {
		p = binary.BigEndian.AppendUint32(p, number)
	}
	return p
}

// choose ends the negotiation with the choice of the export.
func (c *Client) choose() error {
	data := binary.BigEndian.AppendUint16(putString(nil, c.export, 0), 0)
	told := false
	taken, err := c.ask(optGo, data, func(kind answer, p []byte) error {
		if kind != repInfo || len(p) < 2 || binary.BigEndian.Uint16(p) != infoExport {
			return nil
		}
		if len(p) != 12 || binary.BigEndian.Uint64(p[2:]) > math.MaxInt64 {
			return errors.New("the server's description of the export is invalid")
		}
		c.size, told = int64(binary.BigEndian.Uint64(p[2:])), true
		return nil
	})
	switch {
	case err != nil:
		return err
	case !taken:
		return errors.New("the server does not let clients choose by GO")
	case !told:
		return errors.New("the server does not tell the size")
	}
	return nil
}

// ask sends an option and takes the answers, each of which take is given, up to
// the acknowledgement. It is false for an option that the server does not have; other
// refusals are errors.
func (c *Client) ask(o option, data []byte, take func(answer, []byte) error) (bool, error) {
	p := binary.BigEndian.AppendUint64(nil, magicOption)
	p = binary.BigEndian.AppendUint32(p, uint32(o))
	p = binary.BigEndian.AppendUint32(p, uint32(len(data)))
	if _, err := c.conn.Write(append(p, data...)); err != nil {
		return false, err
	}
	for {
		kind, payload, err := c.optionAnswer(o)
		switch {
		case err != nil:
			return false, err
		case kind == repAck:
			return true, nil
		case kind == repErrUnsup:
			return false, nil
		case kind >= repError:
			return false, refusedOption(kind, payload)
		case take == nil:
			return false, fmt.Errorf("the server answers option %d by %d", o, kind)
		}
		if err := take(kind, payload); err != nil {
			return false, err
		}
	}
}

func (c *Client) optionAnswer(o option) (answer, []byte, error) {
	header := make([]byte, 20)
	if _, err := io.ReadFull(c.conn, header); err != nil {
		return 0, nil, err
	}
	if binary.BigEndian.Uint64(header) != magicOptionReply || option(binary.BigEndian.Uint32(header[8:])) != o {
		return 0, nil, errors.New("the server answers what was not asked")
	}
	length := binary.BigEndian.Uint32(header[16:])
	if length > maxReplyOption {
		return 0, nil, fmt.Errorf("the server's answer to option %d has %d bytes", o, length)
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(c.conn, payload)
	return answer(binary.BigEndian.Uint32(header[12:])), payload, err
}

// refusedOption is a server's refusal with its reason, if it gave one.
func refusedOption(kind answer, text []byte) error {
	known := map[answer]string{
		repErrPolicy: "the server does not allow it", repErrTLSReqd: "the server requires TLS", repErrUnknown: "the server has no such export",
	}[kind]
	switch {
	case known == "":
		return fmt.Errorf("the server refused (%#x): %q", uint32(kind), text)
	case len(text) > 0:
		return fmt.Errorf("%s: %q", known, text)
	}
	return errors.New(known)
}
