package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/guest"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/runner"
)

// turn brings about in a running machine what its record's spec says otherwise
// than before. It is what package machine permits of a machine whose guest is
// in memory; without a process there is nothing to be done.
func (m *Manager) turn(ctx context.Context, record *inventory.Record, before api.Spec) error {
	run := m.running(record.Spec.UUID)
	if run == nil {
		return nil
	}
	if record.Spec.CPU.Count != before.CPU.Count {
		if err := m.setCPUs(ctx, run, record, before.CPU.Count); err != nil {
			return err
		}
	}
	if err := m.turnScheduling(ctx, run, record, before); err != nil {
		return err
	}
	err := m.turnMemory(ctx, run, record, before.Memory)
	if err != nil && record.Spec.CPU != before.CPU {
		turned := *record
		turned.Spec.Memory = before.Memory
		m.turnBack(turned, before) // all of a change is brought about, or nothing
	}
	return err
}

// turnBack undoes turn, as far as the guest allows it, when a changed spec
// could not be stored.
func (m *Manager) turnBack(turned inventory.Record, before api.Spec) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.base), ejectWithin)
	defer cancel()
	after := turned.Spec
	turned.Spec = before
	if err := m.turn(ctx, &turned, after); err != nil {
		m.log.Warn("a change that could not be stored could not be taken back either", "machine", after.Name, "error", err)
	}
}

const (
	// ejectWithin is how long a guest may take to let go of CPUs.
	ejectWithin = 20 * time.Second
	// noticeWithin is how long a guest whose agent answers may take to notice the CPUs
	// that have been plugged in. Without an agent nobody waits for it.
	noticeWithin = 20 * time.Second
	// backWithin is how long the agent may take to take back what it has done in part.
	backWithin = 3 * time.Second
)

// setCPUs plugs CPUs in or takes them out. When the guest keeps some that it
// should let go of, the others come back: all is done or nothing.
func (m *Manager) setCPUs(ctx context.Context, run *run, record *inventory.Record, before int) error {
	count := record.Spec.CPU.Count
	ejecting, cancel := context.WithTimeout(ctx, ejectWithin)
	defer cancel()
	if record.Status.Accelerator != "kvm" && count < record.Status.CPUs {
		return m.park(ejecting, run, record, before)
	}
	noticed, stop := run.NoticedCPUs()
	defer stop()
	err := run.SetCPUs(ejecting, count)
	switch {
	case errors.Is(err, runner.ErrGuestKeeps):
		back := run.SetCPUs(context.WithoutCancel(ctx), before)
		return problem.New(api.KindRefused, "take the CPU off line in the guest, or change it while the machine is off", "%s", errors.Join(err, back))
	case err != nil && record.Status.Accelerator == "kvm":
		return errors.Join(err, run.SetCPUs(context.WithoutCancel(ctx), before))
	case err != nil:
		return err
	}
	record.Status.CPUs = count
	if count > before {
		m.bringUp(ctx, run, record, noticed)
	} else {
		record.Status.CPUsOnline = min(record.Status.CPUsOnline, count)
	}
	return nil
}

// park has the guest's agent use as many CPUs as the spec says and leave the
// others alone: they stay plugged in and cost nothing. It is for machines whose code
// QEMU translates, from which it cannot take CPUs out (see runner's SetCPUs).
func (m *Manager) park(ctx context.Context, run *run, record *inventory.Record, before int) error {
	const help = "change it while the machine is off"
	if !record.Status.Agent {
		return problem.New(api.KindUnsupported, help+", or install the guest agent, which can leave CPUs unused",
			"without KVM, QEMU cannot take CPUs out of a running machine, and no agent runs in its guest")
	}
	online, err := useCPUs(ctx, run, record.Spec.CPU.Count)
	if err == nil {
		record.Status.CPUsOnline = online
		return nil
	}
	if !errors.Is(err, errCPUsAsked) {
		return problem.New(api.KindRefused, help, "the guest cannot be asked to leave the CPU alone: %s", err)
	}
	// The agent stops at the first CPU that it cannot change.
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	if _, back := useCPUs(again, run, before); back != nil {
		m.log.Debug("a change of CPUs in a guest could not be taken back", "machine", record.Spec.Name, "error", back)
	}
	return problem.New(api.KindRefused, help, "the guest does not leave the CPU alone: %s", err)
}

// bringUp asks the guest's agent to use CPUs that have been plugged in. It is a
// courtesy: many systems do so by themselves, and without an agent nobody can be asked.
// The agent knows of a CPU only when the guest's system has noticed it.
func (m *Manager) bringUp(ctx context.Context, run *run, record *inventory.Record, noticed <-chan struct{}) {
	record.Status.CPUsOnline = 0
	if !record.Status.Agent {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noticeWithin)
	defer cancel()
	for {
		online, err := useCPUs(ctx, run, record.Spec.CPU.Count)
		if err != nil {
			m.log.Debug("the guest agent did not bring up CPUs", "machine", record.Spec.Name, "error", err)
			return
		}
		record.Status.CPUsOnline = online
		if online >= record.Spec.CPU.Count {
			return
		}
		select {
		case <-noticed:
		case <-ctx.Done():
			return
		}
	}
}

// errCPUsAsked is of a guest that has been asked to use other CPUs, and may have done some of
// it.
var errCPUsAsked = errors.New("the agent did not do it")

// useCPUs has the guest use its first CPUs, so many of them, and no others. It
// returns how many it uses then; errCPUsAsked when it was asked in vain.
func useCPUs(ctx context.Context, run *run, count int) (int, error) {
	agent, err := run.ReachAgent(ctx)
	if err != nil {
		return 0, err
	}
	defer agent.Close()
	cpus, err := agent.VCPUs(ctx)
	if err != nil {
		return 0, err
	}
	var changes []guest.VCPU
	for i, cpu := range cpus {
		if wanted := cpu.ID < count; wanted != cpu.Online {
			cpus[i].Online = wanted
			changes = append(changes, cpus[i])
		}
	}
	if err := agent.SetVCPUs(ctx, changes); err != nil {
		return 0, fmt.Errorf("%w: %w", errCPUsAsked, err)
	}
	return countOnline(cpus), nil
}

func countOnline(cpus []guest.VCPU) int {
	online := 0
	for _, cpu := range cpus {
		if cpu.Online {
			online++
		}
	}
	return online
}

// agentCame does what waits for the agent of a guest that has started or taken
// it up again: a guest that boots uses every CPU that is plugged in, also those that
// it is to leave alone.
func (m *Manager) agentCame(uuid string) {
	ctx, cancel := context.WithTimeout(m.base, ejectWithin)
	defer cancel()
	object, err := m.inv.Get(ctx, uuid)
	run := m.running(uuid)
	if err != nil || run == nil {
		return // it has ended, or has been deleted
	}
	online, err := m.onlineCPUs(ctx, run, object.Value)
	if err != nil {
		m.log.Debug("the guest agent did not tell of its CPUs", "machine", object.Value.Spec.Name, "error", err)
		return
	}
	m.modify(uuid, func(record *inventory.Record) {
		if record.Status.Agent {
			record.Status.CPUsOnline = online
		}
	})
}

// onlineCPUs is how many CPUs a guest uses, once it has left alone those that it is to.
func (m *Manager) onlineCPUs(ctx context.Context, run *run, record inventory.Record) (int, error) {
	if record.Status.Accelerator != "kvm" && record.Status.CPUs > record.Spec.CPU.Count {
		return useCPUs(ctx, run, record.Spec.CPU.Count)
	}
	agent, err := run.ReachAgent(ctx)
	if err != nil {
		return 0, err
	}
	defer agent.Close()
	cpus, err := agent.VCPUs(ctx)
	return countOnline(cpus), err
}

// countCPUs writes down how many CPUs a running machine has: a guest may let
// go of one long after it was asked to.
func (m *Manager) countCPUs(uuid string) {
	ctx, cancel := context.WithTimeout(m.base, adoptWithin)
	defer cancel()
	run := m.running(uuid)
	if run == nil {
		return
	}
	count, err := run.PluggedCPUs(ctx)
	if err != nil {
		return // it is ending: its supervisor writes that down
	}
	m.modify(uuid, func(record *inventory.Record) {
		status := &record.Status
		if status.PID == 0 || status.CPUs == count {
			return
		}
		status.CPUs = count
		status.CPUsOnline = min(status.CPUsOnline, count)
		if count < record.Spec.CPU.Count {
			status.Warnings = addOnce(status.Warnings, fmt.Sprintf("the guest has let go of a CPU after all: %d are plugged in, and the spec says %d", count, record.Spec.CPU.Count))
		}
	})
}
