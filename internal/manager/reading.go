package manager

import (
	"context"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
)

// readings are the attached images that tasks read, each with the machine for whose sake: machines that would write them
// are not started meanwhile. It belongs to who holds [Manager.starts].
type readings map[string][]string

// readStill sees that nobody writes what machines without a process have attached, and that nobody begins to until release
// is called.
func (m *Manager) readStill(ctx context.Context, objects ...inventory.Object) (release func(), err error) {
	m.starts.Lock()
	defer m.starts.Unlock()
	for _, object := range objects {
		if err := m.unwritten(ctx, object); err != nil {
			return nil, err
		}
	}
	for _, object := range objects {
		m.reading.add(object)
	}
	return func() {
		m.starts.Lock()
		defer m.starts.Unlock()
		for _, object := range objects {
			m.reading.remove(object)
		}
	}, nil
}

func (r readings) add(object inventory.Object) {
	for _, drive := range object.Value.Spec.Drives {
		if mustBeStill(drive) {
			r[drive.Source] = append(r[drive.Source], object.Value.Spec.Name)
		}
	}
}

func (r readings) remove(object inventory.Object) {
	for _, drive := range object.Value.Spec.Drives {
		if !mustBeStill(drive) {
			continue
		}
		of := r[drive.Source]
		if at := slices.Index(of, object.Value.Spec.Name); at >= 0 {
			r[drive.Source] = slices.Delete(of, at, at+1)
		}
	}
}

// mustBeStill tells of a drive whether nobody may write the image that is attached there while it is read.
func mustBeStill(drive api.Drive) bool {
	return machine.WritesSource(drive) && machine.WriteModeOf(drive) != api.Shareable
}

// refuse refuses to write an image that is being read.
func (r readings) refuse(mine access) error {
	if of := r[mine.path]; mine.write && len(of) > 0 {
		return problem.New(api.KindBusy, "wait for it (`panal task list`), or cancel it", "the image %s, which is attached to machine %s too, is being copied", mine.path, of[0])
	}
	return nil
}
