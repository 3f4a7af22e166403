package qmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/panalvm/panal/internal/framing"
)

// Client is one connection to QEMU's monitor. Its methods may be called from
// any number of goroutines. Close must be called in the end, also when QEMU
// ended the connection.
type Client struct {
	conn     net.Conn
	lines    *framing.Reader
	greeting Version
	events   *eventQueue
	done     chan struct{}

	// writing holds one token: who has it writes. A channel and not a mutex,
	// because waiting for it ends with a context.
	writing chan struct{}
	// passing holds one token: who has it may send a file. See sendWithFile.
	passing chan struct{}
	// drawing holds one token: who has it may use canvas.
	drawing chan struct{}
	canvas  *canvas

	// mu is never held during input or output.
	mu      sync.Mutex
	calls   map[uint64]*call
	lastID  uint64
	failure error
}

// Dial connects to the monitor at socketPath and makes it ready for commands.
// ctx bounds connecting and the wait for QEMU's greeting, which comes only
// when QEMU has been set up and no other connection is being served. It does
// not bound the Client's life.
func Dial(ctx context.Context, socketPath string) (*Client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socketPath)
	if err != nil {
		return nil, fmt.Errorf("connect to qemu: %w", err)
	}
	return New(ctx, conn)
}

// New makes a Client of a connection on which nothing was read or written
// yet. The connection belongs to the Client, and is closed if New fails. ctx
// bounds New as it does Dial.
func New(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{
		conn:    conn,
		lines:   framing.NewReader(conn),
		events:  newEventQueue(),
		done:    make(chan struct{}),
		writing: make(chan struct{}, 1),
		passing: make(chan struct{}, 1),
		drawing: make(chan struct{}, 1),
		calls:   map[uint64]*call{},
	}
	if err := framing.Within(ctx, conn.SetReadDeadline, c.readGreeting); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("wait for qemu's greeting: %w", preferContext(ctx, err))
	}
	go c.read()
	go c.events.deliver()
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) readGreeting() error {
	line, err := c.lines.Line(maxLine)
	if err != nil {
		return lineError(err)
	}
	c.greeting, err = decodeGreeting(line)
	return err
}

// Greeting returns the version QEMU introduced itself with.
func (c *Client) Greeting() Version {
	return c.greeting
}

// Done is closed when the connection has ended: at once when QEMU dies.
// Events that came before may still be waiting in Events.
func (c *Client) Done() <-chan struct{} {
	return c.done
}

// Err returns nil while the connection stands, then why it ended: an error
// that is ErrClosed, and io.EOF when QEMU ended it, net.ErrClosed when Close
// did, ErrProtocol when QEMU misbehaved.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// Close ends the connection; QEMU runs on. Calls in progress end with
// ErrClosed, events nobody read yet are dropped. Closing twice is harmless.
func (c *Client) Close() error {
	c.fail(net.ErrClosed)
	<-c.done
	c.events.abandon()
	c.dropCanvas()
	return nil
}

func (c *Client) dropCanvas() {
	c.drawing <- struct{}{}
	defer func() { <-c.drawing }()
	if c.canvas != nil {
		c.canvas.close()
		c.canvas = nil
	}
}

// read takes in what QEMU sends until the connection ends.
func (c *Client) read() {
	defer close(c.done)
	defer c.events.end()
	for {
		if err := c.readMessage(); err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *Client) readMessage() error {
	line, err := c.lines.Line(maxLine)
	if err != nil {
		return lineError(err)
	}
	m, err := decode(line)
	if err != nil {
		return err
	}
	switch {
	case m.Greeting != nil:
		return fmt.Errorf("%w: second greeting", ErrProtocol)
	case m.Event != "":
		return c.events.put(m.event())
	default:
		c.settle(*m.ID, m)
		return nil
	}
}

// fail ends the connection for the reason given, if nothing ended it before,
// and everybody who waits for a reply with it.
func (c *Client) fail(reason error) {
	c.mu.Lock()
	first := c.failure == nil
	if first {
		c.failure = fmt.Errorf("%w: %w", ErrClosed, reason)
	}
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	if first {
		_ = c.conn.Close()
	}
	for _, waiting := range calls {
		waiting.end()
	}
}

// lineError names a stream's end and an overlong line in QMP's terms.
func lineError(err error) error {
	switch {
	case errors.Is(err, framing.ErrTooLong):
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("qemu ended the connection within a message: %w", io.EOF)
	case errors.Is(err, syscall.ECONNRESET):
		// The kernel's word for an end with something of ours unread, even the
		// newline after "quit".
		return fmt.Errorf("qemu ended the connection: %w", io.EOF)
	default:
		return err
	}
}

// preferContext returns the context's error, if it has one, in the place of
// the timeout it caused.
func preferContext(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
