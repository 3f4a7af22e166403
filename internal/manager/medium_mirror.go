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

// A medium that a running machine writes where it lies moves while it does:
//
//	claimed ─► image made ─► QEMU keeps both equal ─► guest stands still, drive goes over ─► committed ─► guest goes on
//	   undo: where the drive has gone over, that is put down; else the new image is removed
//
// Both images hold the same when the commit comes, and nobody writes: whatever dies, the one on record is right.

// mirrored is the arguments of the undo step "unmirror-medium".
type mirrored struct {
	movedMedium
	Machine string `json:"machine"`
	Drive   string `json:"drive"`
}

// writer is the machine, off or running, that has a medium attached where it lies, alone; nil if there is none.
func (s *Media) writer(ctx context.Context, found api.Medium) (*inventory.Object, *api.Drive, error) {
	for _, user := range found.Users {
		if user.Held != "" || user.Base {
			continue
		}
		object, err := s.m.inv.Get(ctx, user.Machine)
		if err != nil {
			return nil, nil, err
		}
		running := s.m.running(object.Key) != nil
		drive := driveNamed(object.Value.Spec.Drives, user.Drive)
		if !running && object.Value.Status.State != api.StateOff || drive == nil || !liesWhereAttached(*drive, found.Location) {
			continue
		}
		if running && (len(found.Users) > 1 || len(found.Children) > 0) {
			return nil, nil, problem.New(api.KindBusy, "move it while they are off", "move %s: others use it too", found.Location)
		}
		if len(found.Users) == 1 && len(found.Children) == 0 {
			return &object, drive, nil
		}
	}
	return nil, nil, nil
}

// liesWhereAttached tells whether a drive writes, or reads, a file at a place and nothing above it.
func liesWhereAttached(drive api.Drive, path string) bool {
	return drive.Mode == api.Attach && drive.File == "" && filepath.Clean(drive.Source) == path && !machine.Differs(drive)
}

// moveLive begins to move a medium under a running machine.
func (s *Media) moveLive(ctx context.Context, found api.Medium, object inventory.Object, drive api.Drive, to string) (api.Task, error) {
	chain, err := media.Open(media.RefOf(drive))
	switch {
	case err != nil:
		return api.Task{}, err
	case !chain.Movable() || !chain.Plain() || chain[0].Format == "luks" || drive.Kind != api.Disk:
		return api.Task{}, problem.New(api.KindUnsupported, "move it while the machine is off", "move %s: it is not one file, QCOW2 or raw, that is complete in itself", found.Location)
	}
	if object, err = s.m.allowed(ctx, object.Key, machine.OpAttach); err != nil {
		return api.Task{}, err
	}
	step := mirrored{movedMedium{UUID: found.UUID, From: found.Location, To: to}, object.Key, drive.Name}
	order, err := s.m.claim(ctx, object, "medium.move", object.Value.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	order.Journal = append(order.Journal, task.NewUndo("unmirror-medium", step))
	return s.m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := s.mirror(ctx, r, step, drive, chain[0]); err != nil {
			return fmt.Errorf("move %s: %w", step.From, err)
		}
		return nil
	})
}

func (s *Media) mirror(ctx context.Context, r *task.Run, step mirrored, drive api.Drive, image media.Image) error {
	run := s.m.running(step.Machine)
	if run == nil {
		return problem.New(api.KindWrongState, "try again", "the machine has ended meanwhile")
	}
	if err := fault.At(ctx, "mirror.begun"); err != nil {
		return err
	}
	var seal *media.Seal
	if header, err := media.Header(media.RefOf(drive)); err != nil {
		return err
	} else if header != nil {
		seal = &media.Seal{Header: header}
	}
	if err := media.Make(ctx, step.To, media.MakeOptions{Format: image.Format, Size: int64(image.Size), Seal: seal}); err != nil {
		return err
	}
	if err := fault.At(ctx, "mirror.made"); err != nil {
		return err
	}
	pivoted := func(ctx context.Context) error {
		if err := fault.At(ctx, "mirror.pivoted"); err != nil {
			return err
		}
		if err := syncPath(step.To); err != nil {
			return err
		}
		return s.m.commitMirror(ctx, step)
	}
	err := run.Mirror(ctx, drive, step.To, image.Format, pivoted, func(done, total int64) {
		r.Report(api.Progress{Step: "copying while the guest runs", Done: done, Total: total, Unit: "bytes"})
	})
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	_ = fault.At(ctx, "mirror.committed") // what was asked for is done
	s.m.keepRoom(r, step, image.Format)
	s.m.removeLeftovers([]string{step.From})
	if object, err := s.m.inv.Get(ctx, step.Machine); err == nil {
		s.m.settleDocument(object)
	}
	_ = fault.At(ctx, "mirror.removed")
	return s.m.finish(ctx, r, step.Machine, func(*inventory.Record) error { return nil })
}

// keepRoom has an image that was moved take up as much room beforehand as it did.
func (m *Manager) keepRoom(r *task.Run, step mirrored, format string) {
	takes, err := media.TakesRoom(media.Ref{Path: step.From, Format: format})
	if err != nil || !takes {
		return
	}
	to := media.Ref{Path: step.To, Format: format}
	if described, err := media.DescribeFile(to); err == nil {
		if err := media.TakeRoom(to, described.Info.Size); err != nil {
			r.Warn("it does not take up its whole room any more: " + err.Error())
		}
	}
}

// commitMirror puts down where a drive and its medium are now. The task goes on: the guest stands still yet, and
// the image at the old place is there.
func (m *Manager) commitMirror(ctx context.Context, step mirrored) error {
	for {
		ops, _, err := m.mirrorOps(ctx, step, func(*inventory.Record) {})
		if err == nil {
			_, err = m.Store.Commit(ctx, ops...)
		}
		if !isConflict(err) {
			return err
		}
	}
}

// mirrorOps put down where a drive and its medium are now, and what else changes of the machine.
func (m *Manager) mirrorOps(ctx context.Context, step mirrored, change func(*inventory.Record)) ([]state.Op, inventory.Object, error) {
	object, err := m.inv.Get(ctx, step.Machine)
	if err != nil {
		return nil, object, err
	}
	before := object.Value.Spec
	spec := machine.Clone(before)
	drive := driveNamed(spec.Drives, step.Drive)
	if drive == nil {
		return nil, object, noDrive(spec, step.Drive)
	}
	drive.Source = step.To
	change(&object.Value)
	object.Value.Spec, object.Value.SpecChangedAfter = spec, int64(object.Revision)
	if object.Value.Digest, err = m.folderOf(object).Prepare(documentOf(object.Value)); err != nil {
		return nil, object, fmt.Errorf("write the spec: %w", err)
	}
	ops, err := m.inv.UpdateOps(ctx, object, before)
	if err != nil {
		return nil, object, err
	}
	op, err := m.Media().movedOp(ctx, step.movedMedium)
	if errors.Is(err, state.ErrNotFound) {
		return ops, object, nil // nobody added it
	}
	return append(ops, op), object, err
}

// unmirrorMedium ends the move of a medium that was cut off: at the new place if the drive has
// gone over to it, else at the old one. What is at the other goes.
func (m *Manager) unmirrorMedium(ctx context.Context, step mirrored) error {
	object, err := m.inv.Get(ctx, step.Machine)
	if err != nil {
		return unlessGone(err)
	}
	drive := driveNamed(object.Value.Spec.Drives, step.Drive)
	over := drive != nil && drive.Source == step.To
	if run := m.running(step.Machine); run != nil {
		recorded := over
		over, err = run.EndMirror(ctx, step.Drive, step.To, func(ctx context.Context) error { return m.commitMirror(ctx, step) })
		if err != nil && !run.ends() {
			return err
		}
		if err != nil {
			over = recorded // it was killed: both images hold the same, or the new one is worth nothing
		}
	}
	if !over {
		return m.unmakeMedium(madeImage{step.To})
	}
	if object, err = m.inv.Get(ctx, step.Machine); err == nil {
		m.settleDocument(object)
	}
	if err := os.Remove(step.From); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}
