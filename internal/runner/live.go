package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/panalvm/panal/internal/qmp"
)

// Ways to write the state of a running machine.
const (
	// LiveBackground: the guest runs on at once, and what it is about to overwrite is
	// written first (QEMU's background-snapshot). It takes userfaultfd(2) for the kernel's
	// own accesses, which an unprivileged user has only where vm.unprivileged_userfaultfd is 1.
	LiveBackground = "background"
	// LivePrecopy: memory is written while the guest runs, what it changes meanwhile once
	// more, and the rest while it stands still.
	LivePrecopy = "precopy"
	// LiveStopped: the guest stood still for as long as it took to write its memory,
	// or for a part of that: it changed memory faster than it could be written.
	LiveStopped = "stopped"
)

// Standstill is how a running machine's state was written, and what it took.
type Standstill struct {
	Way string // one of the Live constants
	// Stood is for how long the guest stood still, by QEMU's word; 0 of one that did
	// not run.
	Stood time.Duration
}

// Bounds of a precopy.
const (
	downtimeLimit = 100 // milliseconds that the last part may take
	mostPasses    = 8   // over the memory, before the guest is stopped
)

// SaveLive writes the state of a machine, its memory and devices, to w, and the guest
// runs on. At the instant that the state is of the guest stands still, and atInstant
// is called: what is on its disks belongs to the state. When that fails, or ctx ends before, or
// writing fails, the guest runs on and there is no state. A machine that is paused stays so.
// Report is called now and then with the bytes of memory that are written and those there are.
func (s *Session) SaveLive(ctx context.Context, w io.Writer, atInstant func(context.Context) error,
	report func(done, total int64),
) (Standstill, error) {
	running, _, err := s.Running(ctx)
	if err != nil {
		return Standstill{}, err
	}
	if !running {
		if err := atInstant(ctx); err != nil {
			return Standstill{}, err
		}
		return Standstill{Way: LiveStopped}, s.Save(ctx, w, report)
	}
	events, stop := s.Listen(qmp.EventStop, qmp.EventResume)
	l := &live{Session: s, atInstant: atInstant, report: report, w: w}
	way := l.precopy
	l.way = LivePrecopy
	after := context.WithoutCancel(ctx)
	if s.monitor.SetMigrateCapabilities(after, map[string]bool{"background-snapshot": true}) == nil {
		l.way, way = LiveBackground, l.background
	}
	err = way(ctx)
	// Whatever happened, the guest is not left standing.
	err = errors.Join(err, s.monitor.AwaitFinalized(after), s.letGo(after), s.awaitRunning(after))
	if err != nil {
		stop()
		return Standstill{}, err
	}
	return Standstill{Way: l.way, Stood: stood(events, stop)}, nil
}

// live is a state that is being written.
type live struct {
	*Session
	way       string
	atInstant func(context.Context) error
	report    func(done, total int64)
	w         io.Writer
}

// background takes the instant and has QEMU write the state behind the running guest.
func (l *live) background(ctx context.Context) error {
	after := context.WithoutCancel(ctx)
	defer func() {
		_ = l.monitor.SetMigrateCapabilities(after, map[string]bool{"background-snapshot": false})
	}()
	read, err := l.openTransfer(ctx)
	if err != nil {
		return err
	}
	defer read.Close()
	if err := l.hold(ctx); err != nil {
		return err
	}
	if err := l.atInstant(ctx); err != nil {
		return err
	}
	// QEMU lets the guest go on by itself when it has what it needs.
	if err := l.beginMigration(ctx); err != nil {
		return err
	}
	return l.drain(ctx, read, nil)
}

// precopy has QEMU write memory while the guest runs, and takes the instant when little is
// left.
func (l *live) precopy(ctx context.Context) error {
	after := context.WithoutCancel(ctx)
	capabilities := func(on bool) map[string]bool {
		return map[string]bool{"pause-before-switchover": on, "auto-converge": on}
	}
	if err := l.monitor.SetMigrateCapabilities(after, capabilities(true)); err != nil {
		return err
	}
	defer func() { _ = l.monitor.SetMigrateCapabilities(after, capabilities(false)) }()
	read, err := l.openTransfer(ctx)
	if err != nil {
		return err
	}
	defer read.Close()
	if err := l.monitor.SetMigrateParameters(ctx, map[string]any{"downtime-limit": downtimeLimit}); err != nil {
		return err
	}
	events, stop := l.Listen(qmp.EventMigration, "MIGRATION_PASS")
	defer stop()
	if err := l.beginMigration(ctx); err != nil {
		return err
	}
	return l.drain(ctx, read, func(ctx context.Context) error { return l.switchOver(ctx, events) })
}

// drain passes on what QEMU writes, until it has written all, while beside runs, which
// may be nil. An error of either ends both.
func (l *live) drain(ctx context.Context, read *os.File, beside func(context.Context) error) error {
	working, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	aside := make(chan error, 1)
	go func() {
		var err error
		if beside != nil {
			err = beside(working)
		}
		if err != nil {
			fail(err)
		}
		aside <- err
	}()
	stop := context.AfterFunc(working, func() { _ = read.Close() })
	defer stop()
	progress, endReports := l.memoryReports(working, l.report)
	_, err := io.Copy(l.w, &meteredReader{Reader: read, report: progress})
	if err != nil {
		fail(err)
	}
	endReports()
	if cause := context.Cause(working); err != nil && cause != nil {
		_ = read.Close() // so that QEMU does not wait for a reader before it cancels
		<-aside
		l.giveUp(ctx)
		return cause
	}
	if err := l.moveCompleted(ctx); err != nil {
		fail(err)
		<-aside
		return err
	}
	return <-aside
}

// switchOver waits until QEMU has stopped the guest for the last part, takes the
// instant and lets QEMU write that part.
func (l *live) switchOver(ctx context.Context, events <-chan qmp.Event) error {
	for {
		select {
		case event, more := <-events:
			if !more {
				return nil
			}
			var about struct {
				Status string `json:"status"`
				Pass   int    `json:"pass"`
			}
			_ = event.Decode(&about)
			switch {
			case about.Status == "pre-switchover":
				return l.switchNow(ctx)
			case qmp.MigrationFinished(about.Status):
				return nil // the other side says how
			case about.Pass >= mostPasses && l.way != LiveStopped:
				l.way = LiveStopped
				if err := l.hold(ctx); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *live) switchNow(ctx context.Context) error {
	if err := os.WriteFile(l.machine.Dir.held(), nil, 0o600); err != nil {
		return err
	}
	if err := l.atInstant(ctx); err != nil {
		return err
	}
	return l.monitor.Execute(context.WithoutCancel(ctx), "migrate-continue", map[string]any{"state": "pre-switchover"}, nil)
}

// awaitRunning makes sure that the guest runs, whoever was to see to it.
func (s *Session) awaitRunning(ctx context.Context) error {
	running, _, err := s.Running(ctx)
	if err != nil || running {
		return err
	}
	return s.monitor.Cont(ctx)
}

// stood is the time between a stop and the resumption after it, in all. Events may
// come a moment after the answer to what caused them.
func stood(events <-chan qmp.Event, stop func()) (all time.Duration) {
	time.AfterFunc(time.Second, stop)
	var since time.Time
	for event := range events {
		switch {
		case event.Name == qmp.EventStop && since.IsZero():
			since = event.Time
		case event.Name == qmp.EventResume && !since.IsZero():
			all += event.Time.Sub(since)
			since = time.Time{}
		}
		if since.IsZero() && len(events) == 0 {
			stop() // closes the channel
		}
	}
	return all
}
