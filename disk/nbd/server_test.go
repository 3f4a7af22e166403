package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow makes reads of more than a granule wait until open is called.
func slow(m *memory) (waits chan struct{}, open func()) {
	gate := make(chan struct{})
	waits = make(chan struct{}, 1000)
	m.set(func(m *memory) { m.gate, m.waits = gate, waits })
	return waits, sync.OnceFunc(func() { close(gate) })
}

// What is in flight when the server closes is finished and answered, and the
// image is synced; what comes later is not begun.
func TestCloseFinishesWhatIsInFlight(t *testing.T) {
	m := patterned(4 << 20)
	server, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	c := connect(t, socket, optStructured)
	waits, open := slow(m)
	defer open()
	cookie := c.request(read, 0, 0, 1<<20, nil)
	<-waits

	closed := make(chan error, 1)
	go func() { closed <- server.Close() }()
	late, err := net.Dial("unix", socket) // refused as soon as the listener is closed
	for ; err == nil; late, err = net.Dial("unix", socket) {
		if _, err := io.Copy(io.Discard, late); err != nil && !isReset(err) {
			t.Error(err)
		}
		late.Close()
	}
	select {
	case err := <-closed:
		t.Fatalf("closed with a read in flight: %v", err)
	default:
	}
	open()
	k := c.next(0)
	if k.cookie != cookie || !bytes.Equal(k.data, pattern(0, 1<<20)) {
		t.Errorf("the read was answered with %d bytes, errno %d", len(k.data), k.errno)
	}
	c.closed()
	if err := <-closed; err != nil || m.synced == 0 {
		t.Errorf("closed: %v, synced %d times", err, m.synced)
	}
	if err := server.Serve(context.Background(), &net.UnixListener{}); !errors.Is(err, nbd.ErrServerClosed) {
		t.Errorf("serving again: %v", err)
	}
}

// watched is a connection that tells when the server sets how long writing may
// take, as it does when it closes.
type watched struct {
	net.Conn
	limited chan struct{}
}

func (w watched) SetWriteDeadline(when time.Time) error {
	w.limited <- struct{}{}
	return w.Conn.SetWriteDeadline(when)
}

// oneClient is a listener with a single client.
type oneClient struct {
	net.Listener
	clients chan net.Conn
}

func (o oneClient) Accept() (net.Conn, error) {
	select {
	case c := <-o.clients:
		return c, nil
	default:
		return o.Listener.Accept()
	}
}

// Requests that were read together with the one in flight get ESHUTDOWN.
func TestCloseAnswersWhatItHasRead(t *testing.T) {
	m := patterned(4 << 20)
	server, err := nbd.New([]nbd.Export{{Image: m}}, nbd.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(testenv.SocketDir(t), "nbd")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan *client, 1)
	go func() { dialled <- begin(t, socket) }()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	limited, clients := make(chan struct{}, 10), make(chan net.Conn, 1)
	clients <- watched{accepted, limited}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), oneClient{l, clients}) }()

	c := <-dialled
	c.goTo("")
	waits, open := slow(m)
	defer open()
	var burst bytes.Buffer
	for cookie := range uint64(20) {
		burst.Write(rawRequest(read, cookie, 0, 1<<20))
	}
	c.put(burst.Bytes())
	<-waits // the first; the reader waits for the worker with the second, and has the others
	closed := make(chan error, 1)
	go func() { closed <- server.Close() }()
	<-limited
	open()
	answered := map[uint32]int{}
	for range 20 {
		answered[c.next(1<<20).errno]++
	}
	if answered[0] < 1 || answered[eshutdown] < 17 || answered[0]+answered[eshutdown] != 20 {
		t.Errorf("answers by errno: %v", answered)
	}
	c.closed()
	if err := errors.Join(<-closed, <-ended); err != nil {
		t.Error(err)
	}
}

func rawRequest(kind byte, cookie, off uint64, length uint32) []byte {
	p := []byte{0x25, 0x60, 0x95, 0x13, 0, 0, 0, kind}
	for _, v := range []uint64{cookie, off} {
		for i := 56; i >= 0; i -= 8 {
			p = append(p, byte(v>>i))
		}
	}
	return append(p, byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
}

// The end of the context ends one Serve, and leaves others alone.
func TestContextEndsServe(t *testing.T) {
	m := patterned(8192)
	server, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	over, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	if _, err := io.ReadFull(over, make([]byte, 18)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n, err := over.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the client was not disconnected: %d, %v", n, err)
	}
	if got, _, e := connect(t, socket).read(0, 0, 512); e != 0 || !bytes.Equal(got, pattern(0, 512)) {
		t.Errorf("the other listener: errno %d", e)
	}
}

// lingering is a listener that has something left to do when Accept is woken.
type lingering struct {
	net.Listener
	woken, leave chan struct{}
}

func (l *lingering) Close() error {
	err := l.Listener.Close()
	close(l.woken)
	<-l.leave
	return err
}

// Who serves may end the program when Serve returns: the listener is closed by then.
func TestServeReturnsWhenItsListenerIsClosed(t *testing.T) {
	server, err := nbd.New([]nbd.Export{{Image: patterned(512)}}, nbd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("unix", filepath.Join(testenv.SocketDir(t), "nbd"))
	if err != nil {
		t.Fatal(err)
	}
	l := &lingering{inner, make(chan struct{}), make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	cancel()
	<-l.woken
	select {
	case err := <-ended:
		t.Errorf("it returned while its listener was being closed: %v", err)
		close(l.leave)
	case <-time.After(50 * time.Millisecond): // what would return at once has returned
		close(l.leave)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A client that takes no replies does not keep the server from closing.
func TestCloseDoesNotWaitForTheDeaf(t *testing.T) {
	m := patterned(32 << 20)
	server, socket := serve(t, nbd.Options{DrainTimeout: 50 * time.Millisecond}, nbd.Export{Image: m})
	c := connect(t, socket, optStructured)
	for range 100 {
		c.request(read, 0, 0, 32<<20, nil)
	}
	c.next(0)
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}

// A slow request does not hold up quick ones of the same connection, and
// replies come in the order in which they are ready.
func TestRequestsRunAtOnce(t *testing.T) {
	m := patterned(4 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	c := connect(t, socket, optStructured)
	waits, open := slow(m)
	defer open()
	const large = 8
	for range large {
		c.request(read, 0, 0, 1<<20, nil)
	}
	for range large { // all of them are being read
		<-waits
	}
	if got, _, e := c.read(0, 512, 512); e != 0 || !bytes.Equal(got, pattern(512, 512)) {
		t.Errorf("the small read: errno %d", e)
	}
	open()
	for range large {
		if k := c.next(0); !bytes.Equal(k.data, pattern(0, 1<<20)) {
			t.Errorf("request %d: other content", k.cookie)
		}
	}
}

// A write of which a part came is not done in part.
func TestClientDiesInTheMiddleOfAWrite(t *testing.T) {
	m := patterned(4 << 20)
	server, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	for range 8 {
		c := connect(t, socket)
		c.request(write, 0, 0, 1<<20, make([]byte, 700<<10))
		c.Close()
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if len(m.writes) != 0 || !bytes.Equal(m.content(), pattern(0, 4<<20)) {
		t.Errorf("writes of %v bytes were done", m.writes)
	}
}

// A client that sends requests and listens to none of the replies is served no
// further than its memory goes.
func TestMemoryIsBounded(t *testing.T) {
	m := patterned(32 << 20)
	waits, open := slow(m)
	defer open()
	_, socket := serve(t, nbd.Options{Workers: 64}, nbd.Export{Image: m})
	c := connect(t, socket)
	for range 10 {
		c.request(read, 0, 0, 32<<20, nil)
	}
	<-waits
	<-waits
	other := connect(t, socket) // which is served meanwhile
	if _, _, e := other.read(0, 0, 512); e != 0 {
		t.Errorf("errno %d", e)
	}
	select {
	case <-waits:
		t.Error("three reads of 32 MiB are in flight in 64 MiB")
	default:
	}
	open()
	for range 10 {
		if k := c.next(32 << 20); k.errno != 0 {
			t.Errorf("errno %d", k.errno)
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	_, socket := serve(t, nbd.Options{MaxConnections: 2}, nbd.Export{Image: patterned(512)})
	first := connect(t, socket)
	connect(t, socket)
	third, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if n, err := third.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the third was let in: %d, %v", n, err)
	}
	first.request(disc, 0, 0, 0, nil)
	first.closed()
}

func TestSixteenConnections(t *testing.T) {
	const share = 1 << 20
	m := newMemory(16 * share)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	var all sync.WaitGroup
	for i := range uint64(16) {
		c := connect(t, socket, optStructured)
		all.Go(func() {
			for off := i * share; off < (i+1)*share; off += 64 << 10 {
				if e := c.do(write, 0, off, 64<<10, pattern(int(off), 64<<10)); e != 0 {
					t.Errorf("write: errno %d", e)
				}
				if got, _, e := c.read(0, off, 64<<10); e != 0 || !bytes.Equal(got, pattern(int(off), 64<<10)) {
					t.Errorf("read at %d: errno %d, or other content", off, e)
				}
			}
		})
	}
	all.Wait()
	if !bytes.Equal(m.content(), pattern(0, 16*share)) {
		t.Error("other content")
	}
}

// brokenListener fails once as a system without file descriptors does, and then for good.
type brokenListener struct {
	net.Listener
	errs []error
}

func (b *brokenListener) Accept() (net.Conn, error) {
	err := b.errs[0]
	b.errs = b.errs[1:]
	return nil, err
}

func TestListenerThatFails(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(testenv.SocketDir(t), "nbd"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := nbd.New([]nbd.Export{{Image: patterned(512)}}, nbd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broken := &brokenListener{l, []error{errNoFiles, io.ErrUnexpectedEOF}}
	if err := server.Serve(context.Background(), broken); !errors.Is(err, io.ErrUnexpectedEOF) || len(broken.errs) != 0 {
		t.Errorf("%v, with %d errors left", err, len(broken.errs))
	}
}

// Nothing that a client sends is taken for a request when it is none.
func TestNonsenseEndsTheSession(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: patterned(512)})
	for _, options := range styles {
		c := connect(t, socket, options...)
		c.put(make([]byte, 32))
		c.closed()
	}
}
