package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/internal/paths"
)

// envReady tells a daemon which file descriptor somebody reads its readiness
// from.
const envReady = "PANAL_READY_FD"

// launch starts a daemon and returns when it answers. Of several command lines
// that find no daemon at once, one starts it and the others wait for it.
func (a *app) launch(ctx context.Context, p paths.Paths) error {
	if err := p.Make(); err != nil {
		return err
	}
	lock, err := lockFile(ctx, filepath.Join(p.Runtime, "start.lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if listens(p) {
		return nil
	}
	if isTerminal(a.err) {
		a.note("starting the daemon …")
	}
	return spawn(ctx, p)
}

// lockFile takes an exclusive lock, for as long as the file is open. A lock
// beats a pid file here because the kernel lets go of it with the process.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() {
		locked <- ignoreInterrupts(func() error { return unix.Flock(int(file.Fd()), unix.LOCK_EX) })
	}()
	select {
	case err = <-locked:
	case <-ctx.Done():
		return nil, ctx.Err() // the process ends, and with it the lock
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

// ignoreInterrupts repeats a system call that a signal broke off.
func ignoreInterrupts(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// spawn runs this program as a daemon in a session of its own, so that neither
// ^C nor the terminal's end reaches it, and reads whether it is ready.
func spawn(ctx context.Context, p paths.Paths) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(p.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the daemon's log: %w", err)
	}
	defer log.Close()
	logged, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("read the daemon's log: %w", err)
	}
	said, says, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	daemon := &exec.Cmd{
		Path:        program,
		Args:        []string{os.Args[0], "daemon"},
		Env:         append(os.Environ(), envReady+"=3"),
		Dir:         "/",
		Stdout:      log,
		Stderr:      log,
		ExtraFiles:  []*os.File{says},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = daemon.Start()
	says.Close() // so that reading ends when the daemon does
	if err != nil {
		return fmt.Errorf("run %s daemon: %w", program, err)
	}
	stop := context.AfterFunc(ctx, func() { said.Close() })
	defer stop()
	if err := readReady(said, p.Log, logged); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return daemon.Process.Release()
}

// readReady reads the one line that a starting daemon writes. If there is none,
// what it wrote to the log, beyond what was logged before, says more.
func readReady(from io.Reader, log string, logged int64) error {
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(from, most))
	if err != nil {
		return err
	}
	line, _, whole := strings.Cut(string(text), "\n")
	why, isError := strings.CutPrefix(line, "error: ")
	switch {
	case line == "ready" && whole:
		return nil
	case isError:
		return errors.New(why)
	}
	if last := lastLine(log, logged); last != "" {
		return fmt.Errorf("it ended before it was ready: %s (its log is %s)", last, log)
	}
	return fmt.Errorf("it ended before it was ready (its log is %s)", log)
}

// lastLine is the last line of a log beyond an offset, or nothing.
func lastLine(path string, after int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	const most = 4 << 10
	if info, err := file.Stat(); err == nil {
		after = max(after, info.Size()-most)
	}
	text, _ := io.ReadAll(io.NewSectionReader(file, after, most))
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}
