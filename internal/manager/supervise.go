package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/internal/state"
)

// watchOver takes a session into the manager's care until it ends.
func (m *Manager) watchOver(uuid string, session *runner.Session) *run {
	r := &run{Session: session, settled: make(chan struct{})}
	m.mu.Lock()
	m.runs[uuid] = r
	m.mu.Unlock()
	m.group.Go(func() {
		select {
		case <-session.Done():
			m.ended(uuid, r)
		case <-m.base.Done(): // the machine runs on without this daemon
		}
	})
	return r
}

// happened writes down what a session has noticed.
func (m *Manager) happened(uuid string, event runner.Event) {
	switch event.Kind {
	case runner.CPUGone:
		m.aside(func() { m.countCPUs(uuid) })
		return
	case runner.AgentOpened:
		defer m.aside(func() { m.agentCame(uuid) })
	}
	m.modify(uuid, func(record *inventory.Record) {
		status := &record.Status
		switch event.Kind {
		case runner.AgentOpened:
			status.Agent = true
		case runner.AgentClosed:
			status.Agent, status.CPUsOnline = false, 0
		case runner.WasReset:
			status.Resets++
		case runner.ImagesRestarted:
			status.Warnings = addOnce(status.Warnings, "the image server ended and was started again; the guest waited for its disks meanwhile")
		case runner.DiskFailed:
			status.Warnings = addOnce(status.Warnings, "a drive reported an error to the guest: "+event.Detail)
		}
	})
}

// aside does what an event calls for and takes asking QEMU or the guest, for which
// the one that tells of events must not wait.
func (m *Manager) aside(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.group.Go(do)
	}
}

// ended writes down how a run ended, and starts the machine again if its
// restart policy says so.
func (m *Manager) ended(uuid string, r *run) {
	end := r.End()
	var record inventory.Record
	m.modifyInTheEnd(uuid, func(current *inventory.Record) {
		ranFor := time.Duration(0)
		if current.Status.Started != nil {
			ranFor = end.Time.Sub(*current.Status.Started)
		}
		current.Status = afterRun(current.Status, end)
		current.Status.Restarts = machine.Attempts(current.Status.Restarts, ranFor)
		m.decideRestart(current, end, ranFor)
		record = *current
	})
	m.nameBases(record)
	m.mu.Lock()
	if m.runs[uuid] == r {
		delete(m.runs, uuid)
	}
	m.mu.Unlock()
	close(r.settled)
	m.released()
	m.log.Info("machine ended", "machine", record.Spec.Name, "reason", end.Reason, "detail", end.Detail)
	m.scheduleRestart(uuid, record)
}

// nameBases has the images of a machine whose process has ended name the images that were served to it as what they are:
// others than the daemon have only that name to go by.
func (m *Manager) nameBases(record inventory.Record) {
	for _, drive := range record.Spec.Drives {
		if !machine.Layered(drive) || drive.Format == "qcow2" || drive.Format == "raw" {
			continue
		}
		layers, err := media.OwnLayers(record.Folder, drive.File)
		if err == nil {
			err = media.NameBase(record.Folder, layers[len(layers)-1].File, media.RefOf(drive))
		}
		if err != nil {
			m.log.Warn("an image's name of what it stands on was not looked at", "machine", record.Spec.Name, "drive", drive.Name, "error", err)
		}
	}
}

// afterRun is a status once its run has ended. The end of a save is the
// save's to write. The machine type stays: a saved state that could not be
// read fits no other.
func afterRun(status api.Status, end api.End) api.Status {
	after := api.Status{
		State: api.StateOff, Since: end.Time, Task: status.Task, LastEnd: &end, Restarts: status.Restarts,
		MachineType: status.MachineType, CPUs: status.CPUs,
	}
	if end.Reason == api.EndSaved {
		after.State, after.Since = status.State, status.Since
	}
	return after
}

// noSpacePause is how long modifyInTheEnd waits for space before it tries again.
const noSpacePause = 2 * time.Second

// modifyInTheEnd is modify for what must be stored: while the disk is full it
// tries again, until the manager is closed. The next daemon finds out by itself.
func (m *Manager) modifyInTheEnd(uuid string, change func(*inventory.Record)) {
	for {
		_, err := m.inv.Modify(context.WithoutCancel(m.base), uuid, func(record *inventory.Record) error {
			change(record)
			return nil
		})
		if !errors.Is(err, state.ErrNoSpace) {
			if err != nil {
				m.log.Error("the end of a machine could not be stored", "machine", uuid, "error", err)
			}
			return
		}
		select {
		case <-time.After(noSpacePause):
		case <-m.base.Done():
			return
		}
	}
}

// modify changes a record that exists; what cannot be stored is logged,
// because nobody is there to be told.
func (m *Manager) modify(uuid string, change func(*inventory.Record)) {
	_, err := m.inv.Modify(context.WithoutCancel(m.base), uuid, func(record *inventory.Record) error {
		change(record)
		return nil
	})
	if err != nil {
		m.log.Error("what happened to a machine could not be stored", "machine", uuid, "error", err)
	}
}

// decideRestart notes in a record when its machine is to be started again.
func (m *Manager) decideRestart(record *inventory.Record, end api.End, ranFor time.Duration) {
	record.Status.NextRestart = nil
	again, wait := machine.Decide(record.Spec.Restart, end, record.Status.Restarts, ranFor)
	if again {
		at := end.Time.Add(wait)
		record.Status.NextRestart = &at
		return
	}
	if record.Status.Restarts > 0 && record.Spec.Restart.MaxAttempts > 0 && record.Status.Restarts >= record.Spec.Restart.MaxAttempts {
		record.Status.Warnings = addOnce(record.Status.Warnings,
			fmt.Sprintf("the restart policy gave up after %d attempts", record.Status.Restarts))
	}
}

// scheduleRestart starts a machine at the time that its record says.
func (m *Manager) scheduleRestart(uuid string, record inventory.Record) {
	if record.Status.NextRestart == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return // the next daemon does it
	}
	wait := max(0, time.Until(*record.Status.NextRestart))
	m.restarts[uuid] = time.AfterFunc(wait, func() { m.restart(uuid) })
}

// restart is an attempt of the restart policy.
func (m *Manager) restart(uuid string) {
	m.mu.Lock()
	delete(m.restarts, uuid)
	m.mu.Unlock()
	ctx := m.base
	object, err := m.inv.Get(ctx, uuid)
	if err != nil || object.Value.Status.NextRestart == nil || machine.Allowed(machine.OpStart, object.Value.Status.State) != nil {
		return
	}
	if object.Value.Status.Task != "" {
		return // somebody is at work on it; what they do counts
	}
	attempt := object.Value.Status.Restarts + 1
	m.log.Info("starting a machine again", "machine", object.Value.Spec.Name, "attempt", attempt)
	begun, err := m.beginStart(ctx, object, attempt)
	if err != nil {
		m.log.Error("a machine could not be started again", "machine", object.Value.Spec.Name, "error", err)
		return
	}
	m.group.Go(func() { m.afterAttempt(ctx, uuid, begun.ID) })
}

// afterAttempt plans the next attempt when one failed before the machine ran.
func (m *Manager) afterAttempt(ctx context.Context, uuid, taskID string) {
	if m.tasks.Wait(ctx, taskID) != nil {
		return
	}
	done, err := m.tasks.Get(ctx, taskID)
	if err != nil || done.State != api.TaskFailed || m.running(uuid) != nil {
		return
	}
	var record inventory.Record
	m.modify(uuid, func(current *inventory.Record) {
		if current.Status.NextRestart == nil {
			end := api.End{Reason: api.EndFailed, Time: time.Now().UTC(), Detail: done.Error.Detail}
			current.Status.LastEnd = &end
			m.decideRestart(current, end, 0)
		}
		record = *current
	})
	m.scheduleRestart(uuid, record)
}

// forgetRestart takes back a planned attempt: somebody decides otherwise.
func (m *Manager) forgetRestart(uuid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if timer := m.restarts[uuid]; timer != nil {
		timer.Stop()
		delete(m.restarts, uuid)
	}
}
