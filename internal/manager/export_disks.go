package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/internal/task"
)

// outgoing is what an export reads: the disks of machines, those of running ones
// as they were at one instant.
type outgoing struct {
	machines []exporter.Machine
	closers  []func() error
	runs     []*run
	keys     func(uuid string) func(api.Drive) disk.Keys
}

// close closes everything, in the order in which it must be.
func (o *outgoing) close() error {
	var failed error
	for i := len(o.closers) - 1; i >= 0; i-- {
		failed = errors.Join(failed, o.closers[i]())
	}
	return failed
}

func (o *outgoing) onClose(f func() error) { o.closers = append(o.closers, f) }

// why explains an error of reading by what it comes from: that a machine ended.
func (o *outgoing) why(err error) error {
	for _, run := range o.runs {
		select {
		case <-run.Done():
			return problem.New(api.KindWrongState, "export it now that it is off", "it ended while it was exported")
		default:
		}
	}
	return err
}

// disksOf opens the images of all machines.
func (m *Manager) disksOf(ctx context.Context, r *task.Run, objects []inventory.Object) (*outgoing, error) {
	out := &outgoing{keys: m.keysFor}
	for _, object := range objects {
		out.machines = append(out.machines, exporter.Machine{Spec: object.Value.Spec, Images: map[string]disk.Image{}})
		images := out.machines[len(out.machines)-1].Images
		var err error
		switch object.Value.Status.State {
		case api.StateRunning, api.StatePaused:
			err = m.openRunning(ctx, r, object, out, images)
		case api.StateSaved:
			r.Warn(object.Value.Spec.Name + ": its saved state is not exported, only its disks")
			err = out.openImages(object, object.Value.Spec.Drives, images)
		default:
			err = out.openImages(object, object.Value.Spec.Drives, images)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", object.Value.Spec.Name, out.why(err)), out.close())
		}
	}
	return out, nil
}

// openImages opens drives that nobody writes to.
func (o *outgoing) openImages(object inventory.Object, drives []api.Drive, images map[string]disk.Image) error {
	for _, drive := range drives {
		if drive.File == "" && drive.Source == "" {
			continue
		}
		img, err := openKept(folder.Folder(object.Value.Folder), drive, o.keys(object.Key)(drive))
		if err != nil {
			return fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		o.onClose(img.Close)
		images[drive.Name] = img
	}
	return nil
}

// openRunning opens what the drives of a running machine hold now, while it goes
// on writing.
func (m *Manager) openRunning(ctx context.Context, r *task.Run, object inventory.Object, out *outgoing, images map[string]disk.Image) error {
	run := m.running(object.Key)
	if run == nil {
		return problem.New(api.KindWrongState, "try again in a moment", "it has no process yet")
	}
	out.runs = append(out.runs, run)
	var written []string
	var others []api.Drive
	for _, drive := range object.Value.Spec.Drives {
		switch {
		case drive.File == "" && drive.Source == "":
		case drive.Kind == api.Optical, machine.Resets(drive):
			others = append(others, drive)
		default:
			written = append(written, drive.Name)
		}
	}
	if err := out.openImages(object, others, images); err != nil || len(written) == 0 {
		return err
	}
	if err := notRunning(object.Value.Spec.Drives, "export it"); err != nil {
		return err
	}
	fleece, err := m.instant(ctx, r, run, object, written)
	if err != nil {
		return err
	}
	out.onClose(fleece.Close)
	for _, name := range written {
		img, err := fleece.Image(ctx, name)
		if err != nil {
			return fmt.Errorf("drive %s: %w", name, err)
		}
		out.onClose(img.Close)
		images[name] = img
	}
	return fault.At(ctx, "export.instant")
}

// instant takes hold of what drives hold, with the guest's file systems written
// out and stopped for the moment, where its agent does that.
func (m *Manager) instant(ctx context.Context, r *task.Run, run *run, object inventory.Object, drives []string) (*runner.Fleece, error) {
	name := object.Value.Spec.Name
	if object.Value.Status.State == api.StatePaused {
		r.Warn(name + ": it is paused, so its file systems were not written out: the disks are as after a power cut")
		return run.Fleece(ctx, drives, object.Value.Folder)
	}
	r.Step("stopping the guest's file systems for a moment")
	frozen, err := run.Freeze(ctx, freezeWithin)
	switch {
	case errors.Is(err, runner.ErrNoAgent) && ctx.Err() == nil:
		m.log.Debug("exported without the guest's agent", "machine", name, "error", err)
		r.Warn(name + ": no agent in the guest stopped its file systems: the disks are as after a power cut")
		return run.Fleece(ctx, drives, object.Value.Folder)
	case err != nil:
		return nil, err
	}
	defer thawing(ctx, r, frozen, name+": ")()
	return run.Fleece(ctx, drives, object.Value.Folder)
}
