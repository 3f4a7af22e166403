package nbd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/panalvm/panal/disk/nbd"
)

// pipes is a listener with one client, which is at the other end of a pipe.
type pipes struct {
	server chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.server:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// feed lets a server hear what a client says, and waits until it is done
// with it. That it ends, without a panic, is the test.
func feed(t *testing.T, m *memory, said []byte) {
	server, err := nbd.New([]nbd.Export{{Image: m}, {Name: "ro", Image: m, ReadOnly: true}}, nbd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	l := &pipes{server: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.server <- theirs
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), l) }()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		io.Copy(io.Discard, ours) //nolint:errcheck // whatever it says
	}()
	ours.Write(said) //nolint:errcheck // it may hang up before the end
	ours.Close()
	<-heard
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func optionBytes(o uint32, data []byte) []byte {
	p := binary.BigEndian.AppendUint32([]byte("IHAVEOPT"), o)
	return append(binary.BigEndian.AppendUint32(p, uint32(len(data))), data...)
}

func FuzzHandshake(f *testing.F) {
	for _, options := range [][]byte{
		nil,
		optionBytes(optList, nil),
		optionBytes(optExportName, []byte("ro")),
		bytes.Join([][]byte{optionBytes(optStructured, nil), optionBytes(optSetMeta, queries("", "base:allocation", "qemu:")), optionBytes(optGo, wants("", 3))}, nil),
		bytes.Join([][]byte{optionBytes(optExtended, nil), optionBytes(optListMeta, queries("ro")), optionBytes(optInfo, wants("ro", 0, 1, 2, 3))}, nil),
		bytes.Join([][]byte{optionBytes(optStartTLS, nil), optionBytes(99, make([]byte, 70_000)), optionBytes(optAbort, nil)}, nil),
	} {
		f.Add(append([]byte{0, 0, 0, 3}, options...))
	}
	m := patterned(64 << 10)
	f.Fuzz(func(t *testing.T, said []byte) { feed(t, m, said) })
}

func FuzzCommands(f *testing.F) {
	for kind := byte(0); kind < 10; kind++ {
		f.Add(kind%3, append(rawRequest(kind, 1, 4096, 8192), make([]byte, 8192)...))
		f.Add(kind%3, append(rawRequest(kind, 1, 1<<63, 1<<31), rawRequest(read, 2, 0, 64<<10)...))
	}
	extended := append([]byte{0x21, 0xe4, 0x1c, 0x71, 0, payloadLen, 0, write}, make([]byte, 8+8)...)
	f.Add(byte(2), append(binary.BigEndian.AppendUint64(extended, 512), make([]byte, 512)...))
	m := chain()
	f.Fuzz(func(t *testing.T, style byte, requests []byte) {
		said := []byte{0, 0, 0, 3}
		if style%3 > 0 {
			said = append(said, optionBytes([]uint32{0, optStructured, optExtended}[style%3], nil)...)
			said = append(said, optionBytes(optSetMeta, queries("", "base:allocation", "qemu:allocation-depth"))...)
		}
		said = append(said, optionBytes(optGo, wants(""))...)
		feed(t, m, append(said, requests...))
	})
}
