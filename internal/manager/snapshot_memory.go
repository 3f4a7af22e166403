package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/internal/task"
)

// takeMemory takes a snapshot of a running or paused machine with its memory: at the
// instant that the memory is of, the disks branch.
func (m *Manager) takeMemory(ctx context.Context, r *task.Run, t *taking, run *run) error {
	thaw, err := m.prepareTaking(ctx, r, t, run)
	if err != nil {
		return err
	}
	defer thaw()
	r.Step("writing the memory")
	memory, err := newMemoryWriter(t.dir.Path(heldFolder(t.node.ID), heldMemory), t.dir, t.object.Value.Spec.Drives)
	if err != nil {
		return err
	}
	stood, err := run.SaveLive(ctx, memory, func(ctx context.Context) error { return m.branch(ctx, t, run) }, func(done, total int64) {
		r.Report(api.Progress{Step: "writing the memory", Done: done, Total: total, Unit: "bytes"})
	})
	if err != nil {
		return errors.Join(fmt.Errorf("write the memory: %w", err), memory.abort())
	}
	size, err := memory.finish()
	if err != nil {
		return err
	}
	t.node.Memory = api.Size(size)
	r.Result(func(result *api.TaskResult) {
		result.Standstill, result.Method = milliseconds(stood.Stood), stood.Way
	})
	if stood.Way == runner.LiveStopped && t.node.State == api.StateRunning {
		r.Warn("the guest stood still while its memory was written: QEMU or the kernel could not do it otherwise")
	}
	if err := fault.At(ctx, "snapshot.memory-written"); err != nil {
		return err
	}
	return m.keepBeside(ctx, t)
}
