package manager

import (
	"context"
	"fmt"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
)

// A folder can be known to two daemons, on shared storage or because it was registered twice. The locks on its images tell when
// the other one runs the machine: to this one it is off, and what it would remove or put aside is in use.

// whileClosing is how long is waited for what served a machine's images, which ends a moment after its QEMU.
const whileClosing = 2 * time.Second

// touching are the operations that move or exchange the images of a machine without a process.
var touching = map[machine.Operation]bool{
	machine.OpMove: true, machine.OpSnapshot: true, machine.OpAttach: true, machine.OpDetach: true, machine.OpStream: true,
}

// notElsewhere checks that nobody writes the images of a machine that this daemon does not run.
func (m *Manager) notElsewhere(ctx context.Context, object inventory.Object) error {
	state := object.Value.Status.State
	if state != api.StateOff && state != api.StateSaved || m.running(object.Key) != nil {
		return nil
	}
	return unwrittenFiles(ctx, m.folderOf(object), object.Value.Spec)
}

// unwrittenFiles checks that no process writes the images in a folder that the machine writes.
func unwrittenFiles(ctx context.Context, dir folder.Folder, spec api.Spec) error {
	until := time.Now().Add(whileClosing)
	for _, drive := range spec.Drives {
		if drive.File == "" {
			continue
		}
		path := dir.Path(drive.File)
		for media.Written(path) {
			if time.Now().After(until) {
				return problem.New(api.KindBusy, "end that first, or use the daemon that runs the machine",
					"another process writes its image %s: another daemon runs the machine, or a program has the image open", path)
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for %s: %w", path, ctx.Err())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}
