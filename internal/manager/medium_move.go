package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// Move moves the file of a medium that nothing uses, or that one machine, off or running, has attached where it lies. It is done by a
// task, so that a daemon that dies meanwhile leaves the file where its record says.
func (s *Media) Move(ctx context.Context, ref string, request api.MoveMediumRequest) (api.Medium, error) {
	found, err := s.Get(ctx, ref)
	if err != nil {
		return found, err
	}
	user, drive, err := s.writer(ctx, found)
	if err != nil {
		return found, err
	}
	if user == nil {
		if err := idle("move", found, true); err != nil {
			return found, err
		}
	}
	to := request.Path
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, filepath.Base(found.Location))
	}
	if err := alone(found, to); err != nil {
		return found, err
	}
	to, release, err := s.placeFor(ctx, api.MakeMediumRequest{Path: to}, found)
	if err != nil {
		return found, err
	}
	var begun api.Task
	if user != nil && s.m.running(user.Key) != nil {
		begun, err = s.moveLive(ctx, found, *user, *drive, to)
	} else {
		begun, err = s.moveStill(ctx, found, user, drive, to)
	}
	s.releaseAfter(begun, err, release)
	if err == nil {
		err = s.m.outcome(ctx, begun.ID)
	}
	if err != nil {
		return found, err
	}
	return s.Get(ctx, to)
}

// moveStill begins to move a medium that nobody has open: one in a drive of a machine that is off, if there is a user.
func (s *Media) moveStill(ctx context.Context, found api.Medium, user *inventory.Object, drive *api.Drive, to string) (begun api.Task, err error) {
	step := mirrored{movedMedium: movedMedium{UUID: found.UUID, From: found.Location, To: to}}
	if step.Far, err = differentFileSystems(found.Location, filepath.Dir(to)); err != nil {
		return begun, problem.New(api.KindNotFound, "make it first", "move %s: there is no directory %s", found.Location, filepath.Dir(to))
	}
	order := task.Order{Kind: "medium.move", Name: filepath.Base(to)}
	if user != nil {
		object, err := s.m.allowed(ctx, user.Key, machine.OpSet)
		switch {
		case err != nil:
			return begun, err
		case object.Value.Status.State != api.StateOff:
			return begun, problem.New(api.KindBusy, "try again", "move %s: %s is being started", found.Location, object.Value.Spec.Name)
		}
		if order, err = s.m.claim(ctx, object, order.Kind, api.StateOff); err != nil {
			return begun, err
		}
		step.Machine, step.Drive = object.Key, drive.Name
	}
	order.Journal = append(order.Journal, task.NewUndo("unmove-medium", step.movedMedium))
	return s.m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := s.move(ctx, r, step, media.Ref{Path: found.Location, Format: found.Format}); err != nil {
			return fmt.Errorf("move %s: %w", step.From, err)
		}
		return nil
	})
}

// alone checks that a medium is one file, which finds what it stands on from its new place, too.
func alone(found api.Medium, to string) error {
	described, err := media.DescribeFile(media.Ref{Path: found.Location, Format: found.Format})
	if err != nil {
		return nil //nolint:nilerr // one that cannot be looked at moves as it is
	}
	if len(described.Info.Files) > 0 {
		return problem.New(api.KindUnsupported, "copy it there with `panal medium copy`, and remove this one then",
			"move %s: it consists of several files, %s too", found.Location, described.Info.Files[0])
	}
	if parent := described.Info.Parent; parent != nil && parent.Name != "" && !filepath.IsAbs(parent.Name) && filepath.Dir(to) != filepath.Dir(found.Location) {
		return problem.New(api.KindUnsupported, "make a whole image of it with `panal medium copy`",
			"move %s: it stands on %s, which it would not find from there", found.Location, parent.Name)
	}
	return nil
}

// movedMedium is the arguments of the undo step "unmove-medium".
type movedMedium struct {
	UUID string `json:"uuid"`
	From string `json:"from"`
	To   string `json:"to"`
	Far  bool   `json:"far"` // on another file system, and so copied
}

// move holds the image all the time, so that no machine begins to write what is being copied.
func (s *Media) move(ctx context.Context, r *task.Run, step mirrored, ref media.Ref) (err error) {
	if err := fault.At(ctx, "medium.begun"); err != nil {
		return err
	}
	img, _, err := media.OpenImage(ref, media.OpenOptions{Alone: true, Locked: true})
	if err == nil {
		defer func() { err = errors.Join(err, img.Close()) }()
	} else if problem.Of(err).Kind == api.KindBusy { // one that cannot be looked at moves as it is
		return err
	}
	copied, err := media.Move(ctx, step.From, step.To, func(done, total int64) {
		r.Report(api.Progress{Step: "copying", Done: done, Total: total, Unit: "bytes"})
	})
	if err != nil {
		return err
	}
	if err := fault.At(ctx, "medium.moved"); err != nil {
		return err
	}
	if err := s.commitMove(ctx, r, step); err != nil {
		return err
	}
	_ = fault.At(ctx, "medium.committed") // what was asked for is done
	if copied {
		s.m.removeLeftovers([]string{step.From})
	}
	return nil
}

// commitMove puts down where a medium is now, and ends the task that moved it.
func (s *Media) commitMove(ctx context.Context, r *task.Run, step mirrored) error {
	if step.Machine == "" {
		op, err := s.movedOp(ctx, step.movedMedium)
		if err != nil {
			return err
		}
		return r.End(ctx, op)
	}
	for {
		ops, object, err := s.m.mirrorOps(ctx, step, func(record *inventory.Record) { record.Status.Task = "" })
		if err == nil {
			err = r.End(ctx, ops...)
		}
		if err == nil {
			s.m.settleDocument(object)
			s.m.goOnWith(object)
		}
		if !isConflict(err) {
			return err
		}
	}
}

// movedOp puts down where a medium that was added is now.
func (s *Media) movedOp(ctx context.Context, step movedMedium) (state.Op, error) {
	known, err := s.records().Get(ctx, step.UUID)
	if err != nil {
		return state.Op{}, err
	}
	known.Value.Path = step.To
	return s.records().UpdateOp(ctx, known)
}

// unmoveMedium puts a file back that was being moved. One that was copied is
// where it was; where none was to be copied, what is at the new place is somebody else's then.
func (m *Manager) unmoveMedium(ctx context.Context, step movedMedium) error {
	if _, err := os.Lstat(step.From); err == nil {
		if !step.Far {
			return nil
		}
		return m.unmakeMedium(madeImage{step.To})
	}
	if _, err := os.Lstat(step.To); isNotExist(err) {
		return nil
	}
	_, err := media.Move(ctx, step.To, step.From, func(int64, int64) {})
	return err
}

// outcome waits for the end of a task and is what it failed with.
func (m *Manager) outcome(ctx context.Context, id string) error {
	if err := m.tasks.WaitWithSpace(ctx, id); err != nil {
		return err
	}
	task, err := m.tasks.Get(ctx, id)
	if err == nil && task.Error != nil {
		return task.Error
	}
	return err
}
