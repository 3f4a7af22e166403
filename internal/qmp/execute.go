package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/panalvm/panal/internal/framing"
	"golang.org/x/sys/unix"
)

// call is a command that was sent and not answered yet.
type call struct {
	// reply receives the answer, and is closed without one when the connection
	// ends. It has room for one, so that the reader never waits.
	reply chan message
	// ended, if not nil, runs when the answer came or can no longer come.
	ended func()
}

func (w *call) end() {
	if w.ended != nil {
		w.ended()
	}
	close(w.reply)
}

// Execute runs one command and decodes what QEMU returns into result, unless
// that is nil. arguments are anything that marshals to a JSON object, or nil.
//
// QEMU's refusal is an *Error, a connection that ended is ErrClosed, both with
// the command's name. When ctx ends, so does the wait: the command may have
// been carried out or not, and a late answer is dropped.
func (c *Client) Execute(ctx context.Context, command string, arguments, result any) error {
	sent, err := c.send(ctx, command, arguments, nil)
	if err != nil {
		return err
	}
	return c.wait(ctx, command, sent, result)
}

// Command is one of those that ExecuteAll runs; its parts are what Execute takes.
type Command struct {
	Name      string
	Arguments any
	Result    any
}

// ExecuteAll is Execute for several commands, which QEMU runs in their order, whatever becomes of those before. They are sent
// together, so that it takes no longer than one. The error is that of the first that failed.
func (c *Client) ExecuteAll(ctx context.Context, commands ...Command) error {
	sent := make([]*call, 0, len(commands))
	var failed error
	for _, command := range commands {
		one, err := c.send(ctx, command.Name, command.Arguments, nil)
		if err != nil {
			failed = err
			break
		}
		sent = append(sent, one)
	}
	for i, one := range sent {
		if err := c.wait(ctx, commands[i].Name, one, commands[i].Result); err != nil {
			return err
		}
	}
	return failed
}

// ExecuteWithFile is Execute with a file that goes along, for the commands
// that take one (getfd, add-fd, …). QEMU gets a duplicate: the caller keeps
// and closes file.
func (c *Client) ExecuteWithFile(ctx context.Context, command string, arguments any, file *os.File, result any) error {
	sent, err := c.sendWithFile(ctx, command, arguments, file)
	if err != nil {
		return err
	}
	return c.wait(ctx, command, sent, result)
}

// sendWithFile sends a command with a file, one at a time: QEMU keeps only the
// file that came last, until a command takes it, so a second one must not come
// before the first command's answer. That holds also when nobody waits
// for the answer any more.
func (c *Client) sendWithFile(ctx context.Context, command string, arguments any, file *os.File) (*call, error) {
	socket, ok := c.conn.(*net.UnixConn)
	if !ok {
		return nil, explain(command, ErrNoFiles)
	}
	fd, err := duplicate(file)
	if err != nil {
		return nil, explain(command, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := c.acquire(ctx, c.passing); err != nil {
		return nil, explain(command, err)
	}
	return c.send(ctx, command, arguments, &passed{socket: socket, fd: fd, release: func() { <-c.passing }})
}

// passed is a file on its way.
type passed struct {
	socket *net.UnixConn
	fd     int
	// release lets the next file pass. It must be called once.
	release func()
}

// duplicate returns a descriptor of file that stays open whatever happens to
// file. (File.Fd would make the file blocking, for QEMU and the caller alike.)
func duplicate(file *os.File) (int, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	var fd int
	var dupErr error
	if err := raw.Control(func(from uintptr) {
		fd, dupErr = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, fmt.Errorf("duplicate %s: %w", file.Name(), err)
	}
	return fd, dupErr
}

// send writes one command and registers it for its answer.
func (c *Client) send(ctx context.Context, command string, arguments any, with *passed) (*call, error) {
	waiting := &call{reply: make(chan message, 1)}
	if with != nil {
		waiting.ended = with.release
	}
	id, err := c.register(waiting)
	if err != nil {
		return nil, explain(command, err)
	}
	line, err := encode(id, command, arguments)
	if err != nil {
		c.forget(id)
		return nil, err
	}
	if err := c.write(ctx, line, with); err != nil {
		c.forget(id)
		return nil, explain(command, err)
	}
	return waiting, nil
}

// register gives a call its id.
func (c *Client) register(waiting *call) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		if waiting.ended != nil {
			waiting.ended()
		}
		return 0, c.failure
	}
	c.lastID++
	c.calls[c.lastID] = waiting
	return c.lastID, nil
}

// take removes and returns a call, nil if there is none of that id.
func (c *Client) take(id uint64) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.calls[id]
	delete(c.calls, id)
	return waiting
}

// forget drops a call that was never sent.
func (c *Client) forget(id uint64) {
	if waiting := c.take(id); waiting != nil {
		waiting.end()
	}
}

// settle hands an answer to its call. One that nobody knows is dropped.
func (c *Client) settle(id uint64, m message) {
	if waiting := c.take(id); waiting != nil {
		waiting.reply <- m
		waiting.end()
	}
}

// wait returns a sent command's answer.
func (c *Client) wait(ctx context.Context, command string, sent *call, result any) error {
	select {
	case m, answered := <-sent.reply:
		if !answered {
			return explain(command, c.Err())
		}
		return m.outcome(command, result)
	case <-ctx.Done():
		return explain(command, ctx.Err())
	}
}

// outcome turns an answer into Execute's error and result.
func (m message) outcome(command string, result any) error {
	if m.Error != nil {
		return &Error{Class: m.Error.Class, Desc: m.Error.Desc, Command: command}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(m.Return, result); err != nil {
		return fmt.Errorf("qmp %s: unexpected answer %s: %w", command, abbreviate(m.Return), err)
	}
	return nil
}

// write puts a whole line on the wire, or nothing. A line cut short by ctx
// cannot be completed by the next caller: it ends the connection.
func (c *Client) write(ctx context.Context, line []byte, with *passed) error {
	if err := c.acquire(ctx, c.writing); err != nil {
		return err
	}
	defer func() { <-c.writing }()
	written := 0
	err := framing.Within(ctx, c.conn.SetWriteDeadline, func() (err error) {
		if with != nil {
			// What fits of the line goes with the file, the rest follows.
			written, _, err = with.socket.WriteMsgUnix(line, unix.UnixRights(with.fd), nil)
		}
		if err == nil && written < len(line) {
			var rest int
			rest, err = c.conn.Write(line[written:])
			written += rest
		}
		return err
	})
	if err == nil {
		return nil
	}
	if written > 0 {
		c.fail(fmt.Errorf("command cut short after %d of %d bytes: %w", written, len(line), err))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) {
		return c.Err() // who closed the connection knows why
	}
	// The reader goes on: QEMU's last words may still lie in the socket.
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

// acquire puts a token into a channel that holds one, unless ctx or the
// connection ends first.
func (c *Client) acquire(ctx context.Context, token chan<- struct{}) error {
	select {
	case token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.Err()
	}
}

// explain adds the command's name to an error.
func explain(command string, err error) error {
	return fmt.Errorf("qmp %s: %w", command, err)
}
