package manager

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// rewiring is a change of one drive of a machine, running or not: attach, detach,
// eject, insert.
//
//	claimed ─► image made ─► QEMU has it ─► committed with machine.json
//	   undo: QEMU is made to have what the record says; what was made is removed
//
// One undo step fits all, because it does not ask what was done: it looks at what QEMU
// has and what the record says, and makes the first the second.
type rewiring struct {
	op    machine.Operation
	spec  api.Spec // as it is to be
	drive string
	how   howToRewire
}

// makes is the image that is made for a drive that is attached, relative to the
// machine's folder. One that is moved in has an undo step of its own.
func (c rewiring) makes() string {
	drive := driveNamed(c.spec.Drives, c.drive)
	if c.op != machine.OpAttach || hasImage(*drive) || drive.Mode == api.Own && drive.Source != "" {
		return ""
	}
	return filepath.Join(folder.Disks, drive.Name+".qcow2")
}

// howToRewire is how much is asked of the guest.
type howToRewire struct {
	force  bool
	within time.Duration
}

// guestWithin is how long a guest has to give a drive up, or unlock it, where
// nobody says.
const guestWithin = 30 * time.Second

// patience is how long a guest has when somebody says how many seconds.
func (howToRewire) patience(seconds int) time.Duration {
	if seconds == 0 {
		return guestWithin
	}
	return time.Duration(seconds) * time.Second
}

// rewired is the arguments of the undo step "rewire".
type rewired struct {
	UUID  string `json:"uuid"`
	Drive string `json:"drive"`
	Made  string `json:"made,omitempty"` // the image, of a drive that is attached, if one was to be made
}

// Attach begins to attach a drive.
func (m *Manager) Attach(ctx context.Context, ref string, request api.AttachRequest) (api.Task, error) {
	return m.rewire(ctx, ref, machine.OpAttach, func(object inventory.Object) (rewiring, error) {
		spec := machine.Clone(object.Value.Spec)
		spec.Drives = append(spec.Drives, request.Drive)
		added := &spec.Drives[len(spec.Drives)-1]
		if driveNamed(object.Value.Spec.Drives, added.Name) != nil {
			return rewiring{}, problem.New(api.KindExists, "name it differently", "there is a drive %s already", added.Name)
		}
		added.File, added.Under = "", nil // the daemon's to say
		if _, err := lookAtDrives(&spec, object.Value.Spec.Drives); err != nil {
			return rewiring{}, err
		}
		if object.Value.Status.State != api.StateOff {
			m.placeHot(&spec)
		}
		spec = machine.Complete(spec, m.defaults())
		name := spec.Drives[len(spec.Drives)-1].Name
		spec, err := assignTo(spec, name, request.Set)
		if err != nil {
			return rewiring{}, err
		}
		if drive := driveNamed(spec.Drives, name); request.Encrypt && !drive.Encrypted {
			if hasImage(*drive) || drive.Kind != api.Disk || drive.Mode == api.Own && drive.Source != "" {
				return rewiring{}, problem.New(api.KindUnsupported, "`panal medium copy --encrypt` makes an encrypted copy", "its image is not encrypted, and used as it is")
			}
			drive.Encrypted = true
		}
		if err := m.takeKey(spec, name, request.Passphrase); err != nil {
			return rewiring{}, err
		}
		return rewiring{spec: spec, drive: name, how: howToRewire{within: guestWithin}}, nil
	})
}

// assignTo sets fields of a drive.
func assignTo(spec api.Spec, drive string, set []string) (api.Spec, error) {
	keys := make([]string, len(set))
	for i, pair := range set {
		keys[i] = "drives." + drive + "." + pair
	}
	changed, wrong := machine.Assign(spec, keys)
	if len(wrong) > 0 {
		return spec, problem.Invalid(wrong, "drive %s", drive)
	}
	return changed, nil
}

// placeHot finds a place for the last drive of a spec whose machine runs.
func (m *Manager) placeHot(spec *api.Spec) {
	last := len(spec.Drives) - 1
	kinds := machine.Complete(*spec, m.defaults())
	added, before := spec.Drives[last], *spec
	added.Kind, added.Name = kinds.Drives[last].Kind, kinds.Drives[last].Name
	before.Drives = before.Drives[:last]
	spec.Drives[last] = machine.PlaceHot(before, added)
}

// Detach begins to detach a drive.
func (m *Manager) Detach(ctx context.Context, ref string, request api.DetachRequest) (api.Task, error) {
	return m.rewire(ctx, ref, machine.OpDetach, func(object inventory.Object) (rewiring, error) {
		spec := machine.Clone(object.Value.Spec)
		if driveNamed(spec.Drives, request.Drive) == nil {
			return rewiring{}, noDrive(spec, request.Drive)
		}
		spec.Drives = slices.DeleteFunc(spec.Drives, func(d api.Drive) bool { return d.Name == request.Drive })
		spec.Boot.Order = slices.DeleteFunc(spec.Boot.Order, func(name string) bool { return name == request.Drive })
		how := howToRewire{within: howToRewire{}.patience(request.Timeout)}
		return rewiring{spec: spec, drive: request.Drive, how: how}, nil
	})
}

func noDrive(spec api.Spec, name string) error {
	var names []string
	for _, d := range spec.Drives {
		names = append(names, d.Name)
	}
	return problem.New(api.KindNotFound, "", "machine %s has no drive %q; it has %v", spec.Name, name, names)
}

// Eject begins to empty a drive.
func (m *Manager) Eject(ctx context.Context, ref string, request api.EjectRequest) (api.Task, error) {
	return m.rewire(ctx, ref, machine.OpEject, func(object inventory.Object) (rewiring, error) {
		how := howToRewire{request.Force, howToRewire{}.patience(request.Timeout)}
		return remediate(object.Value.Spec, request.Drive, how, func(*api.Drive) {})
	})
}

// Insert begins to put a medium into a drive.
func (m *Manager) Insert(ctx context.Context, ref string, request api.InsertRequest) (api.Task, error) {
	return m.rewire(ctx, ref, machine.OpInsert, func(object inventory.Object) (rewiring, error) {
		how := howToRewire{request.Force, howToRewire{}.patience(request.Timeout)}
		change, err := remediate(object.Value.Spec, request.Drive, how, func(d *api.Drive) {
			d.Source, d.Format, d.Snapshot, d.Mode = request.Source, request.Format, request.Snapshot, api.ReadOnly
			if request.Write && d.Kind == api.FloppyDiskette {
				d.Mode = api.Attach
			}
		})
		if err != nil {
			return change, err
		}
		if request.Source == "" {
			return change, problem.New(api.KindInvalid, "`panal eject` empties a drive", "insert: which image?")
		}
		if request.Write && driveNamed(change.spec.Drives, request.Drive).Kind == api.Optical {
			return change, problem.New(api.KindUnsupported, "leave --write out", "an optical disc cannot be written")
		}
		_, err = lookAt(driveNamed(change.spec.Drives, request.Drive))
		return change, err
	})
}

// remediate gives a drive another medium, after what it has is taken out.
func remediate(spec api.Spec, name string, how howToRewire, fill func(*api.Drive)) (rewiring, error) {
	spec = machine.Clone(spec)
	drive := driveNamed(spec.Drives, name)
	if drive == nil {
		return rewiring{}, noDrive(spec, name)
	}
	if drive.Kind == api.Disk {
		return rewiring{}, problem.New(api.KindUnsupported, "`panal detach` takes a disk out",
			"drive %s of %s is a disk; media are in optical and floppy drives", name, spec.Name)
	}
	kind := drive.Kind
	drive.Source, drive.Format, drive.Snapshot, drive.Size, drive.File, drive.Under = "", "", "", 0, "", nil
	drive.InstanceID = "" // it was for the disc that was in it
	fill(drive)
	drive.Kind = kind
	return rewiring{spec: spec, drive: name, how: how}, nil
}

// rewire begins the task of a change of a drive.
func (m *Manager) rewire(ctx context.Context, ref string, op machine.Operation, plan func(inventory.Object) (rewiring, error)) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.tryRewire(ctx, ref, op, plan) })
}

func (m *Manager) tryRewire(ctx context.Context, ref string, op machine.Operation, plan func(inventory.Object) (rewiring, error)) (api.Task, error) {
	object, err := m.allowed(ctx, ref, op)
	if err == nil {
		err = m.unedited(object)
	}
	if err != nil {
		return api.Task{}, err
	}
	name := object.Value.Spec.Name
	change, err := plan(object)
	if err != nil {
		return api.Task{}, fmt.Errorf("%s %s: %w", op, name, err)
	}
	change.op = op
	if wrong := machine.Validate(change.spec); len(wrong) > 0 {
		return api.Task{}, problem.Invalid(wrong, "%s %s", op, name)
	}
	m.starts.Lock()
	defer m.starts.Unlock()
	if err := m.mayRewire(ctx, object, change); err != nil {
		return api.Task{}, fmt.Errorf("%s %s: %w", op, name, err)
	}
	order, err := m.claim(ctx, object, "machine."+string(op), object.Value.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	order.Journal = append(order.Journal, task.NewUndo("rewire", rewired{object.Key, change.drive, change.makes()}))
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.rewireNow(ctx, r, object, change); err != nil {
			return fmt.Errorf("%s %s: %w", op, name, err)
		}
		return nil
	})
}

// mayRewire checks what can be known before anything is done.
func (m *Manager) mayRewire(ctx context.Context, object inventory.Object, change rewiring) error {
	if object.Value.Status.State == api.StateOff {
		return nil
	}
	before, after := object.Value.Spec, change.spec
	if drive := driveNamed(after.Drives, change.drive); change.op == machine.OpAttach {
		if reason := machine.HotPlug(after, *drive); reason != "" {
			return cannotNow(change.drive, "come", reason)
		}
	} else if change.op == machine.OpDetach {
		if reason := machine.HotPlug(before, *driveNamed(before.Drives, change.drive)); reason != "" {
			return cannotNow(change.drive, "go", reason)
		}
	}
	object.Value.Spec = after
	return m.mayUse(ctx, object)
}

func cannotNow(drive, what, reason string) error {
	return problem.New(api.KindUnsupported, "do it while the machine is off",
		"drive %s cannot %s while the machine runs: %s", drive, what, reason)
}

// rewireNow does the work.
func (m *Manager) rewireNow(ctx context.Context, r *task.Run, object inventory.Object, change rewiring) error {
	record := object.Value
	record.Spec = change.spec
	if err := fault.At(ctx, "rewire.begun"); err != nil {
		return err
	}
	leftovers, err := m.makeAttached(ctx, r, &record, change)
	if err != nil {
		return err
	}
	if run := m.running(object.Key); run != nil {
		r.Step(string(change.op) + "ing " + change.drive)
		if err := m.agree(ctx, run, record, change.drive, change.how); err != nil {
			return err
		}
	}
	if err := fault.At(ctx, "rewire.wired"); err != nil {
		return err
	}
	if err := m.finishRewiring(ctx, r, object.Key, record.Spec); err != nil {
		return err
	}
	// What was asked for is done: here only a kill could still come between.
	_ = fault.At(ctx, "rewire.committed")
	m.removeLeftovers(leftovers)
	m.settleDocument(object)
	return nil
}

// makeAttached makes the image of a drive that is attached, if it needs one.
func (m *Manager) makeAttached(ctx context.Context, r *task.Run, record *inventory.Record, change rewiring) (leftovers []string, err error) {
	if change.op != machine.OpAttach {
		return nil, nil
	}
	dir := m.folderOf(inventory.Object{Value: *record})
	drive := driveNamed(record.Spec.Drives, change.drive)
	if !hasImage(*drive) {
		if err := notThere(dir, *drive); err != nil {
			return nil, err
		}
	}
	return m.makeDrives(ctx, r, dir, record)
}

// finishRewiring ends the task with the record's new spec.
func (m *Manager) finishRewiring(ctx context.Context, r *task.Run, uuid string, spec api.Spec) error {
	for {
		object, err := m.inv.Get(ctx, uuid)
		if err != nil {
			return err
		}
		before := object.Value.Spec
		object.Value.Spec, object.Value.Status.Task = spec, ""
		object.Value.SpecChangedAfter = int64(object.Revision)
		noteBases(&object.Value, before)
		if object.Value.Digest, err = m.folderOf(object).Prepare(documentOf(object.Value)); err != nil {
			return fmt.Errorf("write the spec: %w", err)
		}
		if err := fault.At(ctx, "rewire.prepared"); err != nil {
			return err
		}
		ops, err := m.inv.UpdateOps(ctx, object, before)
		if err == nil {
			err = r.End(ctx, ops...)
		}
		if !isConflict(err) {
			return err
		}
	}
}
