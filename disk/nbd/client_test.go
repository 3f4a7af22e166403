package nbd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/testenv"
)

// Numbers of the protocol, written out again: a wrong one in the server must
// not be wrong here as well.
const (
	optExportName, optAbort, optList, optStartTLS, optInfo, optGo = 1, 2, 3, 5, 6, 7
	optStructured, optListMeta, optSetMeta, optExtended           = 8, 9, 10, 11

	repAck, repServer, repInfo, repMeta                                    = 1, 2, 3, 4
	errUnsup, errPolicy, errInvalid, errTLSReqd, errUnknown, errTooBig     = 1<<31 + 1, 1<<31 + 2, 1<<31 + 3, 1<<31 + 5, 1<<31 + 6, 1<<31 + 9
	read, write, disc, flush, trim, cache, zeroes, status, resize          = 0, 1, 2, 3, 4, 5, 6, 7, 8
	fua, noHole, df, reqOne, fastZero, payloadLen                          = 1, 2, 4, 8, 16, 32
	eperm, eio, enomem, einval, enospc, eoverflow, enotsup, eshutdown      = 1, 5, 12, 22, 28, 75, 95, 108
	chunkNone, chunkData, chunkHole, chunkStatus, chunkStatusExt, chunkErr = 0, 1, 2, 5, 6, 1<<15 + 1
)

// serve starts a server, which ends with the test, and returns it with the
// path of its socket.
func serve(t testing.TB, o nbd.Options, exports ...nbd.Export) (server *nbd.Server, socket string) {
	t.Helper()
	server, err := nbd.New(exports, o)
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(testenv.SocketDir(t), "nbd")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		server.Close() //nolint:errcheck // some tests' images fail
		<-ended
	})
	return server, socket
}

// client is a bare client: it sends what it is told to, right or wrong.
type client struct {
	t testing.TB
	net.Conn
	structured, extended bool
	cookie               uint64
}

// dial connects and reads the server's greeting.
func dial(t testing.TB, socket string) *client {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, Conn: conn}
	if hello := c.take(18); string(hello) != "NBDMAGICIHAVEOPT\x00\x03" {
		t.Fatalf("greeting %q", hello)
	}
	return c
}

// begin dials and sets both flags.
func begin(t testing.TB, socket string) *client {
	c := dial(t, socket)
	c.put(uint32(3))
	return c
}

// connect negotiates an export with what was asked for.
func connect(t testing.TB, socket string, options ...uint32) *client {
	t.Helper()
	c := begin(t, socket)
	for _, o := range options {
		c.option(o, nil)
		if kind, text := c.reply(o); kind != repAck {
			t.Fatalf("option %d: %#x %s", o, kind, text)
		}
		c.structured = c.structured || o == optStructured
		c.extended = c.extended || o == optExtended
	}
	if c.structured || c.extended {
		c.option(optSetMeta, queries("", "base:allocation", "qemu:allocation-depth"))
		for kind := uint32(0); kind != repAck; {
			kind, _ = c.reply(optSetMeta)
		}
	}
	c.goTo("")
	return c
}

// goTo chooses an export and returns size and flags.
func (c *client) goTo(name string) (size uint64, flags uint16) {
	c.t.Helper()
	c.option(optGo, wants(name))
	kind, info := c.reply(optGo)
	if kind != repInfo || len(info) != 12 {
		c.t.Fatalf("GO: %#x %q", kind, info)
	}
	if kind, text := c.reply(optGo); kind != repAck {
		c.t.Fatalf("GO: %#x %s", kind, text)
	}
	return binary.BigEndian.Uint64(info[2:]), binary.BigEndian.Uint16(info[10:])
}

// wants is the data of INFO and GO.
func wants(name string, infos ...uint16) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
	p = binary.BigEndian.AppendUint16(append(p, name...), uint16(len(infos)))
	for _, i := range infos {
		p = binary.BigEndian.AppendUint16(p, i)
	}
	return p
}

// queries is the data of the options for metadata contexts.
func queries(name string, list ...string) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
	p = binary.BigEndian.AppendUint32(append(p, name...), uint32(len(list)))
	for _, q := range list {
		p = append(binary.BigEndian.AppendUint32(p, uint32(len(q))), q...)
	}
	return p
}

func (c *client) put(values ...any) {
	c.t.Helper()
	var b bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&b, binary.BigEndian, v); err != nil {
			c.t.Fatal(err)
		}
	}
	if _, err := c.Write(b.Bytes()); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) take(n int) []byte {
	c.t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(c, p); err != nil {
		c.t.Fatalf("receive %d bytes: %v", n, err)
	}
	return p
}

// closed waits for the server to disconnect.
func (c *client) closed() {
	c.t.Helper()
	if n, err := io.Copy(io.Discard, c); n != 0 || err != nil && !errors.Is(err, io.EOF) && !isReset(err) {
		c.t.Fatalf("%d bytes and %v instead of an end", n, err)
	}
}

func (c *client) option(o uint32, data []byte) {
	c.t.Helper()
	c.put(uint64(0x49484156454f5054), o, uint32(len(data)), data)
}

func (c *client) reply(o uint32) (kind uint32, data []byte) {
	c.t.Helper()
	p := c.take(20)
	if binary.BigEndian.Uint64(p) != 0x3e889045565a9 || binary.BigEndian.Uint32(p[8:]) != o {
		c.t.Fatalf("reply to option %d: % x", o, p)
	}
	return binary.BigEndian.Uint32(p[12:]), c.take(int(binary.BigEndian.Uint32(p[16:])))
}

// request sends a request and returns its cookie.
func (c *client) request(kind, flags uint16, off, length uint64, data []byte) uint64 {
	c.t.Helper()
	c.cookie++
	if c.extended {
		if kind == write {
			flags |= payloadLen
		}
		c.put(uint32(0x21e41c71), flags, kind, c.cookie, off, length, data)
	} else {
		c.put(uint32(0x25609513), flags, kind, c.cookie, off, uint32(length), data)
	}
	return c.cookie
}

// chunk is a part of a reply; a simple reply is one, too.
type chunk struct {
	simple bool
	done   bool
	kind   uint16
	cookie uint64
	errno  uint32
	off    uint64
	length uint64
	data   []byte
	list   []span
	id     uint32
}

// span is a descriptor of BLOCK_STATUS.
type span struct {
	n    uint64
	flag uint64
}

// next receives a reply's next chunk; n is how much data a simple reply brings.
func (c *client) next(n int) chunk {
	c.t.Helper()
	magic := binary.BigEndian.Uint32(c.take(4))
	switch {
	case magic == 0x67446698 && !c.extended:
		p := c.take(12)
		k := chunk{simple: true, done: true, errno: binary.BigEndian.Uint32(p), cookie: binary.BigEndian.Uint64(p[4:])}
		if k.errno == 0 && n > 0 {
			k.data = c.take(n)
		}
		return k
	case magic == 0x668e33ef && c.structured && !c.extended:
		p := c.take(16)
		return c.content(p, int(binary.BigEndian.Uint32(p[12:])))
	case magic == 0x6e8a278c && c.extended:
		p := c.take(28)
		return c.content(p, int(binary.BigEndian.Uint64(p[20:])))
	}
	c.t.Fatalf("a reply begins with %#x", magic)
	panic("not reached")
}

func (c *client) content(header []byte, n int) chunk {
	c.t.Helper()
	k := chunk{
		done: header[1] == 1, kind: binary.BigEndian.Uint16(header[2:]),
		cookie: binary.BigEndian.Uint64(header[4:]),
	}
	p := c.take(n)
	switch k.kind {
	case chunkNone:
	case chunkData:
		k.off, k.data = binary.BigEndian.Uint64(p), p[8:]
		k.length = uint64(len(k.data))
	case chunkHole:
		k.off, k.length = binary.BigEndian.Uint64(p), uint64(binary.BigEndian.Uint32(p[8:]))
		k.data = make([]byte, k.length)
	case chunkErr:
		k.errno = binary.BigEndian.Uint32(p)
		if text := p[6:]; int(binary.BigEndian.Uint16(p[4:])) != len(text) {
			c.t.Fatalf("error with text % x", p)
		}
	case chunkStatus:
		for k.id, p = binary.BigEndian.Uint32(p), p[4:]; len(p) > 0; p = p[8:] {
			k.list = append(k.list, span{uint64(binary.BigEndian.Uint32(p)), uint64(binary.BigEndian.Uint32(p[4:]))})
		}
	case chunkStatusExt:
		count := int(binary.BigEndian.Uint32(p[4:]))
		for k.id, p = binary.BigEndian.Uint32(p), p[8:]; len(p) > 0; p = p[16:] {
			k.list = append(k.list, span{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])})
		}
		if count != len(k.list) {
			c.t.Fatalf("%d descriptors, said to be %d", len(k.list), count)
		}
	default:
		c.t.Fatalf("a chunk of type %d", k.kind)
	}
	return k
}

// do sends a request and returns its errno.
func (c *client) do(kind, flags uint16, off, length uint64, data []byte) uint32 {
	c.t.Helper()
	cookie := c.request(kind, flags, off, length, data)
	k := c.next(0)
	if k.cookie != cookie || !k.done || len(k.data) > 0 {
		c.t.Fatalf("reply %+v to request %d", k, cookie)
	}
	return k.errno
}

// read reads a range, and returns the chunks as well.
func (c *client) read(flags uint16, off, length uint64) ([]byte, []chunk, uint32) {
	c.t.Helper()
	cookie := c.request(read, flags, off, length, nil)
	p := make([]byte, length)
	var chunks []chunk
	covered := uint64(0)
	for {
		k := c.next(int(length))
		if k.cookie != cookie {
			c.t.Fatalf("reply to %d, asked was %d", k.cookie, cookie)
		}
		if k.simple {
			return k.data, []chunk{k}, k.errno
		}
		if k.errno != 0 {
			return nil, append(chunks, k), k.errno
		}
		if k.kind != chunkNone {
			if k.off < off || k.off+k.length > off+length || k.length == 0 {
				c.t.Fatalf("chunk [%d,+%d) of [%d,+%d)", k.off, k.length, off, length)
			}
			copy(p[k.off-off:], k.data)
			covered += k.length
			chunks = append(chunks, k)
		}
		if k.done {
			break
		}
	}
	if covered != length {
		c.t.Fatalf("%d bytes of %d came", covered, length)
	}
	return p, chunks, 0
}

// status asks for extents, by context.
func (c *client) status(flags uint16, off, length uint64) map[uint32][]span {
	c.t.Helper()
	c.request(status, flags, off, length, nil)
	all := map[uint32][]span{}
	for {
		k := c.next(0)
		if k.errno != 0 {
			c.t.Fatalf("block status: error %d", k.errno)
		}
		all[k.id] = k.list
		if k.done {
			return all
		}
	}
}

func (s span) String() string { return fmt.Sprintf("%d:%d", s.n, s.flag) }
