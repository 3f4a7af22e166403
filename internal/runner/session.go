package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/console"
	"github.com/panalvm/panal/internal/imageserver"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/qmp"
)

// Session is one run of a machine. Its methods may be called from several
// goroutines.
type Session struct {
	machine  Machine
	program  *process.Process
	emulator *process.Process // the TPM's; nil without one
	monitor  *qmp.Client
	hubs     map[string]*console.Hub
	begin    int64 // where this run's part of QEMU's log begins
	moved    chan string
	// agentCame has a token when an agent has come up; see keepThawing.
	agentCame chan struct{}
	// agentTurn holds the token of who has the agent.
	agentTurn chan struct{}
	done      chan struct{}

	listeners listeners

	born atomic.Pointer[Memory] // what stays as it is; nil until it was asked

	// blocks is held while QEMU's block nodes are changed, but not while a job runs.
	blocks sync.Mutex
	speed  int64 // of the jobs on images, in bytes a second; 0 for as fast as can be

	serving sync.Mutex          // guards what follows
	images  *imageserver.Keeper // nil without one

	mu     sync.Mutex // guards what follows
	reason api.EndReason
	detail string
	end    api.End // valid once done is closed
}

// session makes a session of a QEMU that answers. Whatever happened to the
// guest before is noticed now.
func (m Machine) session(ctx context.Context, program *process.Process, monitor *qmp.Client, images *imageserver.Keeper) (*Session, error) {
	s := &Session{
		machine: m, program: program, images: images, monitor: monitor, hubs: map[string]*console.Hub{},
		moved: make(chan string, 64), agentCame: make(chan struct{}, 1), agentTurn: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if info, err := os.Stat(m.QEMULog()); err == nil {
		s.begin = info.Size()
	}
	if err := s.openLines(); err != nil {
		s.closeLines()
		return nil, errors.Join(err, monitor.Close())
	}
	status, err := monitor.Status(ctx)
	if err != nil {
		s.closeLines()
		return nil, errors.Join(err, monitor.Close())
	}
	if err := prepareTransfers(ctx, monitor); err != nil {
		s.closeLines()
		return nil, errors.Join(err, monitor.Close())
	}
	go s.watch(status)
	return s, nil
}

// prepareTransfers brings QEMU to where the writing of a state can begin, whatever
// a daemon that is gone was doing: QEMU keeps what that had set, and takes no settings while
// it writes.
func prepareTransfers(ctx context.Context, monitor *qmp.Client) error {
	if err := monitor.CancelLeft(ctx); err != nil {
		return fmt.Errorf("end what another daemon was writing: %w", err)
	}
	return monitor.SetMigrateCapabilities(ctx, map[string]bool{
		"events": true, "background-snapshot": false, "pause-before-switchover": false, "auto-converge": false,
	})
}

// PID is QEMU's process number.
func (s *Session) PID() int { return s.program.PID }

// Done is closed when the run has ended and what it left behind is gone.
func (s *Session) Done() <-chan struct{} { return s.done }

// End tells how the run ended; it waits until it has.
func (s *Session) End() api.End {
	<-s.done
	return s.end
}

// Running reports whether the guest's CPUs run, and QEMU's word for its state.
func (s *Session) Running(ctx context.Context) (running bool, state string, err error) {
	status, err := s.monitor.Status(ctx)
	return status.Running, status.State, err
}

// Describe tells the versioned machine type and the accelerator of the run.
func (s *Session) Describe(ctx context.Context) (machineType, accelerator string, err error) {
	get := map[string]any{"path": "/machine", "property": "type"}
	if err := s.monitor.Execute(ctx, "qom-get", get, &machineType); err != nil {
		return "", "", err
	}
	kvm, err := s.monitor.QueryKVM(ctx)
	if err != nil {
		return "", "", err
	}
	return strings.TrimSuffix(machineType, "-machine"), map[bool]string{true: "kvm", false: "tcg"}[kvm.Enabled], nil
}

// Pause stops the guest's CPUs.
func (s *Session) Pause(ctx context.Context) error { return s.monitor.Stop(ctx) }

// Resume lets the guest's CPUs run.
func (s *Session) Resume(ctx context.Context) error { return s.monitor.Cont(ctx) }

// Reset resets the machine.
func (s *Session) Reset(ctx context.Context) error { return s.monitor.SystemReset(ctx) }

// SetLink plugs an adapter's cable in or out.
func (s *Session) SetLink(ctx context.Context, adapter string, up bool) error {
	return s.monitor.Execute(ctx, "set_link", map[string]any{"name": adapter, "up": up}, nil)
}

// PressPower presses the power button; what comes of it is the guest's to say.
func (s *Session) PressPower(ctx context.Context) error { return s.monitor.SystemPowerdown(ctx) }

// Screenshot is the display's content as PNG.
func (s *Session) Screenshot(ctx context.Context) ([]byte, error) { return s.monitor.Screendump(ctx) }

// Console is a serial line's hub, nil when there is no line of that name.
func (s *Session) Console(name string) *console.Hub { return s.hubs[name] }

// quitWithin is how long QEMU may take to end by itself once asked. It flushes
// its images first, which on a slow disk takes a while.
const quitWithin = 10 * time.Second

// PowerOff ends the run for a reason, and waits until it has ended. QEMU is
// asked first, so that its images are flushed, and killed if it does not hear. Begun it is not
// cut off: a QEMU that was asked to end must not be killed because nobody waits for it any more.
func (s *Session) PowerOff(ctx context.Context, reason api.EndReason) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	s.because(reason, "")
	asking, cancel := context.WithTimeout(ctx, quitWithin)
	defer cancel()
	if err := s.monitor.Quit(asking); err == nil || errors.Is(err, qmp.ErrClosed) {
		if s.program.Wait(asking) == nil {
			<-s.done
			return nil
		}
	}
	if err := s.program.Kill(ctx); err != nil {
		return err
	}
	<-s.done
	return nil
}

// because notes why the run will end, unless a reason is known already.
func (s *Session) because(reason api.EndReason, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" {
		s.reason, s.detail = reason, detail
	}
}
