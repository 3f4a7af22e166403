package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// shutdownTimeout is how long a guest may take to shut down, unless the
// request says otherwise.
const shutdownTimeout = time.Minute

// Start begins to start a machine, or to go on from its saved state.
func (m *Manager) Start(ctx context.Context, ref string) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.tryStart(ctx, ref) })
}

func (m *Manager) tryStart(ctx context.Context, ref string) (api.Task, error) {
	object, err := m.allowed(ctx, ref, machine.OpStart)
	if err != nil {
		return api.Task{}, err
	}
	if err := m.unedited(object); err != nil {
		return api.Task{}, err
	}
	m.forgetRestart(object.Key)
	return m.beginStart(ctx, object, 0)
}

// beginStart begins the task that starts a machine; attempts counts those of
// the restart policy.
func (m *Manager) beginStart(ctx context.Context, object inventory.Object, attempts int) (api.Task, error) {
	from := object.Value.Status
	fresh := api.Status{State: from.State, Since: from.Since, LastEnd: from.LastEnd, Restarts: attempts}
	if from.State == api.StateSaved {
		fresh.MachineType, fresh.CPUs = from.MachineType, from.CPUs // the saved state fits no other
	}
	object.Value.Status = fresh
	if err := startable(object.Value.Spec); err != nil {
		return api.Task{}, err
	}
	keys, err := m.unlocked(object.Key, m.folderOf(object), object.Value.Spec.Drives)
	if err != nil {
		return api.Task{}, fmt.Errorf("start %s: %w", object.Value.Spec.Name, err)
	}
	m.starts.Lock()
	defer m.starts.Unlock()
	err = m.mayUse(ctx, object)
	if err != nil {
		return api.Task{}, err
	}
	if object.Value.Status.Warnings, err = m.admit(ctx, object.Value); err != nil {
		return api.Task{}, fmt.Errorf("start %s: %w", object.Value.Spec.Name, err)
	}
	order, err := m.claim(ctx, object, kindStart, api.StateStarting)
	if err != nil {
		return api.Task{}, err
	}
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.start(ctx, r, object.Key, from.State == api.StateSaved, keys, func() {}); err != nil {
			return fmt.Errorf("start %s: %w", object.Value.Spec.Name, err)
		}
		return nil
	})
}

// startable refuses to start a template.
func startable(spec api.Spec) error {
	if !spec.Template {
		return nil
	}
	return problem.New(api.KindRefused, fmt.Sprintf("`panal clone %s NEW` makes a machine of it; `panal set %s template=off` ends it", spec.Name, spec.Name),
		"start %s: it is a template, which clones stand on", spec.Name)
}

// start starts a machine and ends the task; woken is called between the two, when the guest runs.
func (m *Manager) start(ctx context.Context, r *task.Run, uuid string, saved bool, keys map[string][]byte, woken func()) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return err
	}
	if err := contained(m.folderOf(object), object.Value.Spec); err != nil {
		return err
	}
	bases, err := sameBases(object.Value)
	if err != nil {
		return err
	}
	r.Step("starting QEMU")
	if err := fault.At(ctx, "start.begun"); err != nil {
		return err
	}
	if err := m.keepStateKey(uuid, m.folderOf(object), object.Value.Spec.Drives); err != nil {
		return err
	}
	started, plan, err := m.launch(ctx, object, saved, keys)
	if err != nil {
		return err
	}
	if err := m.wake(ctx, r, started, object, saved); err != nil {
		return err
	}
	// The guest runs. A cancel comes too late, and ending it would lose what it
	// has in memory.
	ctx = context.WithoutCancel(ctx)
	woken()
	err = m.finish(ctx, r, uuid, func(record *inventory.Record) error {
		if record.Status.State != api.StateStarting {
			return endedAtOnce(record.Status)
		}
		m.enter(record, api.StateRunning)
		if saved && object.Value.StayPaused {
			m.enter(record, api.StatePaused)
		}
		record.Bases, record.StayPaused, record.GoesOn = bases, false, false
		now := time.Now().UTC()
		record.BootID = m.BootID
		record.Status.PID, record.Status.Started = started.PID(), &now
		record.Status.Accelerator, record.Status.MachineType, record.Status.CPUs = plan.accelerator, plan.machineType, plan.cpus
		record.Status.VNC = plan.display
		noteMemory(ctx, started, record)
		m.deepen(ctx, record)
		for _, warning := range plan.warnings {
			record.Status.Warnings = addOnce(record.Status.Warnings, warning)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// What was asked for is done: here only a kill could still come between.
	_ = fault.At(ctx, "start.committed")
	return nil
}

// wake brings a QEMU that was just started to the point where its guest runs:
// at once, or from the saved state. When it cannot, the process is ended.
func (m *Manager) wake(ctx context.Context, r *task.Run, started *run, object inventory.Object, saved bool) error {
	var err error
	if saved {
		err = m.restore(ctx, r, started, object)
	}
	if err == nil {
		err = fault.At(ctx, "start.launched")
	}
	if err == nil && saved {
		err = discardState(m.folderOf(object))
	}
	if err != nil {
		return errors.Join(err, m.powerOff(context.WithoutCancel(ctx), started, api.EndFailed))
	}
	if !saved || object.Value.StayPaused {
		return nil
	}
	_ = fault.At(ctx, "start.state-removed") // a kill; the guest must run now
	if err := started.Resume(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	started.ThawRead()
	return nil
}

func endedAtOnce(status api.Status) error {
	why := "its process ended"
	if status.LastEnd != nil && status.LastEnd.Detail != "" {
		why = status.LastEnd.Detail
	}
	return problem.New(api.KindUnsupported, "`panal log` shows what QEMU said", "it ended at once: %s", why)
}

// Stop begins to power a machine off; a saved state is thrown away. What else
// is at work on the machine is cancelled first.
func (m *Manager) Stop(ctx context.Context, ref string) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.tryStop(ctx, ref) })
}

func (m *Manager) tryStop(ctx context.Context, ref string) (api.Task, error) {
	object, err := m.inv.Find(ctx, ref)
	if err != nil {
		return api.Task{}, err
	}
	silent := m.isSilent(object.Key)
	if err := m.interrupt(ctx, object); errors.Is(err, state.ErrNoSpace) {
		return api.Task{}, m.stopUnrecorded(ctx, object, err)
	} else if err != nil {
		return api.Task{}, err
	}
	m.forgetRestart(object.Key)
	if silent { // it may have ended with what was undone
		object, err = m.inv.Get(ctx, object.Key)
	} else {
		object, err = m.allowed(ctx, object.Key, machine.OpStop)
	}
	if err != nil {
		return api.Task{}, err
	}
	order, err := m.claim(ctx, object, "machine.stop", api.StateStopping)
	if err != nil {
		return api.Task{}, err
	}
	begun, err := m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.stop(ctx, r, object); err != nil {
			return fmt.Errorf("stop %s: %w", object.Value.Spec.Name, err)
		}
		return nil
	})
	if errors.Is(err, state.ErrNoSpace) {
		return begun, m.stopUnrecorded(ctx, object, err)
	}
	return begun, err
}

// stopUnrecorded powers a machine off although nothing can be stored: a full
// disk must not keep anybody from that. The record follows when it can.
func (m *Manager) stopUnrecorded(ctx context.Context, object inventory.Object, full error) error {
	run := m.running(object.Key)
	if run == nil {
		return full
	}
	name := object.Value.Spec.Name
	if err := run.PowerOff(ctx, api.EndStopped); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return problem.New(api.KindNoSpace, "free some space",
		"stop %s: it is powered off, but that cannot be recorded: %s", name, full)
}

func (m *Manager) stop(ctx context.Context, r *task.Run, object inventory.Object) error {
	r.Step("powering off")
	if err := fault.At(ctx, "stop.begun"); err != nil {
		return err
	}
	if run := m.running(object.Key); run != nil {
		if err := m.powerOff(ctx, run, api.EndStopped); err != nil {
			return err
		}
	} else if err := m.endSilent(ctx, object); err != nil {
		return err
	}
	if err := removeState(m.folderOf(object)); err != nil {
		return err
	}
	if err := fault.At(ctx, "stop.ended"); err != nil {
		return err
	}
	return m.finish(ctx, r, object.Key, func(record *inventory.Record) error {
		m.enter(record, api.StateOff)
		record.Status.MachineType, record.Status.CPUs = "", 0
		return nil
	})
}

// powerOff ends a run and waits until the record says so. Once begun it is not cut off, but by the daemon's end where ctx
// has one.
func (m *Manager) powerOff(ctx context.Context, run *run, reason api.EndReason) error {
	if err := run.PowerOff(ctx, reason); err != nil {
		return fmt.Errorf("power it off: %w", err)
	}
	if ctx.Done() != nil {
		ctx = m.base
	}
	return m.awaitEnd(ctx, run)
}

func (m *Manager) awaitEnd(ctx context.Context, run *run) error {
	select {
	case <-run.settled:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Shutdown begins to shut the guest down by its power button.
func (m *Manager) Shutdown(ctx context.Context, ref string, request api.ShutdownRequest) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.tryShutdown(ctx, ref, request) })
}

func (m *Manager) tryShutdown(ctx context.Context, ref string, request api.ShutdownRequest) (api.Task, error) {
	object, err := m.allowed(ctx, ref, machine.OpShutdown)
	if err != nil {
		return api.Task{}, err
	}
	order, err := m.claim(ctx, object, "machine.shutdown", api.StateStopping)
	if err != nil {
		return api.Task{}, err
	}
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.shutdown(ctx, r, object.Key, request); err != nil {
			return fmt.Errorf("shutdown %s: %w", object.Value.Spec.Name, err)
		}
		return nil
	})
}

func (m *Manager) shutdown(ctx context.Context, r *task.Run, uuid string, request api.ShutdownRequest) error {
	run := m.running(uuid)
	if run == nil {
		return problem.New(api.KindWrongState, "", "it has no process")
	}
	r.Step("waiting for the guest")
	timeout := time.Duration(request.Timeout) * time.Second
	if timeout <= 0 {
		timeout = shutdownTimeout
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch err := m.pressPower(waiting, run); {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case request.Force:
		r.Step("powering off")
		r.Warn(fmt.Sprintf("the guest did not shut down within %s and was powered off", timeout))
		if err := m.powerOff(ctx, run, api.EndStopped); err != nil {
			return err
		}
	default:
		return problem.New(api.KindTimeout, "wait longer with --timeout, or power it off with --force or `panal stop`",
			"the guest has not shut down within %s", timeout)
	}
	return m.finish(ctx, r, uuid, func(record *inventory.Record) error {
		m.enter(record, api.StateOff)
		return nil
	})
}

// pressAgain is how long the guest may take before the button is pressed again.
const pressAgain = 10 * time.Second

// pressPower presses the power button until the guest has shut down. A guest
// that is still booting does not notice the first time; one that is shutting
// down does not mind the second.
func (m *Manager) pressPower(ctx context.Context, run *run) error {
	for {
		if err := run.PressPower(ctx); err != nil && m.awaitEnd(ctx, run) != nil {
			return err
		}
		select {
		case <-run.settled:
			return nil
		case <-time.After(pressAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Pause stops a machine's CPUs.
func (m *Manager) Pause(ctx context.Context, ref string) (api.Machine, error) {
	return m.direct(ctx, ref, machine.OpPause, func(ctx context.Context, run *run) error { return run.Pause(ctx) },
		func(record *inventory.Record) { m.enter(record, api.StatePaused) })
}

// Resume lets a paused machine's CPUs run.
func (m *Manager) Resume(ctx context.Context, ref string) (api.Machine, error) {
	return m.direct(ctx, ref, machine.OpResume, func(ctx context.Context, run *run) error {
		if err := run.Resume(ctx); err != nil {
			return err
		}
		run.ThawRead() // it may stand still since it was restored
		return nil
	},
		func(record *inventory.Record) { m.enter(record, api.StateRunning) })
}

// Reset resets a machine.
func (m *Manager) Reset(ctx context.Context, ref string) (api.Machine, error) {
	return m.direct(ctx, ref, machine.OpReset, func(ctx context.Context, run *run) error { return run.Reset(ctx) },
		func(*inventory.Record) {})
}

// direct does what takes only a moment, and writes what came of it.
func (m *Manager) direct(ctx context.Context, ref string, op machine.Operation,
	act func(context.Context, *run) error, note func(*inventory.Record),
) (api.Machine, error) {
	object, err := m.allowed(ctx, ref, op)
	if err != nil {
		return api.Machine{}, err
	}
	name := object.Value.Spec.Name
	run := m.running(object.Key)
	if run == nil {
		return api.Machine{}, problem.New(api.KindWrongState, "", "%s %s: it has no process", op, name)
	}
	if err := act(ctx, run); err != nil {
		return api.Machine{}, fmt.Errorf("%s %s: %w", op, name, err)
	}
	changed, err := m.inv.Modify(ctx, object.Key, func(record *inventory.Record) error {
		// It may have ended meanwhile, or a task may have begun on it.
		if record.Status.State == api.StateRunning || record.Status.State == api.StatePaused {
			note(record)
		}
		return nil
	})
	return inventory.AsMachine(changed), err
}

// stateOnDisk is the state of a machine without a process, by its folder.
func stateOnDisk(dir folder.Folder) api.State {
	if hasState(dir) {
		return api.StateSaved
	}
	return api.StateOff
}
