// Package keycommand runs the commands that print the passphrases of encrypted disks: one that a person
// names to the command line, and one that a drive names to the daemon.
//
// What such a command prints may be the key, so it comes into no error, no log and no
// argument; and it gets so much time and no more, for something waits for it.
package keycommand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/panalvm/panal/disk/luks"
)

const (
	// Within is how long a command may take that asks nobody.
	Within = 30 * time.Second
	// WithinAsking is how long one may take that somebody at a terminal answers.
	WithinAsking = 5 * time.Minute
	// linger is how long a process that the command leaves behind may keep its output open.
	linger = time.Second
)

// Options say how a command is run.
type Options struct {
	Within time.Duration // after which it is killed
	Stdin  io.Reader     // nil for nothing to read
	Stderr io.Writer     // nil to drop what it says there
	// Apart runs it in a process group of its own, in /, so that all that it starts is killed with it. It
	// can then ask nothing on the terminal.
	Apart bool
}

// Run runs a shell command and is the first line that it prints: a passphrase.
func Run(ctx context.Context, command string, o Options) ([]byte, error) {
	limit, cancel := context.WithTimeout(ctx, o.Within)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(limit, "/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = o.Stdin, &limited{&out, luks.MaxPassphrase + 2}, o.Stderr, linger
	if o.Apart {
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	}
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case limit.Err() != nil:
		return nil, fmt.Errorf("the key command did not end within %v, and was killed", o.Within)
	case errors.Is(err, exec.ErrWaitDelay): // it has ended, and what it started has not
	case err != nil:
		return nil, fmt.Errorf("the key command: %w", err)
	}
	return FirstLine(out.Bytes(), "the key command's output")
}

// FirstLine is the passphrase in what a file or a command gave; from names that in errors.
func FirstLine(text []byte, from string) ([]byte, error) {
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	line = bytes.TrimSuffix(line, []byte{'\r'})
	switch {
	case len(line) == 0:
		return nil, fmt.Errorf("the first line of %s is empty, and should be a passphrase", from)
	case len(line) > luks.MaxPassphrase:
		return nil, fmt.Errorf("the first line of %s is longer than a passphrase can be, which is %d bytes", from, luks.MaxPassphrase)
	}
	return line, nil
}

// limited passes on the first bytes and drops the others.
type limited struct {
	w    io.Writer
	left int
}

// Write passes on what there is room for.
func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
