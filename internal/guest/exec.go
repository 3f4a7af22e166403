package guest

import (
	"context"
	"fmt"
	"time"
)

// pollFirst and pollMost are the first and the longest pause between asking
// whether a program has ended: the agent does not report it by itself.
const (
	pollFirst = 20 * time.Millisecond
	pollMost  = time.Second
)

// Command is a program to run in the guest, with the agent's rights.
type Command struct {
	// Path is the program's name, looked up in the agent's PATH.
	Path string
	// Args are its arguments, without its own name.
	Args []string
	// Env are its environment's "name=value"; none means the agent's own.
	Env []string
	// Input is given to it as standard input.
	Input []byte
}

// Result is how a program ended.
type Result struct {
	// ExitCode is its exit status, -1 if a signal ended it.
	ExitCode int
	// Signal is the signal (or Windows exception) that ended it, or 0.
	Signal int
	// Stdout and Stderr are what it wrote, cut off at 16 MiB each.
	Stdout, Stderr []byte
	// Truncated tells that either was cut off.
	Truncated bool
}

// Process is a program running in the guest.
type Process struct {
	// PID is its process id there.
	PID    int
	client *Client
}

// Start starts a program and returns while it runs. Its output is kept until
// its Status was asked for after its end.
func (c *Client) Start(ctx context.Context, command Command) (*Process, error) {
	arguments := struct {
		Path    string   `json:"path"`
		Args    []string `json:"arg,omitempty"`
		Env     []string `json:"env,omitempty"`
		Input   []byte   `json:"input-data,omitempty"`
		Capture bool     `json:"capture-output"`
	}{command.Path, command.Args, command.Env, command.Input, true}
	var started struct {
		PID int `json:"pid"`
	}
	if err := c.Call(ctx, "guest-exec", arguments, &started); err != nil {
		return nil, err
	}
	return &Process{PID: started.PID, client: c}, nil
}

// Status returns how the program ended, or nil while it runs. It answers
// once: the agent then forgets the program.
func (p *Process) Status(ctx context.Context) (*Result, error) {
	var status struct {
		Exited       bool   `json:"exited"`
		ExitCode     *int   `json:"exitcode"`
		Signal       int    `json:"signal"`
		Out          []byte `json:"out-data"`
		Err          []byte `json:"err-data"`
		OutTruncated bool   `json:"out-truncated"`
		ErrTruncated bool   `json:"err-truncated"`
	}
	x := exchange{command: "guest-exec-status", arguments: map[string]any{"pid": p.PID}, result: &status, limit: maxOutput}
	if err := p.client.call(ctx, x); err != nil || !status.Exited {
		return nil, err
	}
	result := &Result{
		ExitCode: -1, Signal: status.Signal, Stdout: status.Out, Stderr: status.Err,
		Truncated: status.OutTruncated || status.ErrTruncated,
	}
	if status.ExitCode != nil {
		result.ExitCode = *status.ExitCode
	}
	return result, nil
}

// Wait returns how the program ended, when it has. It lasts as long as ctx
// allows; the program runs on when ctx ends.
func (p *Process) Wait(ctx context.Context) (*Result, error) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for next := pollFirst; ; next = min(2*next, pollMost) {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for process %d in guest: %w", p.PID, ctx.Err())
		}
		result, err := p.Status(ctx)
		if result != nil || err != nil {
			return result, err
		}
		pause.Reset(next)
	}
}

// Exec runs a program in the guest to its end. A program that ends with
// another status than 0 is no error.
func (c *Client) Exec(ctx context.Context, command Command) (*Result, error) {
	process, err := c.Start(ctx, command)
	if err != nil {
		return nil, err
	}
	return process.Wait(ctx)
}
