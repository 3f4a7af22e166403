package manager

import (
	"context"
	"errors"
	"time"

	"github.com/panalvm/panal/internal/runner"
)

const (
	// promptWithin is how long a machine's process may take to answer what it is asked beside many others: most take less than
	// a thousandth of that, and on a host that is overrun some take long.
	promptWithin = 2 * time.Second
	// carriesOutWithin is the same of what it takes a while to carry out, or somebody waits for.
	carriesOutWithin = 10 * time.Second
)

// errSilent is the error of asking a process that does not answer: it is stopped, or stuck.
var errSilent = errors.New("its process does not answer")

// isStuck tells whether a run's process was asked something and has not answered.
func (r *run) isStuck() bool { return r.stuck.Load() }

// promptly asks a machine's process something, with a context that ends when the answer is not waited for any longer:
// that is errSilent. Once that has happened nobody waits for this process again before it has answered, so
// that one that is stuck holds nobody up twice.
func (m *Manager) promptly(ctx context.Context, r *run, within time.Duration, ask func(context.Context) error) error {
	if r.isStuck() {
		return errSilent
	}
	return m.patiently(ctx, r, within, ask)
}

// patiently is promptly of a process that may be known not to answer: it may by now.
func (m *Manager) patiently(ctx context.Context, r *run, within time.Duration, ask func(context.Context) error) error {
	asking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := ask(asking)
	if err == nil || asking.Err() == nil || ctx.Err() != nil {
		return err
	}
	if r.stuck.CompareAndSwap(false, true) {
		m.log.Warn("a machine's process does not answer", "pid", r.PID(), "within", within)
		m.aside(func() { m.awaitAnswer(r) })
	}
	return errSilent
}

// awaitAnswer waits until a process answers again, or has ended: what it is asked it answers in turn.
func (m *Manager) awaitAnswer(r *run) {
	_, _, err := r.Running(m.base)
	r.stuck.Store(false)
	if err == nil {
		m.log.Info("a machine's process that did not answer does", "pid", r.PID())
	}
}

// promptGuest is a run whose memory is asked for beside that of others: none is waited for that is stuck.
type promptGuest struct {
	*run
	m *Manager
}

func (p promptGuest) Memory(ctx context.Context) (now runner.Memory, err error) {
	err = p.m.promptly(ctx, p.run, promptWithin, func(ctx context.Context) error {
		now, err = p.run.Memory(ctx)
		return err
	})
	return now, err
}

func (p promptGuest) AskMemory(ctx context.Context, plugged, ballooned int64) error {
	return p.m.promptly(ctx, p.run, promptWithin, func(ctx context.Context) error { return p.run.AskMemory(ctx, plugged, ballooned) })
}

func (p promptGuest) GuestMemory(ctx context.Context) (said runner.GuestMemory, err error) {
	err = p.m.promptly(ctx, p.run, promptWithin, func(ctx context.Context) error {
		said, err = p.run.GuestMemory(ctx)
		return err
	})
	return said, err
}

func (p promptGuest) AskGuestMemory(ctx context.Context, every time.Duration) error {
	return p.m.promptly(ctx, p.run, promptWithin, func(ctx context.Context) error { return p.run.AskGuestMemory(ctx, every) })
}

// Describe tells the versioned machine type and the accelerator of the run.
func (p promptGuest) Describe(ctx context.Context) (machineType, accelerator string, err error) {
	err = p.m.promptly(ctx, p.run, promptWithin, func(ctx context.Context) error {
		machineType, accelerator, err = p.run.Describe(ctx)
		return err
	})
	return machineType, accelerator, err
}

// Threads are the threads of its process, by what they do.
func (p promptGuest) Threads(ctx context.Context) (threads runner.Threads, err error) {
	err = p.m.promptly(ctx, p.run, promptWithin, func(ctx context.Context) error {
		threads, err = p.run.Threads(ctx)
		return err
	})
	return threads, err
}
