package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// movedFolder is the arguments of the undo step "unmove".
type movedFolder struct {
	UUID string `json:"uuid"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Move begins to move a machine's folder into another directory.
func (m *Manager) Move(ctx context.Context, ref string, request api.MoveRequest) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.tryMove(ctx, ref, request) })
}

func (m *Manager) tryMove(ctx context.Context, ref string, request api.MoveRequest) (api.Task, error) {
	object, err := m.allowed(ctx, ref, machine.OpMove)
	if err != nil {
		return api.Task{}, err
	}
	name, from := object.Value.Spec.Name, m.folderOf(object)
	if request.Pool != "" {
		if request.Directory, err = m.Pools().directory(ctx, request.Pool); err != nil {
			return api.Task{}, fmt.Errorf("move %s: %w", name, err)
		}
	}
	to := folder.Folder(filepath.Join(request.Directory, filepath.Base(string(from))))
	if err := m.movable(ctx, object, request.Directory, to); err != nil {
		return api.Task{}, err
	}
	if state := object.Value.Status.State; state == api.StateRunning || state == api.StatePaused {
		return m.relocate(ctx, object, to)
	}
	order, err := m.claim(ctx, object, kindMove, object.Value.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	step := movedFolder{object.Key, string(from), string(to)}
	order.Journal = append(order.Journal, task.NewUndo("unmove", step))
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.move(ctx, r, step); err != nil {
			return fmt.Errorf("move %s: %w", name, m.orAway(ctx, string(to), err))
		}
		return nil
	})
}

// movable checks that a machine's folder can be moved.
func (m *Manager) movable(ctx context.Context, object inventory.Object, directory string, to folder.Folder) error {
	name, from := object.Value.Spec.Name, object.Value.Folder
	if !filepath.IsAbs(directory) {
		return problem.New(api.KindInvalid, "", "move %s: the directory %q must be an absolute path", name, directory)
	}
	info, err := os.Stat(directory)
	switch {
	case err != nil || !info.IsDir():
		return problem.New(api.KindNotFound, "make it first", "move %s: there is no directory %s", name, directory)
	case filepath.Clean(directory) == filepath.Dir(from):
		return problem.New(api.KindExists, "", "move %s: it is there already", name)
	case strings.HasPrefix(filepath.Clean(directory)+"/", from+"/"):
		return problem.New(api.KindInvalid, "", "move %s: %s is in the machine's own folder", name, directory)
	}
	if _, err := os.Lstat(string(to)); err == nil {
		return problem.New(api.KindExists, "move it away", "move %s: there is a %s already", name, to)
	}
	if err := removable(m.folderOf(object), name); err != nil {
		return err
	}
	if err := m.unedited(object); err != nil {
		return err
	}
	return m.unneeded(ctx, "move", object)
}

// move moves the folder by its name, or copies it where it comes to another file
// system, and makes the new place known.
func (m *Manager) move(ctx context.Context, r *task.Run, step movedFolder) error {
	from, to := folder.Folder(step.From), folder.Folder(step.To)
	if err := fault.At(ctx, "move.begun"); err != nil {
		return err
	}
	err := from.MoveTo(to)
	copied := errors.Is(err, syscall.EXDEV)
	if copied {
		err = m.moveCopied(ctx, r, step)
	}
	if err != nil {
		return err
	}
	if err := fault.At(ctx, "move.in-place"); err != nil {
		return err
	}
	if err := m.endMove(ctx, r, step, copied); err != nil {
		return err
	}
	_ = fault.At(ctx, "move.committed") // what was asked for is done
	if copied {
		if err := m.empty(context.WithoutCancel(ctx), step.UUID, trashFolder(from, step.UUID)); err != nil {
			r.Warn(err.Error())
		}
	}
	return nil
}

// moveCopied copies the folder to its new place, and puts the old one out of
// sight.
func (m *Manager) moveCopied(ctx context.Context, r *task.Run, step movedFolder) error {
	from, staging := folder.Folder(step.From), comingFolder(step)
	if err := roomToMove(step.From, filepath.Dir(step.To), 0); err != nil {
		return err
	}
	if err := copyMissing(ctx, r, step, func(string) bool { return false }); err != nil {
		return err
	}
	if err := fault.At(ctx, "move.copied"); err != nil {
		return err
	}
	if err := m.poolThere(ctx, staging); err != nil {
		return err
	}
	if err := staging.MoveTo(folder.Folder(step.To)); err != nil {
		return err
	}
	return from.MoveTo(trashFolder(from, step.UUID))
}

// comingFolder is where a folder is copied to before it gets its name there.
func comingFolder(step movedFolder) folder.Folder {
	return staging(step.UUID, step.To)
}

// endMove makes the new place known.
func (m *Manager) endMove(ctx context.Context, r *task.Run, step movedFolder, copied bool) error {
	for {
		object, err := m.inv.Get(ctx, step.UUID)
		if err != nil {
			return err
		}
		object.Value.Folder, object.Value.Status.Task = step.To, ""
		ops, err := m.inv.UpdateOps(ctx, object, object.Value.Spec)
		if err != nil {
			return err
		}
		if copied {
			var discard state.Op
			if discard, err = m.discardOp(step.UUID, trashFolder(folder.Folder(step.From), step.UUID)); err != nil {
				return err
			}
			ops = append(ops, discard)
		}
		if err := r.End(ctx, ops...); !isConflict(err) {
			return err
		}
	}
}

// unmove undoes move: the folder goes back to where it was, and what was copied
// is removed.
func (m *Manager) unmove(ctx context.Context, step movedFolder) error {
	from, to := folder.Folder(step.From), folder.Folder(step.To)
	if err := trashFolder(from, step.UUID).MoveTo(from); err != nil && !isNotExist(err) {
		return err
	}
	if err := m.removeStaging(ctx, step.UUID, step.To); err != nil {
		return err
	}
	doc, _, err := to.Read()
	if err != nil || doc.Spec.UUID != step.UUID {
		return nil // never there, or somebody else's
	}
	if _, err := os.Lstat(step.From); err == nil {
		return to.Remove()
	}
	return to.MoveTo(from)
}
