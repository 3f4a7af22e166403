package manager

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// undoTake undoes a snapshot that was not taken. A running machine whose drives had gone
// over to the new images stays with them: they are merged with those below later.
func (m *Manager) undoTake(ctx context.Context, step untake) error {
	dir := folder.Folder(step.Folder)
	used, err := m.inUse(ctx, step)
	if err != nil {
		return err
	}
	if len(used) > 0 {
		_, err := m.changeTree(ctx, step.UUID, func(record *inventory.Record) error {
			useUppers(record, used)
			record.Merging = true
			return nil
		})
		if err != nil && problem.Of(err).Kind != api.KindNotFound {
			return err
		}
	}
	below, err := m.stoodOn(ctx, step.UUID)
	if err != nil {
		return err
	}
	for drive, upper := range step.Uppers {
		if used[drive] != "" || below[upper] {
			continue
		}
		if err := removeFile(dir.Path(upper)); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir.Path(heldFolder(step.ID)))
}

// stoodOn are the images that a machine's drives are made of: those of an earlier step are below those of a later
// one.
func (m *Manager) stoodOn(ctx context.Context, uuid string) (map[string]bool, error) {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return nil, unlessGone(err)
	}
	images, err := survey(m.folderOf(object), filesOf(object.Value.Spec))
	if err != nil {
		return nil, err
	}
	files := map[string]bool{}
	for file := range images {
		files[file] = true
	}
	return files, nil
}

// inUse are the new images, by drive, that a machine writes, or has written.
func (m *Manager) inUse(ctx context.Context, step untake) (map[string]string, error) {
	dir, used := folder.Folder(step.Folder), map[string]string{}
	if _, err := os.Lstat(dir.Path(heldFolder(step.ID), branchedMark)); isNotExist(err) {
		return m.adopted(ctx, step)
	}
	run := m.running(step.UUID)
	for drive, upper := range step.Uppers {
		if run != nil {
			written, err := run.Written(ctx, drive, dir.Path(upper))
			if err == nil && !written {
				continue
			}
			if err != nil && !run.ends() {
				return nil, err
			}
		}
		// Nobody is left to ask. An image that nothing was written to reads as
		// what it stands on, so that to use it is right in both cases.
		if _, err := os.Lstat(dir.Path(upper)); err == nil {
			used[drive] = upper
		}
	}
	return used, nil
}

// adopted are the new images that the record names: an undoing that was cut off
// had come so far.
func (m *Manager) adopted(ctx context.Context, step untake) (map[string]string, error) {
	used := map[string]string{}
	object, err := m.inv.Get(ctx, step.UUID)
	if err != nil {
		return used, unlessGone(err)
	}
	for _, drive := range object.Value.Spec.Drives {
		if upper := step.Uppers[drive.Name]; upper != "" && upper == drive.File {
			used[drive.Name] = upper
		}
	}
	return used, nil
}

// tidyAll takes up what earlier daemons have left of the merging of images. Machines
// that are started now have that done once they run.
func (m *Manager) tidyAll(objects []inventory.Object, starting bool) {
	for _, object := range objects {
		if starting && object.Value.Spec.Autostart.Enabled {
			continue
		}
		if object.Value.Streaming && !object.Value.Merging {
			m.streamLater(object.Key)
		}
		if object.Value.Merging || object.Value.Behind || len(object.Value.Leftovers) > 0 || m.reclaimable(m.base, object) {
			if _, err := m.beginMerging(m.base, object.Key); err != nil {
				m.log.Warn("images are not merged now", "machine", object.Value.Spec.Name, "error", err)
			}
		}
	}
}

// mergeLater merges in the background what there is to merge, unless a task is at
// work on the machine: the last such does it then.
func (m *Manager) mergeLater(uuid string) {
	m.group.Go(func() {
		if _, err := again(m.base, func() (api.Task, error) { return m.beginMerging(m.base, uuid) }); err != nil && !errors.Is(err, context.Canceled) {
			m.log.Debug("images are not merged now", "machine", uuid, "error", err)
		}
	})
}

// beginMerging begins the task that merges images. It gives way to whatever is
// asked of the machine.
func (m *Manager) beginMerging(ctx context.Context, uuid string) (api.Task, error) {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return api.Task{}, err
	}
	record := object.Value
	if record.Status.Task != "" || record.Status.NextRestart != nil || machine.Allowed(machine.OpSnapshot, record.Status.State) != nil {
		return api.Task{}, nil
	}
	order, err := m.claim(ctx, object, "snapshot.merge", record.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	return m.beginAside(ctx, order, func(ctx context.Context, r *task.Run) error {
		err := m.clearLeftovers(ctx, uuid)
		if err == nil {
			err = m.mergeAll(ctx, r, uuid)
		}
		if err != nil {
			m.mergeFailed(ctx, uuid, r.ID(), err)
			return fmt.Errorf("merge images of %s: %w", record.Spec.Name, err)
		}
		return m.finish(ctx, r, uuid, func(*inventory.Record) error { return nil })
	})
}

// beginAside begins a task that works on a machine in the background and gives way to whatever is asked of
// it. One that does not begin, as another one was faster, leaves that one what gives way.
func (m *Manager) beginAside(ctx context.Context, order task.Order, work func(context.Context, *task.Run) error) (api.Task, error) {
	m.mu.Lock()
	before := m.merging[order.Machine]
	m.merging[order.Machine] = order.ID
	m.mu.Unlock()
	begun, err := m.tasks.Begin(ctx, order, work)
	if err != nil {
		m.mu.Lock()
		if m.merging[order.Machine] == order.ID {
			m.merging[order.Machine] = before
		}
		m.mu.Unlock()
	}
	return begun, err
}

// giveWay ends the task that merges a machine's images in the background, if that is
// what is at work on it, and returns the record as it is then.
func (m *Manager) giveWay(ctx context.Context, object inventory.Object) (inventory.Object, error) {
	m.mu.Lock()
	id := m.merging[object.Key]
	m.mu.Unlock()
	if id == "" || object.Value.Status.Task != id {
		return object, nil
	}
	if err := m.interrupt(ctx, object); err != nil {
		return object, err
	}
	return m.inv.Get(ctx, object.Key)
}
