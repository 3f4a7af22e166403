package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/runner"
)

const (
	// adoptWithin is how long a QEMU that was found may take to answer, at the
	// daemon's start, which waits for it.
	adoptWithin = 5 * time.Second
	// silentPause is how long one that did not answer is left alone before it is
	// asked again.
	silentPause = time.Second
	// silentWarning is what users are told of one.
	silentWarning = "its process does not answer; what it does is not known until it does, and stopping the machine kills it"
)

// adoptAll finds the processes of all machines that may have one. Machines
// that are off or saved are looked at as well: their process would be a stray.
func (m *Manager) adoptAll(ctx context.Context, objects []inventory.Object) {
	var group sync.WaitGroup
	limit := make(chan struct{}, 16)
	for _, object := range objects {
		if _, err := os.Lstat(string(m.runtimeDir(object.Key))); isNotExist(err) {
			continue
		}
		group.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			if err := m.adopt(ctx, object); err != nil && !errors.Is(err, runner.ErrNoProcess) {
				m.log.Error("a machine's process could not be adopted", "machine", object.Value.Spec.Name, "error", err)
				m.leaveSilent(ctx, object)
			}
		})
	}
	group.Wait()
}

// adopt takes over the process of a machine. It is runner.ErrNoProcess when there
// is none.
func (m *Manager) adopt(ctx context.Context, object inventory.Object) error {
	asking, cancel := context.WithTimeout(ctx, adoptWithin)
	defer cancel()
	session, err := runner.Attach(asking, m.runnerMachine(object))
	if err != nil {
		return err
	}
	name := object.Value.Spec.Name
	m.log.Info("adopted a machine", "machine", name, "pid", session.PID())
	adopted := m.watchOver(object.Key, session)
	// A change of CPU time may have been cut off, too.
	if _, err := m.schedule(asking, adopted, object.Value.Spec); err != nil {
		m.log.Warn("the CPU time of a machine could not be set", "machine", name, "error", err)
	}
	m.adoptMemory(asking, adopted, object.Value.Spec)
	// A change of limits may have been cut off.
	for _, drive := range object.Value.Spec.Drives {
		if err := m.limit(asking, adopted, drive); err != nil {
			m.log.Debug("the limits of a drive could not be set", "machine", name, "drive", drive.Name, "error", err)
		}
	}
	return nil
}

// leaveSilent decides what becomes of a process that does not answer. That of a
// machine that is off or saved is a stray.
func (m *Manager) leaveSilent(ctx context.Context, object inventory.Object) {
	if state := object.Value.Status.State; state == api.StateOff || state == api.StateSaved {
		err := runner.Kill(ctx, m.runnerMachine(object))
		if err == nil {
			return
		}
		m.log.Error("a stray process could not be killed", "machine", object.Value.Spec.Name, "error", err)
	}
	m.keepAsking(object)
}

// silence is what is known of a process that does not answer.
type silence struct {
	end  func()        // ends asking it, and waits until that has ended
	over chan struct{} // closed when it has answered, or ended
}

// keepAsking goes on asking a process that did not answer. Until it does, or has
// ended, its machine is taken to be what it was: a machine that only seems to have ended
// must not be started another time.
func (m *Manager) keepAsking(object inventory.Object) {
	asking, cancel := context.WithCancel(m.base)
	done := make(chan struct{})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		cancel()
		return
	}
	if m.silent[object.Key] == nil {
		m.silent[object.Key] = &silence{over: make(chan struct{})}
	}
	m.silent[object.Key].end = func() { cancel(); <-done }
	m.group.Go(func() {
		defer close(done)
		defer cancel()
		err := m.askOn(asking, object)
		if asking.Err() != nil {
			return // another daemon's turn, or the process was killed
		}
		m.log.Info("a process that did not answer does, or has ended", "machine", object.Value.Spec.Name, "error", err)
		m.silenceOver(object.Key)
		if err := m.takeBack(asking, object.Key); err != nil && asking.Err() == nil {
			m.log.Error("the state of a machine could not be stored", "machine", object.Value.Spec.Name, "error", err)
		}
	})
}

// silenceOver puts down that a process has answered, or has ended.
func (m *Manager) silenceOver(uuid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if silence := m.silent[uuid]; silence != nil {
		delete(m.silent, uuid)
		close(silence.over)
	}
}

// takeBack makes the record of a machine agree with its process that has answered, or
// has ended, after what an earlier daemon was doing with it is undone.
func (m *Manager) takeBack(ctx context.Context, uuid string) error {
	select {
	case <-m.recovered:
	case <-ctx.Done():
		return ctx.Err()
	}
	object, err := m.inv.Get(ctx, uuid)
	if err == nil {
		err = m.tasks.Wait(ctx, object.Value.Status.Task)
	}
	if err == nil {
		object, err = m.inv.Get(ctx, uuid)
	}
	if err == nil {
		err = m.reconcile(ctx, object)
	}
	return unlessGone(err)
}

// afterSilence is, by task of an earlier daemon, until when it must not be undone: what a
// process has in hand that does not answer must not be taken from under it, and what it has
// done is not known.
func (m *Manager) afterSilence(objects []inventory.Object) func(task string) []<-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	waits := map[string][]<-chan struct{}{}
	for _, object := range objects {
		silence, task := m.silent[object.Key], object.Value.Status.Task
		if silence != nil && task != "" {
			waits[task] = append(waits[task], silence.over)
		}
	}
	return func(task string) []<-chan struct{} { return waits[task] }
}

// askOn asks a process until it answers, has ended, or ctx has.
func (m *Manager) askOn(ctx context.Context, object inventory.Object) error {
	for {
		err := m.adopt(ctx, object)
		if err == nil || errors.Is(err, runner.ErrNoProcess) {
			return err
		}
		select {
		case <-time.After(silentPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answers refuses what cannot be done with a machine whose process does not answer.
func (m *Manager) answers(ctx context.Context, object inventory.Object, op machine.Operation) error {
	if op == machine.OpStop || op == machine.OpDelete || !m.isSilent(object.Key) && m.hears(ctx, object.Key) {
		return nil
	}
	return problem.New(api.KindConflict, "wait until it does, or stop the machine, which kills it",
		"%s: its process does not answer", object.Value.Spec.Name)
}

// hears tells whether a machine's process answers, if it has one. One that has ended meanwhile does not count as silent.
func (m *Manager) hears(ctx context.Context, uuid string) bool {
	run := m.running(uuid)
	if run == nil {
		return true
	}
	err := m.patiently(ctx, run, carriesOutWithin, func(ctx context.Context) error {
		_, _, err := run.Running(ctx)
		return err
	})
	return !errors.Is(err, errSilent)
}

// isSilent tells whether a machine's process does not answer.
func (m *Manager) isSilent(uuid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.silent[uuid] != nil
}

// warnSilent warns of a process that does not answer, and of no other.
func (m *Manager) warnSilent(uuid string, status *api.Status) {
	if m.isSilent(uuid) {
		status.Warnings = addOnce(status.Warnings, silentWarning)
		return
	}
	status.Warnings = without(status.Warnings, silentWarning)
}

// askedNoMore gives what ends asking a process that does not answer; nil when there is none.
func (m *Manager) askedNoMore(uuid string) func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if silence := m.silent[uuid]; silence != nil {
		return silence.end
	}
	return nil
}

// endSilent kills a process that does not answer, and puts down that its machine was
// stopped; it does nothing when there is none.
func (m *Manager) endSilent(ctx context.Context, object inventory.Object) error {
	end := m.askedNoMore(object.Key)
	if end == nil {
		return nil
	}
	end()
	if run := m.running(object.Key); run != nil { // it has just answered
		err := m.powerOff(ctx, run, api.EndStopped)
		m.silenceOver(object.Key)
		return err
	}
	if err := runner.Kill(ctx, m.runnerMachine(object)); err != nil {
		m.keepAsking(object)
		return fmt.Errorf("its process does not answer: %w", err)
	}
	m.modifyInTheEnd(object.Key, func(record *inventory.Record) {
		record.Status = afterRun(record.Status, api.End{Reason: api.EndStopped, Time: time.Now().UTC()})
	})
	m.silenceOver(object.Key)
	return nil
}
