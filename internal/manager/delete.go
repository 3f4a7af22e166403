package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// Delete begins to forget a machine and to remove its files. The images it was
// made from stay.
func (m *Manager) Delete(ctx context.Context, ref string, request api.DeleteRequest) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.tryDelete(ctx, ref, request) })
}

func (m *Manager) tryDelete(ctx context.Context, ref string, request api.DeleteRequest) (api.Task, error) {
	object, err := m.inv.Find(ctx, ref)
	if err != nil {
		return api.Task{}, err
	}
	if request.Force {
		if err := m.interrupt(ctx, object); err != nil {
			return api.Task{}, fmt.Errorf("delete %s: %w", object.Value.Spec.Name, err)
		}
		object, err = m.inv.Get(ctx, object.Key)
	} else {
		object, err = m.allowed(ctx, object.Key, machine.OpDelete)
	}
	if err != nil {
		return api.Task{}, err
	}
	if !request.KeepFiles {
		if err := m.poolThere(ctx, m.folderOf(object)); err != nil {
			return api.Task{}, problem.New(problem.Of(err).Kind, "mount its file system, or forget the machine with --keep-files",
				"delete %s: its files are not there: %s", object.Value.Spec.Name, problem.Of(err).Detail)
		}
		if err := m.unneeded(ctx, "delete", object); err != nil {
			return api.Task{}, err
		}
		if err := removable(m.folderOf(object), object.Value.Spec.Name); err != nil {
			return api.Task{}, err
		}
		if err := m.notElsewhere(ctx, object); err != nil {
			return api.Task{}, fmt.Errorf("delete %s: %w", object.Value.Spec.Name, err)
		}
	}
	order, err := m.claim(ctx, object, "machine.delete", object.Value.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	dir := m.folderOf(object)
	order.Journal = append(order.Journal, task.NewUndo("undelete", made{object.Key, string(dir)}))
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.delete(ctx, r, object, dir, request.KeepFiles); err != nil {
			return fmt.Errorf("delete %s: %w", object.Value.Spec.Name, err)
		}
		return nil
	})
}

// delete moves the folder out of sight, forgets the machine, and then removes
// the folder. A crash in between leaves the machine whole, or a folder that
// the next daemon removes.
func (m *Manager) delete(ctx context.Context, r *task.Run, object inventory.Object, dir folder.Folder, keepFiles bool) error {
	uuid := object.Key
	m.forgetRestart(uuid)
	if run := m.running(uuid); run != nil {
		r.Step("powering off")
		if err := m.powerOff(ctx, run, api.EndStopped); err != nil {
			return err
		}
	} else if err := m.endSilent(ctx, object); err != nil {
		return err
	}
	if err := fault.At(ctx, "delete.stopped"); err != nil {
		return err
	}
	trash := trashFolder(dir, uuid)
	if !keepFiles {
		if err := dir.MoveTo(trash); err != nil && !isNotExist(err) {
			return err
		}
	}
	if err := fault.At(ctx, "delete.moved"); err != nil {
		return err
	}
	if err := m.forget(ctx, r, uuid, trash); err != nil {
		return err
	}
	// What was asked for is done: here only a kill could still come between.
	_ = fault.At(ctx, "delete.committed")
	if err := m.empty(context.WithoutCancel(ctx), uuid, trash); err != nil {
		m.log.Warn("a deleted machine's files could not be removed", "folder", trash, "error", err)
	}
	m.reclaimLater(context.WithoutCancel(ctx))
	return nil
}

// removable checks that a folder holds nothing but the machine.
func removable(dir folder.Folder, name string) error {
	foreign, err := dir.Foreign()
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	if len(foreign) == 0 {
		return nil
	}
	return problem.New(api.KindRefused, "move them away, or forget the machine and keep its files with --keep-files",
		"delete %s: its folder %s holds files that are not the machine's: %s", name, dir, strings.Join(foreign, ", "))
}

// forget ends the task with the machine's record gone, and a note of where its
// files are to be removed.
func (m *Manager) forget(ctx context.Context, r *task.Run, uuid string, trash folder.Folder) error {
	discard, err := m.discardOp(uuid, trash)
	if err != nil {
		return err
	}
	for {
		object, err := m.inv.Get(ctx, uuid)
		if err != nil {
			return err
		}
		err = r.End(ctx, append(m.inv.DeleteOps(object), discard)...)
		if !isConflict(err) {
			return err
		}
	}
}

// trashFolder is where a deleted machine's files are until they are removed:
// beside where they were, so that moving them there is one step.
func trashFolder(dir folder.Folder, uuid string) folder.Folder {
	return folder.Folder(filepath.Join(filepath.Dir(string(dir)), ".deleted-"+uuid))
}

// undelete puts the folder back.
func (m *Manager) undelete(step made) error {
	dir := folder.Folder(step.Folder)
	err := trashFolder(dir, step.UUID).MoveTo(dir)
	if isNotExist(err) {
		return nil
	}
	return err
}

// interrupt cancels the task that is at work on a machine, if there is one,
// and waits until it has ended. One of an earlier daemon that waits for the machine's process
// to answer ends with that. Where there is no space to store the end it does not wait for that: the error
// is state.ErrNoSpace, and what the task did has ended.
func (m *Manager) interrupt(ctx context.Context, object inventory.Object) error {
	id := object.Value.Status.Task
	if id == "" {
		return nil
	}
	m.mu.Lock()
	if m.merging[object.Key] == id {
		delete(m.merging, object.Key) // it gives way, and is not cancelled by a user
	}
	m.mu.Unlock()
	if err := m.endSilent(ctx, object); err != nil {
		return err
	}
	if _, err := m.tasks.Cancel(ctx, id); err != nil && !errors.Is(err, context.Canceled) {
		m.log.Debug("a task could not be cancelled, it may have ended", "task", id, "error", err)
	}
	return m.tasks.WaitWithSpace(ctx, id)
}
