// Package process starts programs that outlive the daemon, and finds them
// again. A program runs in its own session, so no signal meant for the daemon
// reaches it; it is held by a pidfd, so no signal meant for it can ever reach
// another program that got its number later.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrGone is a process that has ended.
var ErrGone = errors.New("the process has ended")

// Identity is the user that a program runs as.
type Identity struct {
	Name   string
	UID    uint32
	GID    uint32
	Groups []uint32
}

// Credential is the identity as the kernel wants it.
func (i *Identity) Credential() *syscall.Credential {
	return &syscall.Credential{Uid: i.UID, Gid: i.GID, Groups: i.Groups}
}

// Spec is a program to start.
type Spec struct {
	Path  string
	Args  []string   // without the program's name
	Files []*os.File // the program's descriptors from 3 on; nil entries are closed there
	Log   *os.File   // its standard output and error
	Dir   string     // its working directory
	User  *Identity  // nil for the daemon's own
	Name  string     // what it is called in lists of processes; "" for its path
	Lock  bool       // it may lock any amount of memory, or as much as the daemon may
}

// Process is a program that runs, or ran.
type Process struct {
	PID   int
	pidfd *os.File
	child *exec.Cmd // nil when somebody else's child
	done  chan struct{}
	how   error // set before done is closed
}

// Start starts a program. It does not end when the daemon does.
func Start(spec Spec) (*Process, error) {
	command := exec.Command(spec.Path, spec.Args...)
	if spec.Name != "" {
		command.Args[0] = spec.Name
	}
	command.ExtraFiles = spec.Files
	command.Stdout, command.Stderr = spec.Log, spec.Log
	command.Dir = spec.Dir
	command.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if spec.User != nil {
		command.SysProcAttr.Credential = spec.User.Credential()
	}
	start := command.Start
	if spec.Lock {
		start = func() error { return withLocks(command.Start) }
	}
	if err := start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Path, err)
	}
	p := &Process{PID: command.Process.Pid, child: command, done: make(chan struct{})}
	// A child that nobody has waited for keeps its number, so this is the child.
	if err := p.hold(); err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		return nil, err
	}
	go p.watch()
	return p, nil
}

// Find holds a process that is running already, if its command line contains
// mark; otherwise its number belongs to another one by now, and it is ErrGone.
func Find(pid int, mark string) (*Process, error) {
	p := &Process{PID: pid, done: make(chan struct{})}
	if err := p.hold(); err != nil {
		return nil, err
	}
	// The number is read after the process is held: what is read is about it.
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || !bytes.Contains(line, []byte(mark)) {
		_ = p.pidfd.Close()
		return nil, ErrGone
	}
	go p.watch()
	return p, nil
}

// Handle is a handle of the process that another program can be given, which
// makes a Process of it by [Held]. The caller closes it.
func (p *Process) Handle() (*os.File, error) {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return nil, ErrGone
	}
	var copied int
	var failed error
	if err := conn.Control(func(fd uintptr) {
		copied, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return nil, ErrGone
	}
	if failed != nil {
		return nil, fmt.Errorf("copy the handle of process %d: %w", p.PID, failed)
	}
	return os.NewFile(uintptr(copied), "pidfd"), nil
}

// Held is the process of a handle that was handed over as a file descriptor,
// which belongs to it then. Its PID is not known, and nothing is of how it ends.
func Held(handle uintptr) *Process {
	_ = unix.SetNonblock(int(handle), true) // as hold has it; on its way it may have lost that
	p := &Process{pidfd: os.NewFile(handle, "pidfd"), done: make(chan struct{})}
	go p.watch()
	return p
}

// HasEnded tells whether the process has ended by now, also when Done is not
// closed yet.
func (p *Process) HasEnded() bool {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return true
	}
	over := false
	err = conn.Control(func(fd uintptr) { over = ended(fd) })
	return err != nil || over
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// How tells how the process ended, once it has: nil for success, or what is
// known of the failure. For a process that was found, nothing is known.
func (p *Process) How() error {
	<-p.done
	return p.how
}

// Wait waits until the process has ended.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Signal sends a signal; to a process that has ended it is ErrGone.
func (p *Process) Signal(signal syscall.Signal) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return ErrGone
	}
	var sent error
	if err := conn.Control(func(fd uintptr) {
		sent = unix.PidfdSendSignal(int(fd), signal, nil, 0)
	}); err != nil || errors.Is(sent, unix.ESRCH) {
		return ErrGone
	}
	return sent
}

// Kill ends the process at once and waits until it has ended.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, ErrGone) {
		return fmt.Errorf("end process %d: %w", p.PID, err)
	}
	return p.Wait(ctx)
}

func (p *Process) hold() error {
	// Non-blocking, so that Go's poller waits for it and no thread does.
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	if err != nil {
		return fmt.Errorf("hold process %d: %w", p.PID, err)
	}
	p.pidfd = os.NewFile(uintptr(fd), "pidfd")
	return nil
}

// watch waits for the end. A pidfd becomes readable then (pidfd_open(2)).
func (p *Process) watch() {
	if conn, err := p.pidfd.SyscallConn(); err == nil {
		_ = conn.Read(ended)
	}
	if p.child != nil {
		p.how = p.child.Wait()
	}
	close(p.done)
	_ = p.pidfd.Close()
}

func ended(pidfd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return n > 0 && err == nil
}
