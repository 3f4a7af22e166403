package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/panalvm/panal/internal/framing"
)

const (
	// DefaultTimeout bounds a call whose context has no deadline.
	DefaultTimeout = 10 * time.Second

	// delimiter cannot occur in JSON: it begins anew in either direction.
	delimiter = 0xff

	// maxAnswer bounds an ordinary answer.
	maxAnswer = 4 << 20
	// maxOutput bounds the answer that carries a program's output: the agent
	// itself keeps at most 16 MiB of each of two streams, sent in base64.
	maxOutput = 48 << 20
)

// Client is a connection to one guest's agent. Its methods may be called from
// any number of goroutines; the agent does one thing at a time, so calls wait
// for each other, no longer than their context.
type Client struct {
	conn  net.Conn
	lines *framing.Reader
	// busy holds one token: who has it talks to the agent.
	busy chan struct{}
}

// New returns a Client on a connection to the agent's port, which belongs to
// it from now on. Nothing is sent yet: whether an agent answers, Ping tells.
func New(conn net.Conn) *Client {
	return &Client{conn: conn, lines: framing.NewReader(conn), busy: make(chan struct{}, 1)}
}

// Dial connects to the agent's port at a Unix socket.
func Dial(ctx context.Context, socketPath string) (*Client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socketPath)
	if err != nil {
		return nil, fmt.Errorf("connect to guest agent: %w", err)
	}
	return New(conn), nil
}

// Close ends the connection, and calls in progress with ErrClosed.
func (c *Client) Close() error {
	return c.conn.Close()
}

// Call runs one command and decodes what the agent returns into result, unless
// that is nil. arguments are anything that marshals to a JSON object, or nil.
//
// The agent's refusal is an *Error. A call that ctx's deadline, or
// DefaultTimeout without one, cuts short is ErrUnresponsive, one that ctx's
// cancelling does is context.Canceled; the guest may carry such a command out
// nevertheless.
func (c *Client) Call(ctx context.Context, command string, arguments, result any) error {
	return c.call(ctx, exchange{command: command, arguments: arguments, result: result, limit: maxAnswer})
}

// exchange is one command and what is expected of it.
type exchange struct {
	command   string
	arguments any
	result    any
	// limit is the most bytes the answer may have.
	limit int
	// silent tells that success has no answer.
	silent bool
}

type request struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
}

type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

// call takes the agent for one exchange.
func (c *Client) call(ctx context.Context, x exchange) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	select {
	case c.busy <- struct{}{}:
		defer func() { <-c.busy }()
	case <-ctx.Done():
		return explain(ctx, x.command, ctx.Err())
	}
	err := framing.Within(ctx, c.conn.SetDeadline, func() error {
		if err := c.synchronize(); err != nil {
			return err
		}
		return c.exchange(x)
	})
	return explain(ctx, x.command, err)
}

// withDeadline gives ctx the default deadline if it has none.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// synchronize makes sure that an agent answers, and that its next answer will
// be to our next command.
func (c *Client) synchronize() error {
	// Agents before QEMU 8 take ids of 63 bits, JSON's numbers keep 53.
	id := rand.Int64N(1 << 53)
	// The delimiter clears away half a command an earlier call left behind.
	if err := c.send([]byte{delimiter}, "guest-sync-delimited", map[string]any{"id": id}); err != nil {
		return err
	}
	for {
		if err := c.lines.SkipPast(delimiter); err != nil {
			return err
		}
		a, err := c.receive(maxAnswer)
		if errors.Is(err, ErrProtocol) || err == nil && !a.returns(id) {
			// Left over from a call that was cut short, or from an agent that
			// complained of the delimiter: ours is still to come.
			continue
		}
		return err
	}
}

func (a answer) returns(id int64) bool {
	var got int64
	return a.Error == nil && json.Unmarshal(a.Return, &got) == nil && got == id
}

// exchange sends a command and takes its answer.
func (c *Client) exchange(x exchange) error {
	if err := c.send(nil, x.command, x.arguments); err != nil || x.silent {
		return err
	}
	a, err := c.receive(x.limit)
	if err != nil {
		return err
	}
	if a.Error != nil {
		return &Error{Class: a.Error.Class, Desc: a.Error.Desc, Command: x.command}
	}
	if x.result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Return, x.result); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

func (c *Client) send(prefix []byte, command string, arguments any) error {
	line, err := json.Marshal(request{Execute: command, Arguments: arguments})
	if err != nil {
		return fmt.Errorf("encode arguments: %w", err)
	}
	_, err = c.conn.Write(append(append(prefix, line...), '\n'))
	return err
}

// receive reads one line, which must be an answer.
func (c *Client) receive(limit int) (answer, error) {
	line, err := c.lines.Line(limit)
	if errors.Is(err, framing.ErrTooLong) {
		return answer{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if err != nil {
		return answer{}, err
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if (a.Return == nil) == (a.Error == nil) {
		return answer{}, fmt.Errorf("%w: neither result nor error", ErrProtocol)
	}
	return a, nil
}

// explain adds the command's name to an error and puts it in this package's
// terms.
func explain(ctx context.Context, command string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*Error)):
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		err = context.Canceled
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: is it installed and running in the guest?", ErrUnresponsive)
	case isEnd(err):
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return fmt.Errorf("%s: %w", command, err)
}

// isEnd tells whether err is that of a connection that is no more.
func isEnd(err error) bool {
	return errors.As(err, new(*net.OpError)) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}
