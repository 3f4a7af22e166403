package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/coder/websocket"

	"github.com/panalvm/panal/api"
)

// maxMessage is the most bytes of one WebSocket message that we send: what a
// server that follows the library's default accepts is twice this.
const maxMessage = 16 << 10

// ConsoleOptions are how to attach to a serial line.
type ConsoleOptions struct {
	Serial     string // the serial line's name; default the first
	Scrollback int    // bytes of earlier output to send first; 0 for the daemon's default, negative for none
}

// Console is a machine's serial line. Reading gives what the guest prints and
// ends with io.EOF when the machine does; writing types. Reading and writing
// can go on at once.
type Console struct {
	ctx     context.Context
	conn    *websocket.Conn
	message io.Reader // what is left of the message being read
}

// Console attaches to a serial line of a running machine. When the context
// ends, so does the console.
func (c *Client) Console(ctx context.Context, reference string, o ConsoleOptions) (*Console, error) {
	query := url.Values{}
	if o.Serial != "" {
		query.Set(api.QuerySerial, o.Serial)
	}
	if o.Scrollback != 0 {
		query.Set(api.QueryScrollback, strconv.Itoa(max(o.Scrollback, 0)))
	}
	conn, err := c.upgrade(ctx, request{operation: api.AttachConsole, reference: reference, query: query})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(maxAnswer) // the scrollback can come as one message
	return &Console{ctx: ctx, conn: conn}, nil
}

// Read reads what the guest printed.
func (s *Console) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			kind, message, err := s.conn.Reader(s.ctx)
			if err != nil {
				return 0, s.ended(err)
			}
			if kind == websocket.MessageBinary {
				s.message = message
			}
			continue
		}
		n, err := s.message.Read(p)
		switch {
		case err == io.EOF:
			s.message, err = nil, nil
		case err != nil:
			err = s.ended(err)
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// ended tells the ordinary end of a console from the others.
func (s *Console) ended(err error) error {
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	closed, ok := errors.AsType[websocket.CloseError](err)
	switch {
	case ok && (closed.Code == websocket.StatusNormalClosure || closed.Code == websocket.StatusGoingAway):
		return io.EOF
	case ok:
		return &api.Problem{Kind: api.KindUnavailable, Detail: fmt.Sprintf("the daemon ended the console: %s", closed.Reason)}
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	}
	return &api.Problem{Kind: api.KindUnavailable, Detail: fmt.Sprintf("the console was cut off: %v", err)}
}

// Write types on the serial line.
func (s *Console) Write(p []byte) (int, error) {
	written := 0
	for len(p) > written {
		part := p[written:min(len(p), written+maxMessage)]
		if err := s.conn.Write(s.ctx, websocket.MessageBinary, part); err != nil {
			return written, s.ended(err)
		}
		written += len(part)
	}
	return written, nil
}

// Resize tells the guest how large the terminal is, if it can be told.
func (s *Console) Resize(rows, columns int) error {
	message, err := json.Marshal(api.ConsoleControl{Rows: rows, Columns: columns})
	if err != nil {
		return err
	}
	if err := s.conn.Write(s.ctx, websocket.MessageText, message); err != nil {
		return s.ended(err)
	}
	return nil
}

// Close detaches. The machine goes on.
func (s *Console) Close() error { return s.conn.CloseNow() }

// Display attaches to a running machine's display. The connection speaks RFB,
// VNC's protocol. When the context ends, so does the connection.
func (c *Client) Display(ctx context.Context, reference string) (net.Conn, error) {
	conn, err := c.upgrade(ctx, request{operation: api.AttachDisplay, reference: reference})
	if err != nil {
		return nil, err
	}
	return &display{websocket.NetConn(ctx, conn, websocket.MessageBinary)}, nil
}

// display is a connection that writes in messages the daemon accepts.
type display struct{ net.Conn }

// Write sends input to the display.
func (d *display) Write(p []byte) (int, error) {
	written := 0
	for len(p) > written {
		n, err := d.Conn.Write(p[written:min(len(p), written+maxMessage)])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Screenshot returns a picture of a running machine's display, as PNG.
func (c *Client) Screenshot(ctx context.Context, reference string) ([]byte, error) {
	body, err := c.open(ctx, request{operation: api.TakeScreenshot, reference: reference, accept: "image/png"})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	picture, err := readAll(body, maxAnswer)
	if err != nil {
		return nil, c.broken(ctx, api.TakeScreenshot, err)
	}
	return picture, nil
}

// LogOptions are which log to read, and how much of it.
type LogOptions struct {
	Name string // qemu (the default) or a serial line's name
	Tail int64  // bytes from the end; 0 for all
}

// Log reads a log of a machine. The caller closes it.
func (c *Client) Log(ctx context.Context, reference string, o LogOptions) (io.ReadCloser, error) {
	query := url.Values{}
	if o.Name != "" {
		query.Set(api.QueryName, o.Name)
	}
	if o.Tail > 0 {
		query.Set(api.QueryTail, strconv.FormatInt(o.Tail, 10))
	}
	return c.open(ctx, request{operation: api.ReadLog, reference: reference, query: query, accept: "text/plain"})
}

// upgrade makes a WebSocket of a request.
func (c *Client) upgrade(ctx context.Context, r request) (*websocket.Conn, error) {
	address, err := target(r)
	if err != nil {
		return nil, err
	}
	conn, _, err := websocket.Dial(context.WithValue(ctx, operationKey{}, r.operation), address, &websocket.DialOptions{
		HTTPClient: c.upgrades,
		HTTPHeader: http.Header{"User-Agent": {c.options.UserAgent}},
	})
	if err != nil {
		return nil, c.unreachable(ctx, r.operation, err)
	}
	return conn, nil
}

// operationKey carries the operation to the transport, for its messages.
type operationKey struct{}

// upgrader makes errors of refused handshakes, with the daemon's whole problem:
// the WebSocket library keeps its first 1024 bytes only.
type upgrader struct{ http.RoundTripper }

// RoundTrip makes the request.
func (u upgrader) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := u.RoundTripper.RoundTrip(request)
	if err != nil || response.StatusCode == http.StatusSwitchingProtocols {
		return response, err
	}
	defer response.Body.Close()
	operation, _ := request.Context().Value(operationKey{}).(api.Operation)
	return nil, readProblem(operation, response)
}
