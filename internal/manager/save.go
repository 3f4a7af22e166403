package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// The saved state: QEMU's migration stream, compressed. The file gets its name
// when it is complete and on stable storage, so one of that name is whole.
const (
	stateFile   = "state.zst"
	statePart   = "state.zst.part"
	stateLevel  = zstd.SpeedFastest
	stateWindow = 1 << 20
)

func hasState(dir folder.Folder) bool {
	_, err := os.Lstat(dir.Path(folder.Saved, stateFile))
	return err == nil
}

func removeState(dir folder.Folder) error {
	for _, name := range []string{stateFile, statePart} {
		if err := removeFile(dir.Path(folder.Saved, name)); err != nil {
			return err
		}
	}
	return nil
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// unsaved is the arguments of the undo step "unsave".
type unsaved struct {
	UUID   string `json:"uuid"`
	Folder string `json:"folder"`
	Paused bool   `json:"paused"` // it was paused before
}

// moveOff is what to do about a controller whose state cannot be written.
const moveOff = "put its drives on another controller while it is off"

// Save begins to write a machine's state to disk and to end its process.
func (m *Manager) Save(ctx context.Context, ref string) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.trySave(ctx, ref) })
}

func (m *Manager) trySave(ctx context.Context, ref string) (api.Task, error) {
	object, err := m.allowed(ctx, ref, machine.OpSave)
	if err != nil {
		return api.Task{}, err
	}
	if reason := machine.Unsavable(object.Value.Spec); reason != "" {
		return api.Task{}, problem.New(api.KindUnsupported, "shut it down, or "+moveOff, "save %s: %s", object.Value.Spec.Name, reason)
	}
	paused := object.Value.Status.State == api.StatePaused
	order, err := m.claim(ctx, object, "machine.save", api.StateSaving)
	if err != nil {
		return api.Task{}, err
	}
	undo := unsaved{object.Key, object.Value.Folder, paused}
	order.Journal = append(order.Journal, task.NewUndo("unsave", undo))
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.save(ctx, r, object); err != nil {
			return fmt.Errorf("save %s: %w", object.Value.Spec.Name, err)
		}
		return nil
	})
}

func (m *Manager) save(ctx context.Context, r *task.Run, object inventory.Object) error {
	run, dir := m.running(object.Key), m.folderOf(object)
	if run == nil {
		return problem.New(api.KindWrongState, "", "it has no process")
	}
	if err := fault.At(ctx, "save.begun"); err != nil {
		return err
	}
	if err := m.endMerges(ctx, object, run); err != nil {
		return err
	}
	if err := run.Pause(ctx); err != nil {
		return err
	}
	r.Step("writing the memory")
	if err := m.writeState(ctx, r, run, dir, object.Value.Spec.Drives); err != nil {
		return err
	}
	if err := fault.At(ctx, "save.written"); err != nil {
		return err
	}
	// From here on there is no way back: once the process is gone, the state on
	// disk is all there is of the machine, whatever the record says.
	if err := m.powerOff(context.WithoutCancel(ctx), run, api.EndSaved); err != nil {
		return err
	}
	if err := fault.At(ctx, "save.ended"); err != nil {
		return err
	}
	return m.finish(ctx, r, object.Key, func(record *inventory.Record) error {
		m.enter(record, api.StateSaved)
		return nil
	})
}

// writeState writes the saved state, whole or not at all.
func (m *Manager) writeState(ctx context.Context, r *task.Run, run *run, dir folder.Folder, drives []api.Drive) (err error) {
	part := dir.Path(folder.Saved, statePart)
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	sealed, err := sealState(dir, drives, file)
	if err != nil {
		return err
	}
	packer, err := zstd.NewWriter(sealed, zstd.WithEncoderLevel(stateLevel), zstd.WithWindowSize(stateWindow))
	if err != nil {
		return err
	}
	if err := run.Save(ctx, packer, func(done, total int64) {
		r.Report(api.Progress{Step: "writing the memory", Done: done, Total: total, Unit: "bytes"})
	}); err != nil {
		return errors.Join(err, packer.Close())
	}
	if err := errors.Join(packer.Close(), sealed.Close()); err != nil {
		return err
	}
	if err := fault.At(ctx, "save.unsynced"); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return dir.Rename(folder.Saved, statePart, stateFile)
}

// unsave undoes a save that was not completed: the machine goes on as it was.
// When its process is gone a whole saved state is the machine, and stays.
func (m *Manager) unsave(ctx context.Context, step unsaved) error {
	dir, run := folder.Folder(step.Folder), m.running(step.UUID)
	if run == nil {
		return removeFile(dir.Path(folder.Saved, statePart))
	}
	if err := removeState(dir); err != nil {
		return err
	}
	if step.Paused {
		m.modify(step.UUID, func(record *inventory.Record) { m.enter(record, api.StatePaused) })
		return nil
	}
	if err := run.Resume(ctx); err != nil && !run.ends() {
		return err
	}
	return nil
}

// restore reads the saved state into a QEMU that waits for it.
func (m *Manager) restore(ctx context.Context, r *task.Run, run *run, object inventory.Object) error {
	dir := m.folderOf(object)
	file, err := os.Open(dir.Path(folder.Saved, stateFile))
	if err != nil {
		return fmt.Errorf("read the saved state: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	packed, err := m.openState(object.Key, dir, object.Value.Spec.Drives, file)
	if err != nil {
		return err
	}
	unpacker, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return err
	}
	defer unpacker.Close()
	report := func(int64) {
		at, err := file.Seek(0, 1)
		if err == nil {
			r.Report(api.Progress{Step: "reading the memory", Done: at, Total: info.Size(), Unit: "bytes"})
		}
	}
	if err := run.Restore(ctx, unpacker, report); err != nil {
		return problem.New(api.KindUnreadable, "`panal stop` throws the saved state away",
			"the saved state cannot be read: %s", err)
	}
	return fault.At(ctx, "start.restored")
}

// discardState removes a saved state that has been read. It must be gone before
// the guest runs on and changes its disks; when it cannot be removed, the guest
// must not run, and the machine stays saved.
func discardState(dir folder.Folder) error {
	if err := removeFile(dir.Path(folder.Saved, stateFile)); err != nil {
		return fmt.Errorf("remove the saved state: %w", err)
	}
	return nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
