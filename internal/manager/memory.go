package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/runner"
)

const (
	// memoryStill is how long a guest may do nothing about its memory that it was
	// asked for before it counts as one that does not hear.
	memoryStill = 10 * time.Second
	// memorySilent is the same of a guest that has never said how its memory stands:
	// hardly a driver runs in it.
	memorySilent = 3 * time.Second
	// unplugStill is how long a guest may be stuck with memory that it is to let go of
	// as a whole, before the balloon takes it.
	unplugStill = 4 * time.Second
	// memoryWithin bounds a change of memory in all.
	memoryWithin = 5 * time.Minute
)

// beginMemory prepares the memory of a machine that was just started, before its guest
// runs: the guest's driver finds what it is asked for when it comes up.
func (m *Manager) beginMemory(ctx context.Context, run *run, spec api.Spec, saved bool) error {
	if err := run.PollGuestMemory(ctx, pollEvery); err != nil {
		return fmt.Errorf("have the guest asked for its memory: %w", err)
	}
	run.follow(spec)
	if parts := machine.MemoryOf(spec.Memory); !saved && parts.Ballooned > 0 {
		return run.AskMemory(ctx, int64(parts.Plugged), int64(parts.Ballooned))
	}
	return nil
}

// adoptMemory takes the memory of a machine over that another daemon has started:
// a change of it may have been cut off.
func (m *Manager) adoptMemory(ctx context.Context, run *run, spec api.Spec) {
	run.follow(spec)
	err := run.PollGuestMemory(ctx, pollEvery)
	if parts := machine.MemoryOf(spec.Memory); err == nil && !machine.IsAutomatic(spec.Memory) {
		err = run.AskMemory(ctx, int64(parts.Plugged), int64(parts.Ballooned))
	}
	if err != nil {
		m.log.Debug("the memory of a machine could not be set", "machine", spec.Name, "error", err)
	}
}

// noteMemory writes down how the memory of a running machine stands.
func noteMemory(ctx context.Context, run *run, record *inventory.Record) {
	now, err := run.Memory(ctx)
	if err != nil {
		return // it is ending: its supervisor writes that down
	}
	noteStanding(record, now)
}

func noteStanding(record *inventory.Record, now runner.Memory) {
	status := api.MemoryStatus{}
	if before := record.Status.Memory; before != nil {
		status = *before // never change one that others may hold
	}
	status.Assigned, status.Plugged, status.Ballooned = api.Size(now.Assigned()), api.Size(now.Plugged), api.Size(now.Ballooned)
	record.Status.Memory = &status
}

// turnMemory brings about in a running guest what its spec says of its memory
// otherwise than before.
func (m *Manager) turnMemory(ctx context.Context, run *run, record *inventory.Record, before api.Memory) error {
	after := record.Spec.Memory
	run.follow(record.Spec)
	if machine.IsAutomatic(after) || machine.MemoryOf(before) == machine.MemoryOf(after) && !machine.IsAutomatic(before) {
		return nil
	}
	run.memory.Lock()
	defer run.memory.Unlock()
	from, err := run.Memory(ctx)
	if err != nil {
		return err
	}
	now, err := m.moveMemory(ctx, run, after)
	if err != nil {
		_ = run.AskMemory(context.WithoutCancel(ctx), from.Plugged, from.Ballooned)
		return err
	}
	noteStanding(record, now)
	record.Status.Memory.Step = &api.MemoryStep{
		Time: time.Now().UTC(), Action: direction(from, now), From: api.Size(from.Assigned()), To: record.Status.Memory.Assigned, Reason: "by command",
	}
	return nil
}

func direction(from, to runner.Memory) string {
	if to.Assigned() > from.Assigned() {
		return "grow"
	}
	return "shrink"
}

// moveMemory asks the guest for what its spec says and waits for it. What it cannot
// unplug goes into the balloon instead.
func (m *Manager) moveMemory(ctx context.Context, run *run, memory api.Memory) (runner.Memory, error) {
	ctx, cancel := context.WithTimeout(ctx, memoryWithin)
	defer cancel()
	parts := machine.MemoryOf(memory)
	plugged, ballooned := int64(parts.Plugged), int64(parts.Ballooned)
	if err := run.AskMemory(ctx, plugged, ballooned); err != nil {
		return runner.Memory{}, err
	}
	still := memoryPatience(ctx, run)
	now, err := run.AwaitMemory(ctx, plugged, ballooned, min(still, unplugStill))
	stuck := now.Plugged - plugged
	if errors.Is(err, runner.ErrGuestKeeps) && stuck <= 0 && still > unplugStill {
		now, err = run.AwaitMemory(ctx, plugged, ballooned, still-unplugStill)
	}
	if !errors.Is(err, runner.ErrGuestKeeps) || stuck <= 0 || ballooned+stuck > now.Base {
		return now, memoryKept(now, parts, still, err)
	}
	// The memory that it could not free as a whole it may still give page by page.
	ballooned += stuck
	if err := run.AskMemory(ctx, plugged, ballooned); err != nil {
		return now, err
	}
	now, err = run.AwaitMemory(ctx, now.Plugged, ballooned, still)
	return now, memoryKept(now, parts, still, err)
}

// memoryPatience is how long a guest may do nothing about its memory.
func memoryPatience(ctx context.Context, run *run) time.Duration {
	if said, err := run.GuestMemory(ctx); err == nil && said.Updated.IsZero() {
		return memorySilent
	}
	return memoryStill
}

// memoryKept says what a guest has not done about its memory.
func memoryKept(now runner.Memory, asked machine.MemoryParts, still time.Duration, err error) error {
	if !errors.Is(err, runner.ErrGuestKeeps) {
		return err
	}
	var said string
	switch {
	case now.Ballooned != int64(asked.Ballooned):
		said = fmt.Sprintf("of %v for the balloon it has given %v", asked.Ballooned, whole(now.Ballooned))
	case now.Plugged > int64(asked.Plugged):
		said = fmt.Sprintf("it cannot let go of %v of what is plugged in", whole(now.Plugged-int64(asked.Plugged)))
	default:
		said = fmt.Sprintf("of %v to be plugged in it has taken %v", asked.Plugged, whole(now.Plugged))
	}
	return problem.New(api.KindTimeout, "load its virtio_balloon and virtio_mem drivers, free memory in it, or change it while the machine is off",
		"the guest has not moved for %s: %s", still, said)
}

// whole is a size in whole megabytes, for people.
func whole(bytes int64) api.Size { return api.Size(bytes) / api.MiB * api.MiB }
