package guest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/panalvm/panal/internal/framing"
)

// Ping tells whether an agent answers.
func (c *Client) Ping(ctx context.Context) error {
	return c.Call(ctx, "guest-ping", nil, nil)
}

// Ways to shut a guest down.
const (
	PowerDown = "powerdown"
	Halt      = "halt"
	Reboot    = "reboot"
)

// shutdownGrace is how long Shutdown listens for a refusal: an agent the
// shutdown has already ended says nothing more.
const shutdownGrace = 3 * time.Second

// Shutdown asks the guest's system to shut down in one of the ways above. It
// returns when the agent has accepted; that the guest is off, QEMU reports.
func (c *Client) Shutdown(ctx context.Context, mode string) error {
	const command = "guest-shutdown"
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	select {
	case c.busy <- struct{}{}:
		defer func() { <-c.busy }()
	case <-ctx.Done():
		return explain(ctx, command, ctx.Err())
	}
	err := framing.Within(ctx, c.conn.SetDeadline, func() error {
		if err := c.synchronize(); err != nil {
			return err
		}
		return c.exchange(exchange{command: command, arguments: map[string]any{"mode": mode}, silent: true})
	})
	if err != nil {
		return explain(ctx, command, err)
	}
	return explain(ctx, command, c.listenForRefusal(ctx, command))
}

// listenForRefusal finds out what became of a command whose success has no
// answer: whatever comes before the answer to a second command is a refusal.
func (c *Client) listenForRefusal(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	var refused *Error
	err := framing.Within(ctx, c.conn.SetDeadline, func() error {
		return c.exchange(exchange{command: "guest-ping", limit: maxAnswer})
	})
	if errors.As(err, &refused) {
		refused.Command = command
		return refused
	}
	// Silence, or the connection's end, is what a shutdown looks like.
	return nil
}

// FSFreeze makes the file systems of the guest consistent on disk and stops
// writing to them until FSThaw; it returns how many. While frozen the agent
// serves little else. Freezing may take long where much is to be written.
func (c *Client) FSFreeze(ctx context.Context) (int, error) {
	var n int
	err := c.Call(ctx, "guest-fsfreeze-freeze", nil, &n)
	return n, err
}

// FSThaw lets writing go on, and returns how many file systems were frozen.
func (c *Client) FSThaw(ctx context.Context) (int, error) {
	var n int
	err := c.Call(ctx, "guest-fsfreeze-thaw", nil, &n)
	return n, err
}

// FSFrozen tells whether file systems are frozen.
func (c *Client) FSFrozen(ctx context.Context) (bool, error) {
	var status string
	if err := c.Call(ctx, "guest-fsfreeze-status", nil, &status); err != nil {
		return false, err
	}
	switch status {
	case "thawed":
		return false, nil
	case "frozen":
		return true, nil
	default:
		return false, fmt.Errorf("guest-fsfreeze-status: %w: %q", ErrProtocol, status)
	}
}

// Trimmed is what became of one file system that was to discard what it does not use.
type Trimmed struct {
	Path  string `json:"path"`    // where it is mounted
	Bytes int64  `json:"trimmed"` // how much it says that it discarded
	Error string `json:"error"`   // why it could not
}

// FSTrim has the guest's file systems discard what they do not use, and tells for each what
// came of it. That takes as long as the disks take: give ctx a deadline by which it should be over. The guest goes on
// with it also when the call has been cut short.
func (c *Client) FSTrim(ctx context.Context) ([]Trimmed, error) {
	var done struct {
		Paths []Trimmed `json:"paths"`
	}
	err := c.Call(ctx, "guest-fstrim", nil, &done)
	return done.Paths, err
}

// SetTime sets the guest's clock; the zero time has it take its hardware
// clock's, as after a restored state.
func (c *Client) SetTime(ctx context.Context, t time.Time) error {
	if t.IsZero() {
		return c.Call(ctx, "guest-set-time", nil, nil)
	}
	return c.Call(ctx, "guest-set-time", map[string]any{"time": t.UnixNano()}, nil)
}

// SetVCPUs brings CPUs up or takes them down, by their IDs among VCPUs.
func (c *Client) SetVCPUs(ctx context.Context, cpus []VCPU) error {
	type change struct {
		ID     int  `json:"logical-id"`
		Online bool `json:"online"`
	}
	for len(cpus) > 0 {
		changes := make([]change, 0, len(cpus))
		for _, cpu := range cpus {
			changes = append(changes, change{cpu.ID, cpu.Online})
		}
		var done int
		if err := c.Call(ctx, "guest-set-vcpus", map[string]any{"vcpus": changes}, &done); err != nil {
			return err
		}
		if done <= 0 || done > len(cpus) {
			return fmt.Errorf("guest-set-vcpus: %w: %d of %d changed", ErrProtocol, done, len(cpus))
		}
		cpus = cpus[done:] // it stops at the first that it cannot change, and says why at the next call
	}
	return nil
}
