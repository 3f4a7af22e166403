package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// adoptWithin is how long a QEMU that was found may take to answer.
const adoptWithin = 15 * time.Second

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
		"unmake":    undoer(func(_ context.Context, step made) error { return m.unmake(step) }),
		"move-back": undoer(func(_ context.Context, step movedImage) error { return m.moveBack(step) }),
		"undelete":  undoer(func(_ context.Context, step made) error { return m.undelete(step) }),
		"unsave":    undoer(m.unsave),
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
	if err := m.tasks.Recover(ctx); err != nil {
		return err
	}
	if err := m.sweep(); err != nil {
		return err
	}
	if newest, err := m.Store.Revision(ctx); err != nil {
		return err
	} else if newest != seen {
		if objects, _, err = m.inv.All(ctx); err != nil && !errors.Is(err, state.ErrUndecodable) {
			return err
		}
	}
	return m.reconcileAll(ctx, objects)
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
			m.adopt(ctx, object)
		})
	}
	group.Wait()
}

func (m *Manager) adopt(ctx context.Context, object inventory.Object) {
	asking, cancel := context.WithTimeout(ctx, adoptWithin)
	defer cancel()
	session, err := runner.Attach(asking, m.runnerMachine(object))
	if errors.Is(err, runner.ErrNoProcess) {
		return
	}
	name := object.Value.Spec.Name
	if err != nil {
		m.log.Error("a machine's process could not be adopted", "machine", name, "error", err)
		return
	}
	m.log.Info("adopted a machine", "machine", name, "pid", session.PID())
	m.watchOver(object.Key, session)
}

// sweep removes the folders of machines that were being made or deleted.
func (m *Manager) sweep() error {
	entries, err := os.ReadDir(m.machinesDir())
	if err != nil {
		return err
	}
	for _, entry := range entries {
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
	if problem.Of(err).Kind == api.KindNotFound {
		return nil
	}
	return err
}

// settleObject is settleOps for a record that was read already.
func (m *Manager) settleObject(ctx context.Context, object inventory.Object) ([]state.Op, error) {
	var err error
	uuid, before := object.Key, object.Value
	record := &object.Value
	record.Status.Task = ""
	if err := m.folderOf(object).Settle(record.Digest); err != nil && !isNotExist(err) {
		m.log.Warn("machine.json could not be settled", "machine", record.Spec.Name, "error", err)
	}
	if run := m.running(uuid); run != nil {
		err = m.settleRunning(ctx, run, object, record)
	} else {
		m.settleEnded(object, record)
	}
	if err != nil {
		return nil, err
	}
	if same(before, *record) {
		return nil, nil
	}
	return m.inv.UpdateOps(ctx, object, before.Spec)
}

// settleRunning settles the record of a machine that has a process.
func (m *Manager) settleRunning(ctx context.Context, run *run, object inventory.Object, record *inventory.Record) error {
	running, word, err := run.Running(ctx)
	if err != nil {
		return nil // it is ending: its supervisor writes that down
	}
	switch {
	case record.Status.State == api.StateSaved || record.Status.State == api.StateOff || word == "inmigrate":
		// Saved but not yet ended, or reading a saved state that is still whole:
		// the state on disk is the machine, the process is not.
		return m.endStray(ctx, run, object, record)
	case record.Status.State == api.StatePaused && !running:
		return nil
	case !running && (word == "paused" || word == "postmigrate" || word == "prelaunch"):
		// A task stopped its CPUs, or was about to let them run.
		if err := removeState(m.folderOf(object)); err != nil {
			return err
		}
		if err := run.Resume(ctx); err != nil {
			return err
		}
	}
	if record.Status.PID == 0 {
		if err := m.describeRun(ctx, run, record); err != nil {
			return err
		}
	}
	m.enter(record, api.StateRunning)
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
