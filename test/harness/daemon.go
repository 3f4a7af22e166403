package harness

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Daemon is a daemon that was started by a test.
type Daemon struct {
	PID   int
	ended chan struct{} // closed when it has ended
	err   error         // how; valid then
}

// Log is the file with what started daemons of this home have said.
func (h *Home) Log() string { return filepath.Join(h.Dir, "started.log") }

// Start starts a daemon and waits until it answers. Faults is a plan for it in
// the language of internal/fault, usually empty.
func (h *Home) Start(program, faults string, environment ...string) (*Daemon, error) {
	log, err := os.OpenFile(h.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	said, says, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer said.Close()
	command := exec.Command(program, "daemon")
	command.Env = append(os.Environ(), h.Env()...)
	command.Env = append(command.Env, "PATH="+Path(program), "PANAL_READY_FD=3", "PANAL_FAULT="+faults)
	command.Env = append(command.Env, environment...)
	command.Dir, command.Stderr, command.ExtraFiles = "/", log, []*os.File{says}
	command.WaitDelay = time.Second
	err = command.Start()
	_ = says.Close() // so that reading ends when the daemon does
	if err != nil {
		return nil, err
	}
	d := &Daemon{PID: command.Process.Pid, ended: make(chan struct{})}
	go func() {
		d.err = command.Wait()
		close(d.ended)
	}()
	return d, d.ready(said)
}

// ready reads the one line that a starting daemon writes.
func (d *Daemon) ready(said *os.File) error {
	line, err := bufio.NewReader(said).ReadString('\n')
	if why, found := strings.CutPrefix(line, "error: "); found {
		<-d.ended
		return errors.New(strings.TrimSpace(why))
	}
	if line != "ready\n" {
		<-d.ended
		return fmt.Errorf("the daemon ended before it was ready: %w", errors.Join(err, d.err))
	}
	return nil
}

// Ended is closed when the daemon has ended.
func (d *Daemon) Ended() <-chan struct{} { return d.ended }

// Killed reports, once it has ended, whether SIGKILL ended it.
func (d *Daemon) Killed() bool {
	<-d.ended
	var exit *exec.ExitError
	if !errors.As(d.err, &exit) {
		return false
	}
	status, ok := exit.Sys().(interface{ Signal() unix.Signal })
	return ok && status.Signal() == unix.SIGKILL
}

// Stop ends the daemon as an administrator would.
func (d *Daemon) Stop() error {
	if err := unix.Kill(d.PID, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	select {
	case <-d.ended:
		return d.err
	case <-time.After(stopWithin):
		return fmt.Errorf("%w: the daemon, after SIGTERM", ErrLives)
	}
}

// Kill ends the daemon with SIGKILL.
func (d *Daemon) Kill() {
	_ = unix.Kill(d.PID, unix.SIGKILL)
	<-d.ended
}
