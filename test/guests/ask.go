package guests

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// ErrRefused is returned by Agent.Ask when the guest answered with an error.
var ErrRefused = errors.New("the guest refused")

// Agent is the host's end of a line to a tiny guest's agent. It is for one goroutine at a time.
type Agent struct {
	conn    net.Conn
	replies *bufio.Reader
}

// NewAgent takes over a connection to the second serial line, a virtio console or a virtio serial port. Ask nothing
// before the guest has printed UpLine: a serial port loses what comes before somebody listens.
func NewAgent(conn net.Conn) *Agent { return &Agent{conn: conn, replies: bufio.NewReader(conn)} }

// UpLine is what a tiny guest prints on its console once its agent listens.
const UpLine = "panal-tiny: up"

// Ask sends a request and returns the lines of the answer, or an ErrRefused with the guest's reason. After the
// context's end, or another error, the line is out of step and of no more use.
func (a *Agent) Ask(ctx context.Context, request string) ([]string, error) {
	stop := context.AfterFunc(ctx, func() { a.conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // it cannot fail
	defer stop()
	if _, err := io.WriteString(a.conn, request+"\n"); err != nil {
		return nil, a.failed(ctx, request, err)
	}
	var lines []string
	for {
		line, err := a.replies.ReadString('\n')
		if err != nil {
			return lines, a.failed(ctx, request, err)
		}
		line = strings.TrimRight(line, "\r\n")
		if text, ok := strings.CutPrefix(line, " "); ok {
			lines = append(lines, text)
			continue
		}
		if line == "ok" {
			return lines, nil
		}
		return lines, fmt.Errorf("ask the guest for %q: %w: %s", request, ErrRefused, strings.TrimPrefix(line, "error "))
	}
}

// failed prefers the context's reason to the one that the closed line gives.
func (a *Agent) failed(ctx context.Context, request string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("ask the guest for %q: %w", request, err)
}

// Close closes the connection.
func (a *Agent) Close() error { return a.conn.Close() }
