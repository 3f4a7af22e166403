package nbd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// inputBuffer holds a burst of requests, or of small writes; the data of large
// writes goes past it.
const inputBuffer = 32 << 10

// session is what was negotiated.
type session struct {
	structured bool // chunks are sent
	extended   bool // headers are the extended ones, and chunks are sent
	named      string
	contexts   []metaContext // of the export called named
}

// chunked tells whether replies may be several chunks.
func (s session) chunked() bool { return s.structured || s.extended }

// conn is one client.
type conn struct {
	server    *Server
	raw       net.Conn // what was accepted
	stream    net.Conn // raw, or TLS over it
	in        *bufio.Reader
	out       *output
	log       *slog.Logger
	answers   []byte // of the handshake, not sent yet
	encrypted bool
	fixed     bool // the client speaks fixed newstyle
	zeroes    bool // the client wants the padding behind EXPORT_NAME's reply
	session
	export *export
	told   int64 // the size that the client was told; grows when it makes the disk larger

	memory  *semaphore.Weighted // bytes that may still be taken
	work    chan request        // to workers that wait
	workers int                 // how many were started
	working sync.WaitGroup
	pace    pace
	gone    context.Context // ends when nobody waits for replies any more
	leave   context.CancelFunc

	mu      sync.Mutex
	closing bool // the server is: no request is begun any more
}

func newConn(s *Server, accepted net.Conn) *conn {
	c := &conn{
		server: s, raw: accepted, memory: semaphore.NewWeighted(s.options.Memory), work: make(chan request),
		log: s.options.Log.With("client", accepted.RemoteAddr()),
	}
	c.attach(accepted)
	return c
}

// attach makes stream what is read from and written to.
func (c *conn) attach(stream net.Conn) {
	c.stream = stream
	c.in = bufio.NewReaderSize(stream, inputBuffer)
	c.out = &output{to: stream, discard: c.discard, failed: c.hangUp}
}

// run serves the client until it leaves or ctx is done.
func (c *conn) run(ctx context.Context) {
	// The request that is being worked on when the server closes is finished:
	// it is not ctx that it ends with.
	c.gone, c.leave = context.WithCancel(context.WithoutCancel(ctx))
	defer c.leave()
	defer context.AfterFunc(ctx, c.close)()
	defer func() {
		if c.export != nil {
			c.export.users.Add(-1)
		}
		c.stream.Close() //nolint:errcheck // all that matters was sent or has failed
	}()

	err := c.handshake(ctx)
	if err == nil {
		err = c.transmit()
	}
	switch {
	case err == nil, errors.Is(err, errAborted), errors.Is(err, io.EOF), c.isClosing():
		c.log.Debug("an NBD client left")
	default:
		c.log.Warn("disconnected an NBD client", "error", err)
	}
}

// close lets no more requests in; what is in flight has until DrainTimeout.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	now := time.Now()
	c.raw.SetReadDeadline(now)                                     //nolint:errcheck // a dead connection needs no deadline
	c.raw.SetWriteDeadline(now.Add(c.server.options.DrainTimeout)) //nolint:errcheck // likewise
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// limit sets how long the handshake may take; 0 is as long as it wants. Of a
// server that is closing the end is set already.
func (c *conn) limit(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	if d == 0 {
		return c.raw.SetDeadline(time.Time{})
	}
	return c.raw.SetDeadline(time.Now().Add(d))
}

// hangUp is called when nothing can be sent any more: what waits for the
// client or works for it alone should end.
func (c *conn) hangUp(err error) {
	c.log.Debug("cannot send to an NBD client", "error", err)
	c.leave()
	c.raw.Close() //nolint:errcheck // it is broken
}

// buffer gives memory for n bytes, waiting until the client has taken enough
// of what it was sent. It fails when the client is gone. Whoever holds a buffer must
// not ask for another, or two may wait for each other.
func (c *conn) buffer(n int) (*buffer, error) {
	size := int64(sizeFor(n))
	if !c.memory.TryAcquire(size) {
		c.out.flush()
		if err := c.memory.Acquire(c.gone, size); err != nil {
			return nil, err
		}
	}
	return c.server.buffers.get(n), nil
}

// discard takes a buffer back.
func (c *conn) discard(b *buffer) {
	size := int64(b.size())
	c.server.buffers.put(b)
	c.memory.Release(size)
}
