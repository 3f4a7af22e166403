package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// A machine that runs moves with its guest, which stands still for as long as its memory is written and read:
//
//	another file system: claimed ─► images branch and what is below is copied, while the guest runs (relocate_copy.go)
//	    ─► guest stands still, its state and the rest are written there ─► committed ─► process ended, started there ─► old folder removed
//	   undo: what is there goes, and the guest goes on in its process
//
//	the same one: claimed ─► saved, process ended ─► folder renamed ─► committed ─► started there
//	   undo: the folder goes back; once the process was ended, the guest goes on from its saved state
//
// The folder that the record names has, at any time, all that the machine is.

// relocated is the arguments of the undo step "unrelocate".
type relocated struct {
	movedFolder
	Paused bool `json:"paused,omitempty"` // its guest stands still, and is to stay so
	Far    bool `json:"far,omitempty"`    // it goes to another file system
}

// Kinds of the tasks that move and start machines.
const (
	kindMove  = "machine.move"
	kindStart = "machine.start"
)

// relocate begins to move the folder of a machine whose guest is in memory.
func (m *Manager) relocate(ctx context.Context, object inventory.Object, to folder.Folder) (api.Task, error) {
	record := object.Value
	name := record.Spec.Name
	if reason := machine.Unsavable(record.Spec); reason != "" {
		return api.Task{}, problem.New(api.KindUnsupported, "shut it down first", "move %s: %s, and so its guest cannot come along", name, reason)
	}
	keys, err := m.unlocked(object.Key, m.folderOf(object), record.Spec.Drives)
	if err != nil {
		return api.Task{}, fmt.Errorf("move %s: %w", name, err)
	}
	step := relocated{movedFolder: movedFolder{object.Key, record.Folder, string(to)}, Paused: record.Status.State == api.StatePaused}
	if step.Far, err = differentFileSystems(record.Folder, filepath.Dir(string(to))); err != nil {
		return api.Task{}, fmt.Errorf("move %s: %w", name, err)
	}
	if step.Far {
		if err := roomToMove(record.Folder, filepath.Dir(string(to)), int64(record.Spec.Memory.Size)); err != nil {
			return api.Task{}, fmt.Errorf("move %s: %w", name, err)
		}
	}
	object.Value.GoesOn = true
	m.triedToGoOn(object.Key, false)
	order, err := m.claim(ctx, object, kindMove, record.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	order.Journal = append(order.Journal, task.NewUndo("unrelocate", step))
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.relocateTo(ctx, r, step, keys); err != nil {
			return fmt.Errorf("move %s: %w", name, m.orAway(ctx, step.To, err))
		}
		return nil
	})
}

// differentFileSystems tells whether two files are on different file systems.
func differentFileSystems(a, b string) (bool, error) {
	var one, other unix.Stat_t
	if err := errors.Join(unix.Stat(a, &one), unix.Stat(b, &other)); err != nil {
		return false, err
	}
	return one.Dev != other.Dev, nil
}

func (m *Manager) relocateTo(ctx context.Context, r *task.Run, step relocated, keys map[string][]byte) error {
	run := m.running(step.UUID)
	if run == nil {
		return errEndedMeanwhile
	}
	if err := fault.At(ctx, "relocate.begun"); err != nil {
		return err
	}
	away := m.renameAway
	if step.Far {
		away = m.copyAway
	}
	stood, err := away(ctx, r, step, run)
	if err != nil {
		return err
	}
	if err := fault.At(ctx, "relocate.in-place"); err != nil {
		return err
	}
	// From the commit on there is no way back: what is at the new place is the machine.
	after := context.WithoutCancel(ctx)
	if err := m.commitRelocation(after, step); err != nil {
		return err
	}
	_ = fault.At(ctx, "relocate.committed") // what was asked for is done
	if err := m.powerOff(after, run, api.EndSaved); err != nil {
		return err
	}
	return m.goOnThere(after, r, step, keys, stood)
}

// renameAway saves a machine, ends its process, and renames its folder. It tells since when the guest stands still.
func (m *Manager) renameAway(ctx context.Context, r *task.Run, step relocated, run *run) (stood time.Time, err error) {
	object, err := m.inv.Get(ctx, step.UUID)
	if err != nil {
		return stood, err
	}
	if err := m.endMerges(ctx, object, run); err != nil {
		return stood, err
	}
	if err := run.Pause(ctx); err != nil {
		return stood, err
	}
	stood = time.Now()
	r.Step("writing the memory")
	if err := m.writeState(ctx, r, run, folder.Folder(step.From), object.Value.Spec.Drives); err != nil {
		return stood, err
	}
	if err := fault.At(ctx, "relocate.written"); err != nil {
		return stood, err
	}
	// Before the folder moves: what a process has by its path must not vanish under it, nor under
	// a daemon that looks for it.
	if err := m.powerOff(context.WithoutCancel(ctx), run, api.EndSaved); err != nil {
		return stood, err
	}
	if err := fault.At(ctx, "relocate.ended"); err != nil {
		return stood, err
	}
	return stood, folder.Folder(step.From).MoveTo(folder.Folder(step.To))
}

// commitRelocation puts down that a machine is at its new place, and saved there. The task goes on: it is to be
// started.
func (m *Manager) commitRelocation(ctx context.Context, step relocated) error {
	to := folder.Folder(step.To)
	defer m.documents.hold(to)()
	digest, err := again(ctx, func() (string, error) {
		ops, digest, err := m.relocationOps(ctx, step)
		if err == nil {
			_, err = m.Store.Commit(ctx, ops...)
		}
		return digest, err
	})
	if err != nil {
		return err
	}
	if err := to.Settle(digest); err != nil {
		m.log.Warn("machine.json could not be put in place; it is done at the next change", "folder", to, "error", err)
	}
	return nil
}

func (m *Manager) relocationOps(ctx context.Context, step relocated) (ops []state.Op, digest string, err error) {
	object, err := m.inv.Get(ctx, step.UUID)
	if err != nil {
		return nil, "", err
	}
	if digest, err = folder.Folder(step.To).Prepare(documentOf(object.Value)); err != nil {
		return nil, "", fmt.Errorf("write machine.json: %w", err)
	}
	object.Value.Folder, object.Value.Digest, object.Value.StayPaused = step.To, digest, step.Paused
	m.enter(&object.Value, api.StateSaved)
	if ops, err = m.inv.UpdateOps(ctx, object, object.Value.Spec); err != nil || !step.Far {
		return ops, digest, err
	}
	discard, err := m.discardOp(step.UUID, folder.Folder(step.From))
	return append(ops, discard), digest, err
}

// goOnThere starts a machine that has moved, and ends the task; where it was is removed once the guest runs.
func (m *Manager) goOnThere(ctx context.Context, r *task.Run, step relocated, keys map[string][]byte, stood time.Time) error {
	_, err := m.inv.Modify(ctx, step.UUID, func(record *inventory.Record) error {
		m.enter(record, api.StateStarting)
		return nil
	})
	if err != nil {
		return err
	}
	return m.start(ctx, r, step.UUID, true, keys, func() {
		if !step.Paused {
			r.Result(func(result *api.TaskResult) { result.Standstill = milliseconds(time.Since(stood)) })
		}
		if !step.Far {
			return
		}
		r.Step("removing the old folder")
		if err := m.empty(ctx, step.UUID, folder.Folder(step.From)); err != nil {
			r.Warn(err.Error())
		}
	})
}

// unrelocate undoes a move that was not committed: the folder is where it was, nothing is at the other place, and the guest goes on,
// in its process if it has one. After the commit only what is at the old place goes.
func (m *Manager) unrelocate(ctx context.Context, step relocated) error {
	object, err := m.inv.Get(ctx, step.UUID)
	if err != nil {
		return unlessGone(err)
	}
	from, to := folder.Folder(step.From), folder.Folder(step.To)
	switch {
	case object.Value.Folder == step.To && step.Far:
		if err := m.empty(ctx, step.UUID, from); err != nil {
			m.log.Warn("a folder that is needed no more could not be removed", "folder", from, "error", err)
		}
		return nil
	case object.Value.Folder == step.To:
		return nil
	case step.Far:
		err = m.removeCopied(ctx, step)
	default:
		if _, missing := os.Lstat(step.From); isNotExist(missing) {
			err = to.MoveTo(from)
		}
	}
	if err != nil {
		return err
	}
	if m.running(step.UUID) == nil && hasState(from) {
		m.modify(step.UUID, func(record *inventory.Record) { record.StayPaused = step.Paused })
	}
	return m.unsave(ctx, unsaved{UUID: step.UUID, Folder: step.From, Paused: step.Paused})
}

// removeCopied removes what was copied to where a machine was to go. The guest, which stands still, does not wait for a pool
// that is away.
func (m *Manager) removeCopied(ctx context.Context, step relocated) error {
	if err := m.removeStaging(ctx, step.UUID, step.To); err != nil {
		m.log.Warn("what was copied could not be removed", "error", err)
	}
	to := folder.Folder(step.To)
	if doc, _, err := to.Read(); err != nil || doc.Spec.UUID != step.UUID {
		return nil // never there, or somebody else's
	}
	return to.Remove()
}

// settleGoingOn sees to it that a machine goes on which a task has saved for a moment only, and could not start
// again. Each daemon tries that once.
func (m *Manager) settleGoingOn(record *inventory.Record) {
	if record.Status.State != api.StateSaved {
		record.GoesOn = false
	}
	if record.GoesOn && m.tookOver.Load() && !m.triedToGoOn(record.Spec.UUID, true) {
		m.goOnLater(record.Spec.UUID)
	}
}

// triedToGoOn notes whether it was tried to let a machine go on, and tells what was noted before.
func (m *Manager) triedToGoOn(uuid string, tried bool) (before bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before = m.goneOn[uuid]
	m.goneOn[uuid] = tried
	return before
}

// goOnAll begins to start the machines that are to go on, as soon as a daemon has taken over.
func (m *Manager) goOnAll(ctx context.Context) {
	m.tookOver.Store(true)
	objects, _, err := m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		m.log.Warn("the machines could not be listed", "error", err)
	}
	for _, object := range objects {
		if !object.Value.GoesOn || object.Value.Status.State != api.StateSaved || m.triedToGoOn(object.Key, true) {
			continue
		}
		if _, err := again(ctx, func() (api.Task, error) { return m.goOn(object.Key) }); err != nil {
			m.log.Error("a machine that was saved for a moment could not be started again", "machine", object.Value.Spec.Name, "error", err)
		}
	}
}

// goOnLater starts a machine that is to go on, once nobody is at work on it.
func (m *Manager) goOnLater(uuid string) {
	m.aside(func() {
		select {
		case <-m.recovered:
		case <-m.base.Done():
			return
		}
		object, err := m.inv.Get(m.base, uuid)
		if err == nil {
			err = m.tasks.Wait(m.base, object.Value.Status.Task)
		}
		if err == nil {
			_, err = again(m.base, func() (api.Task, error) { return m.goOn(uuid) })
		}
		if err != nil && m.base.Err() == nil {
			m.log.Error("a machine that was saved for a moment could not be started again", "machine", object.Value.Spec.Name, "error", err)
		}
	})
}

func (m *Manager) goOn(uuid string) (api.Task, error) {
	object, err := m.inv.Get(m.base, uuid)
	if err != nil || !object.Value.GoesOn || object.Value.Status.State != api.StateSaved || object.Value.Status.Task != "" {
		return api.Task{}, unlessGone(err)
	}
	return m.beginStart(m.base, object, 0)
}

// whileRuns is a context that ends with a machine's process; done ends it.
func whileRuns(ctx context.Context, run *run) (running context.Context, done func()) {
	running, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-run.settled:
			cancel(errEndedMeanwhile)
		case <-running.Done():
		}
	}()
	return running, func() { cancel(nil) }
}

var errEndedMeanwhile = problem.New(api.KindWrongState, "try again", "it has ended meanwhile")

// because is the cause of an error that the end of a context is behind.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return err
}
