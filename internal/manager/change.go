package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// Change changes single values of a machine's spec.
func (m *Manager) Change(ctx context.Context, ref string, request api.ChangeRequest) (api.Machine, error) {
	return again(ctx, func() (api.Machine, error) { return m.tryChange(ctx, ref, request) })
}

func (m *Manager) tryChange(ctx context.Context, ref string, request api.ChangeRequest) (api.Machine, error) {
	object, err := m.changeable(ctx, ref, request.Revision)
	if err != nil {
		return api.Machine{}, err
	}
	assign := machine.Assign
	if m.running(object.Key) != nil {
		assign = machine.AssignLive
	}
	spec, wrong := assign(object.Value.Spec, request.Set)
	if len(wrong) > 0 {
		return api.Machine{}, problem.Invalid(wrong, "set %s", object.Value.Spec.Name)
	}
	return m.replaceSpec(ctx, object, spec)
}

// Replace changes a machine's whole spec.
func (m *Manager) Replace(ctx context.Context, ref string, request api.ReplaceRequest) (api.Machine, error) {
	return again(ctx, func() (api.Machine, error) { return m.tryReplace(ctx, ref, request) })
}

func (m *Manager) tryReplace(ctx context.Context, ref string, request api.ReplaceRequest) (api.Machine, error) {
	object, err := m.changeable(ctx, ref, request.Revision)
	if err != nil {
		return api.Machine{}, err
	}
	return m.replaceSpec(ctx, object, machine.Reveal(request.Spec, object.Value.Spec))
}

// Rename changes a machine's name. Its folder stays where it is.
func (m *Manager) Rename(ctx context.Context, ref string, request api.RenameRequest) (api.Machine, error) {
	return again(ctx, func() (api.Machine, error) { return m.tryRename(ctx, ref, request) })
}

func (m *Manager) tryRename(ctx context.Context, ref string, request api.RenameRequest) (api.Machine, error) {
	object, err := m.changeable(ctx, ref, 0)
	if err != nil {
		return api.Machine{}, err
	}
	spec := object.Value.Spec
	spec.Name = request.Name
	return m.replaceSpec(ctx, object, spec)
}

// changeable finds a machine whose spec may be changed now, and has not been
// since the revision that the client saw; 0 is any. Changes of its status are
// nothing that the client could overwrite.
func (m *Manager) changeable(ctx context.Context, ref string, seen int64) (inventory.Object, error) {
	object, err := m.allowed(ctx, ref, machine.OpSet)
	if err != nil {
		return object, err
	}
	if seen != 0 && seen <= object.Value.SpecChangedAfter {
		return object, problem.New(api.KindConflict, "look at it again and repeat the change",
			"set %s: its spec has changed since it was read (revision %d then, %d now)", object.Value.Spec.Name, seen, object.Revision)
	}
	return object, m.unedited(object)
}

// unedited checks that machine.json is as the daemon wrote it; state.ErrConflict if
// the record has changed since it was read.
func (m *Manager) unedited(object inventory.Object) error {
	dir, record := m.folderOf(object), object.Value
	defer m.documents.hold(dir)()
	if latest, err := m.inv.Get(m.base, object.Key); err == nil && latest.Value.Digest != record.Digest {
		return state.ErrConflict // the daemon has written it since
	}
	if err := dir.Settle(record.Digest); err != nil {
		return fmt.Errorf("machine %s: %w", record.Spec.Name, err)
	}
	_, digest, err := dir.Read()
	if digest == record.Digest {
		return nil
	}
	const help = "`panal register DIR` takes the change in, `panal register --discard DIR` writes the file again"
	if err != nil {
		if away := m.poolThere(m.base, dir); away != nil {
			return fmt.Errorf("machine %s: %w", record.Spec.Name, away)
		}
		return problem.New(api.KindEdited, help, "machine %s: %s", record.Spec.Name, err)
	}
	return problem.New(api.KindEdited, help, "machine %s: %s was changed by hand", record.Spec.Name, dir.Path(folder.SpecFile))
}

// replaceSpec gives a machine another spec, if that is valid and may be
// changed in the machine's state.
func (m *Manager) replaceSpec(ctx context.Context, object inventory.Object, spec api.Spec) (api.Machine, error) {
	before := object.Value.Spec
	if _, err := lookAtDrives(&spec, before.Drives); err != nil {
		return api.Machine{}, err
	}
	spec = machine.Complete(spec, m.defaults())
	if err := permitted(before, spec, object.Value.Status.State); err != nil {
		return api.Machine{}, err
	}
	object.Value.Spec = spec
	if spec.Snapshots != before.Snapshots {
		unschedule(&object.Value)
	}
	files, err := m.makeNewDrives(&object.Value)
	if err != nil {
		return api.Machine{}, fmt.Errorf("set %s: %w", before.Name, err)
	}
	if err := m.fits(ctx, &object.Value, before); err != nil {
		m.removeLeftovers(files)
		return api.Machine{}, fmt.Errorf("set %s: %w", before.Name, err)
	}
	if err := m.turn(ctx, &object.Value, before); err != nil {
		m.removeLeftovers(files)
		return api.Machine{}, fmt.Errorf("set %s: %w", before.Name, err)
	}
	noteBases(&object.Value, before)
	if err := m.relimit(ctx, object.Key, before, spec); err != nil {
		m.removeLeftovers(files)
		m.turnBack(object.Value, before)
		return api.Machine{}, fmt.Errorf("set %s: %w", before.Name, err)
	}
	changed, err := m.promise(ctx, object, before)
	m.reweigh(context.WithoutCancel(ctx))
	if err != nil {
		m.removeLeftovers(files)
		m.turnBack(object.Value, before)
		err = errors.Join(err, m.relimit(context.WithoutCancel(ctx), object.Key, spec, before))
	}
	return changed, err
}

// permitted checks that a spec may take the place of another one. What only
// the machine's state forbids is told apart from what is wrong altogether.
func permitted(before, after api.Spec, state api.State) error {
	wrong := append(machine.Validate(after), machine.Immutable(before, after, api.StateOff)...)
	if len(wrong) > 0 {
		return problem.Invalid(wrong, "set %s", before.Name)
	}
	if now := machine.Immutable(before, after, state); len(now) > 0 {
		err := problem.New(api.KindWrongState, "", "set %s", before.Name)
		err.Errors = now
		return err
	}
	return nil
}

// promise stores a changed spec of a machine. What it has reserved is looked at once more: while the guest was asked others may
// have been promised the same, whom nobody may keep waiting for that long.
func (m *Manager) promise(ctx context.Context, object inventory.Object, before api.Spec) (api.Machine, error) {
	after := object.Value.Spec
	if after.CPU.Reservation != before.CPU.Reservation || after.Memory.Reserve != before.Memory.Reserve {
		m.starts.Lock()
		defer m.starts.Unlock()
		if err := m.fits(ctx, &object.Value, before); err != nil {
			return api.Machine{}, fmt.Errorf("set %s: %w", before.Name, err)
		}
	}
	return m.store(ctx, object, before)
}

// store commits a changed record together with its machine.json.
func (m *Manager) store(ctx context.Context, object inventory.Object, before api.Spec) (api.Machine, error) {
	dir := m.folderOf(object)
	defer m.documents.hold(dir)()
	digest, err := dir.Prepare(documentOf(object.Value))
	if err != nil {
		return api.Machine{}, fmt.Errorf("write the spec of %s: %w", before.Name, err)
	}
	if err := fault.At(ctx, "set.prepared"); err != nil {
		return api.Machine{}, err
	}
	object.Value.Digest = digest
	object.Value.SpecChangedAfter = int64(object.Revision)
	// Not to be cut off: nobody would know whether it was committed.
	stored, err := m.inv.Update(context.WithoutCancel(ctx), object, before)
	if err != nil {
		return api.Machine{}, fmt.Errorf("set %s: %w", before.Name, err)
	}
	// What was asked for is done: here only a kill could still come between.
	_ = fault.At(ctx, "set.committed")
	if err := dir.Settle(digest); err != nil {
		m.log.Warn("machine.json could not be put in place; it is done at the next change", "machine", before.Name, "error", err)
	}
	return inventory.AsMachine(stored), nil
}

// atFolder finds the machine whose folder it is.
func (m *Manager) atFolder(ctx context.Context, dir folder.Folder) (inventory.Object, bool, error) {
	objects, _, err := m.inv.All(ctx)
	if err != nil {
		return inventory.Object{}, false, err
	}
	for _, object := range objects {
		if object.Value.Folder == string(dir) {
			return object, true, nil
		}
	}
	return inventory.Object{}, false, nil
}

// settleEdit makes the store and machine.json agree again.
func (m *Manager) settleEdit(ctx context.Context, object inventory.Object, discard bool) (api.Machine, error) {
	dir, before := m.folderOf(object), object.Value.Spec
	if status := object.Value.Status; status.Task != "" {
		return api.Machine{}, problem.New(api.KindBusy, "wait for it", "register %s: task %s is at work on it", dir, status.Task)
	}
	if discard {
		return m.store(ctx, object, before)
	}
	doc, _, err := dir.Read()
	if err != nil {
		return api.Machine{}, problem.New(api.KindEdited, "mend it, or throw the edit away with --discard", "register %s: %s", dir, err)
	}
	if wrong := changedFiles(before, doc.Spec); len(wrong) > 0 {
		return api.Machine{}, problem.Invalid(wrong, "register %s", dir)
	}
	return m.replaceSpec(ctx, object, doc.Spec)
}

// changedFiles finds edits of what only the daemon says: where a drive's image
// is.
func changedFiles(before, after api.Spec) []api.FieldError {
	var wrong []api.FieldError
	for i, drive := range after.Drives {
		var file string
		if old := driveNamed(before.Drives, drive.Name); old != nil {
			file = old.File
		}
		if drive.File != file {
			wrong = append(wrong, api.FieldError{
				Field: fmt.Sprintf("drives[%d].file", i), Message: fmt.Sprintf("is set by the daemon alone; it was %q", file),
			})
		}
	}
	return wrong
}
