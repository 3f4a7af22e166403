package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// undoers are the ways back of this package's tasks.
func (m *Manager) undoers() map[string]task.Undoer {
	return map[string]task.Undoer{
		"settle": func(ctx context.Context, args json.RawMessage) ([]state.Op, error) {
			step, err := decode[settle](args)
			if err != nil {
				return nil, err
			}
			return m.settleOps(ctx, step.UUID)
		},
		"unmake":          undoer(m.unmake),
		"move-back":       undoer(func(_ context.Context, step movedImage) error { return m.moveBack(step) }),
		"unmake-medium":   undoer(func(_ context.Context, step madeImage) error { return m.unmakeMedium(step) }),
		"unmove-medium":   undoer(m.unmoveMedium),
		"unmirror-medium": undoer(m.unmirrorMedium),
		"unmove":          undoer(m.unmove),
		"unrelocate":      undoer(m.unrelocate),
		"undelete":        undoer(func(_ context.Context, step made) error { return m.undelete(step) }),
		"unsave":          undoer(m.unsave),
		"unpublish":       undoer(func(_ context.Context, step exporter.Publication) error { return step.Undo() }),
		"untake":          undoer(m.undoTake),
		"unrestore":       undoer(func(_ context.Context, step unrestore) error { return m.undoRestore(step) }),
		"rewire":          undoer(m.unwire),
	}
}

// undoer makes a task.Undoer of a function that only cleans up.
func undoer[T any](undo func(context.Context, T) error) task.Undoer {
	return func(ctx context.Context, args json.RawMessage) ([]state.Op, error) {
		step, err := decode[T](args)
		if err != nil {
			return nil, err
		}
		return nil, undo(ctx, step)
	}
}

func decode[T any](args json.RawMessage) (step T, err error) {
	err = json.Unmarshal(args, &step)
	return step, err
}

// takeOver makes this daemon the keeper of what an earlier one left.
func (m *Manager) takeOver(ctx context.Context) error {
	if err := os.MkdirAll(m.machinesDir(), 0o711); err != nil {
		return err
	}
	objects, seen, err := m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return err
	}
	m.adoptAll(ctx, objects)
	m.released()
	if err := m.tasks.Recover(ctx, m.afterSilence(objects)); err != nil {
		return err
	}
	close(m.recovered)
	if err := errors.Join(m.sweep(), m.emptyAll(ctx)); err != nil {
		return err
	}
	if newest, err := m.Store.Revision(ctx); err != nil {
		return err
	} else if newest != seen {
		if objects, _, err = m.inv.All(ctx); err != nil && !errors.Is(err, state.ErrUndecodable) {
			return err
		}
	}
	if err := m.reconcileAll(ctx, objects); err != nil {
		return err
	}
	m.goOnAll(ctx)
	return nil
}

// reconcileAll reconciles several machines at once: with thousands of them it
// is most of a daemon's start.
func (m *Manager) reconcileAll(ctx context.Context, objects []inventory.Object) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, object := range objects {
		group.Go(func() error {
			if err := m.reconcile(ctx, object); err != nil {
				return fmt.Errorf("machine %s: %w", object.Value.Spec.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// sweep removes the folders of machines that were being made or deleted. What an
// import was to keep stays.
func (m *Manager) sweep() error {
	entries, err := os.ReadDir(m.machinesDir())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), keptPrefix) {
			if _, err := sweepKept(folder.Folder(filepath.Join(m.machinesDir(), entry.Name()))); err != nil {
				return err
			}
		}
		if strings.HasPrefix(entry.Name(), ".new-") || strings.HasPrefix(entry.Name(), ".deleted-") {
			if err := os.RemoveAll(filepath.Join(m.machinesDir(), entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// reconcile makes a machine's record agree with what is there.
func (m *Manager) reconcile(ctx context.Context, object inventory.Object) error {
	for {
		ops, err := m.settleObject(ctx, object)
		if err != nil || len(ops) == 0 {
			return err
		}
		if _, err = m.Store.Commit(ctx, ops...); !isConflict(err) {
			return err
		}
		if object, err = m.inv.Get(ctx, object.Key); err != nil {
			return unlessGone(err)
		}
	}
}

// settleOps are the ops that make a machine's record agree with its process
// and its files, and release it from whatever task had claimed it.
func (m *Manager) settleOps(ctx context.Context, uuid string) ([]state.Op, error) {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return nil, unlessGone(err)
	}
	return m.settleObject(ctx, object)
}

// unlessGone is an error of looking for a machine, but for that there is none:
// it was never made, or is gone, and nothing is left to settle.
func unlessGone(err error) error {
	if err != nil && problem.Of(err).Kind == api.KindNotFound {
		return nil
	}
	return err
}

// settleObject is settleOps for a record that was read already.
func (m *Manager) settleObject(ctx context.Context, object inventory.Object) ([]state.Op, error) {
	var err error
	uuid, before := object.Key, object.Value
	record := &object.Value
	if !m.isSilent(uuid) {
		record.Status.Task = ""
	}
	m.settleDocument(object)
	if run := m.running(uuid); run != nil {
		err = m.settleRunning(ctx, run, object, record)
	} else if !m.isSilent(uuid) {
		m.settleEnded(object, record)
	}
	if !m.isSilent(uuid) {
		m.settleGoingOn(record)
	}
	m.warnSilent(uuid, &record.Status)
	if err != nil {
		return nil, err
	}
	if same(before, *record) {
		return nil, nil
	}
	return m.inv.UpdateOps(ctx, object, before.Spec)
}

// settleDocument finishes putting machine.json in place, where that was cut off.
func (m *Manager) settleDocument(object inventory.Object) {
	dir := m.folderOf(object)
	defer m.documents.hold(dir)()
	if latest, err := m.inv.Get(m.base, object.Key); err == nil {
		object = latest
	}
	if err := dir.Settle(object.Value.Digest); err != nil && !isNotExist(err) {
		m.log.Warn("machine.json could not be settled", "machine", object.Value.Spec.Name, "error", err)
	}
}

// settleRunning settles the record of a machine that has a process.
func (m *Manager) settleRunning(ctx context.Context, run *run, object inventory.Object, record *inventory.Record) error {
	running, word, err := run.Running(ctx)
	if err != nil {
		return nil // it is ending: its supervisor writes that down
	}
	state := api.StateRunning
	switch {
	case record.Status.State == api.StateSaved || record.Status.State == api.StateOff || word == "inmigrate":
		// Saved but not yet ended, or reading a saved state that is still whole:
		// the state on disk is the machine, the process is not.
		return m.endStray(ctx, run, object, record)
	case record.Status.State == api.StatePaused && !running:
		return nil
	case !running && record.Merging && isPivoting(ctx, run, m.folderOf(object), record.Spec):
		// Its guest stands still until the images that it writes are put down:
		// merging them does that.
	case !running && (word == "paused" || word == "postmigrate" || word == "prelaunch"):
		// A task stopped its CPUs, or was about to let them run.
		if err := removeState(m.folderOf(object)); err != nil {
			return err
		}
		if record.StayPaused && word == "paused" {
			state = api.StatePaused
		} else if err := run.Resume(ctx); err != nil {
			return err
		}
	}
	record.StayPaused = false
	if count, err := run.PluggedCPUs(ctx); err == nil {
		record.Status.CPUs = count
	}
	if open, err := run.AgentOpen(ctx); err == nil {
		record.Status.Agent = open // it may have come or gone while no daemon ran
		if open {
			m.aside(func() { m.agentCame(object.Key) })
		}
	}
	if record.Status.PID == 0 {
		if err := m.describeRun(ctx, run, record); err != nil {
			return err
		}
	}
	m.enter(record, state)
	return nil
}

// describeRun fills in what a start that was cut off had not written yet.
func (m *Manager) describeRun(ctx context.Context, run *run, record *inventory.Record) error {
	machineType, accelerator, err := run.Describe(ctx)
	if err != nil {
		return nil // it is ending: its supervisor writes that down
	}
	now := time.Now().UTC()
	record.BootID = m.BootID
	record.Status.PID, record.Status.Started = run.PID(), &now
	record.Status.MachineType, record.Status.Accelerator = machineType, accelerator
	if record.Spec.Display.Type == "vnc" {
		record.Status.VNC = m.runtimeDir(record.Spec.UUID).Display()
	}
	return nil
}

func (m *Manager) endStray(ctx context.Context, run *run, object inventory.Object, record *inventory.Record) error {
	wasSaved := hasState(m.folderOf(object))
	m.log.Warn("ending a process that is not the machine any more", "machine", record.Spec.Name, "pid", run.PID())
	if err := run.PowerOff(ctx, api.EndSaved); err != nil {
		return err
	}
	if wasSaved {
		m.enter(record, api.StateSaved)
	}
	return nil
}

// settleEnded settles the record of a machine that has no process.
func (m *Manager) settleEnded(object inventory.Object, record *inventory.Record) {
	status := &record.Status
	switch saved := hasState(m.folderOf(object)); {
	case saved:
		// A saved state with its name is whole, and is removed before its guest
		// runs on: while it is there it is the machine.
		m.enter(record, api.StateSaved)
		status.PID, status.Started = 0, nil
		return
	case status.State == api.StateOff:
		return
	case status.State == api.StateStarting:
		m.enter(record, api.StateOff)
		return
	}
	end := api.End{Reason: api.EndKilled, Time: time.Now().UTC(), Detail: "its process was gone when the daemon started"}
	if record.BootID != "" && record.BootID != m.BootID {
		end.Reason, end.Detail = api.EndHostRestart, "the host was restarted"
	}
	*status = afterRun(*status, end)
	m.decideRestart(record, end, 0)
}

func same(a, b inventory.Record) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && string(left) == string(right)
}
