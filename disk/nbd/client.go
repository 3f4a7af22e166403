package nbd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/panalvm/panal/disk"
)

// Client is an image that a server of this protocol serves, for reading. Any
// number of goroutines may read at once: their requests share the connection
// and are answered in any order. It is a [disk.Mapper] by the context
// base:allocation; of a server that does not offer that, all is data.
type Client struct {
	conn     net.Conn
	export   string
	size     int64
	context  uint32 // the number of base:allocation, once hasMap
	hasMap   bool
	constant bool

	writing sync.Mutex // held while a request is sent

	mu      sync.Mutex // guards what follows; never held during input or output
	pending map[uint64]*exchange
	last    uint64
	failure error
	known   []disk.Extent // what the server said last, of a constant export; ascending
	ended   chan struct{}
}

// ClientOptions say what is wanted of a server.
type ClientOptions struct {
	Export string // "" is the one that servers give without being asked
	// Constant tells that the export's content does not change while the
	// client uses it: then what the server says of extents beyond the one that was asked for
	// is kept and not asked for again.
	Constant bool
}

// maxStatus is the longest range that is asked about at once.
const maxStatus = 1 << 30

// Dial connects to a server at a Unix socket. ctx bounds the connecting and the
// handshake, not the image's life.
func Dial(ctx context.Context, socket string, o ClientOptions) (*Client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to the NBD server: %w", err)
	}
	return NewClient(ctx, conn, o)
}

// NewClient makes an image of a connection on which nothing was read or written yet.
// The connection belongs to the client, and is closed if this fails.
func NewClient(ctx context.Context, conn net.Conn, o ClientOptions) (*Client, error) {
	c := &Client{
		conn: conn, export: o.Export, constant: o.Constant,
		pending: map[uint64]*exchange{}, ended: make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := c.handshake()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, errors.Join(fmt.Errorf("NBD export %q: %w", o.Export, err), ignoreClosed(conn.Close()))
	}
	go c.receive()
	return c, nil
}

// ignoreClosed is nil for a connection that was closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Size is the size of the disk in bytes.
func (c *Client) Size() int64 { return c.size }

// Close ends the connection, and reads in progress with an error.
func (c *Client) Close() error {
	if c.writing.TryLock() { // a courtesy, which nobody answers
		_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.conn.Write(encodeRequest(cmdDisc, 0, 0, 0))
		c.writing.Unlock()
	}
	c.fail(net.ErrClosed)
	<-c.ended
	return nil
}

// ReadAt reads what the server serves.
func (c *Client) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, disk.ErrRange
	}
	short := off >= c.size || int64(len(p)) > c.size-off
	if short {
		p = p[:max(0, min(int64(len(p)), c.size-off))]
	}
	for n < len(p) {
		piece := p[n:min(len(p), n+maxPayload)]
		if err := c.do(&exchange{kind: cmdRead, off: off + int64(n), length: int64(len(piece)), data: piece}); err != nil {
			return n, fmt.Errorf("read NBD export %q at %d: %w", c.export, off+int64(n), err)
		}
		n += len(piece)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// Map tells what the server says of a range.
func (c *Client) Map(off, n int64) (disk.Extent, error) {
	if err := disk.InRange(off, n, c.size); err != nil || n == 0 {
		return disk.Extent{}, errors.Join(err, emptyRange(n))
	}
	if !c.hasMap {
		return disk.Extent{Off: off, Len: n, State: disk.Data}, nil
	}
	if e, ok := c.remembered(off, n); ok {
		return e, nil
	}
	x := &exchange{kind: cmdBlockStatus, off: off, length: min(n, maxStatus)}
	if err := c.do(x); err != nil {
		return disk.Extent{}, fmt.Errorf("ask what NBD export %q has at %d: %w", c.export, off, err)
	}
	if len(x.extents) == 0 {
		return disk.Extent{}, fmt.Errorf("NBD export %q: the server does not say what is at %d", c.export, off)
	}
	if c.constant {
		c.mu.Lock()
		c.known = x.extents
		c.mu.Unlock()
	}
	first := x.extents[0]
	first.Len = min(first.Len, n)
	return first, nil
}

func emptyRange(n int64) error {
	if n == 0 {
		return disk.ErrRange
	}
	return nil
}

// remembered is what the server has said already.
func (c *Client) remembered(off, n int64) (disk.Extent, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.known {
		if off >= e.Off && off < e.End() {
			return disk.Extent{Off: off, Len: min(n, e.End()-off), State: e.State}, true
		}
	}
	return disk.Extent{}, false
}

// exchange is a request and what comes of it. Only the receiving goroutine
// touches it between the sending and done's closing.
type exchange struct {
	kind        command
	off, length int64
	data        []byte        // of a read: where the bytes go
	covered     int64         // of a read: how many have come
	extents     []disk.Extent // of a question for the state
	err         error
	done        chan struct{}
}

// do sends a request and waits for its answer.
func (c *Client) do(x *exchange) error {
	x.done = make(chan struct{})
	cookie, err := c.register(x)
	if err != nil {
		return err
	}
	c.writing.Lock()
	_, err = c.conn.Write(encodeRequest(x.kind, cookie, x.off, x.length))
	c.writing.Unlock()
	if err != nil {
		c.fail(err)
	}
	<-x.done
	return x.err
}

func (c *Client) register(x *exchange) (cookie uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return 0, c.failure
	}
	c.last++
	c.pending[c.last] = x
	return c.last, nil
}

// fail ends the connection, and in time, by the goroutine that receives, everybody
// who waits.
func (c *Client) fail(reason error) {
	c.mu.Lock()
	if c.failure == nil {
		c.failure = fmt.Errorf("the connection to the NBD server has ended: %w", reason)
	}
	c.mu.Unlock()
	_ = c.conn.Close()
}

func encodeRequest(kind command, cookie uint64, off, length int64) []byte {
	p := binary.BigEndian.AppendUint32(make([]byte, 0, requestLen), magicRequest)
	p = binary.BigEndian.AppendUint16(p, 0)
	p = binary.BigEndian.AppendUint16(p, uint16(kind))
	p = binary.BigEndian.AppendUint64(p, cookie)
	p = binary.BigEndian.AppendUint64(p, uint64(off))
	return binary.BigEndian.AppendUint32(p, uint32(length))
}
