package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/task"
)

// freezeWithin is how long the guest's agent may take to freeze file systems.
const freezeWithin = 30 * time.Second

// taking is a snapshot that is being taken.
type taking struct {
	object  inventory.Object
	dir     folder.Folder
	node    api.Snapshot
	request api.TakeSnapshotRequest
	uppers  map[string]string // by drive, the new image
}

// untake is the arguments of the undo step "untake".
type untake struct {
	UUID   string            `json:"uuid"`
	Folder string            `json:"folder"`
	ID     string            `json:"id"`
	Uppers map[string]string `json:"uppers"` // by drive, the new image
}

// Take begins to take a snapshot.
func (s *Snapshots) Take(ctx context.Context, ref string, request api.TakeSnapshotRequest) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return s.tryTake(ctx, ref, request, api.Snapshot{}) })
}

// tryTake begins to take a snapshot; as is what a schedule says of it.
func (s *Snapshots) tryTake(ctx context.Context, ref string, request api.TakeSnapshotRequest, as api.Snapshot) (api.Task, error) {
	object, err := s.m.allowed(ctx, ref, machine.OpSnapshot)
	if err != nil {
		return api.Task{}, err
	}
	if err := s.m.unedited(object); err != nil {
		return api.Task{}, err
	}
	if err := takeable(object, request); err != nil {
		return api.Task{}, err
	}
	if err := mayDeepen(&object.Value); err != nil {
		return api.Task{}, err
	}
	if err := s.m.unwritten(ctx, object); err != nil {
		return api.Task{}, fmt.Errorf("take a snapshot of %s: %w", object.Value.Spec.Name, err)
	}
	t := s.m.planTaking(object, request)
	t.node.Schedule, t.node.Notes = as.Schedule, as.Notes
	order, err := s.m.claim(ctx, object, "snapshot.take", object.Value.Status.State)
	if err != nil {
		return api.Task{}, err
	}
	order.Journal = append(order.Journal, task.NewUndo("untake", untake{object.Key, object.Value.Folder, t.node.ID, t.uppers}))
	return s.m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := s.m.take(ctx, r, t); err != nil {
			return fmt.Errorf("take a snapshot of %s: %w", object.Value.Spec.Name, err)
		}
		return nil
	})
}

// takeable checks a request.
func takeable(object inventory.Object, request api.TakeSnapshotRequest) error {
	name, status := object.Value.Spec.Name, object.Value.Status
	switch {
	case len(object.Value.Snapshots) >= snapshot.MaxSnapshots:
		return problem.New(api.KindRefused, "delete some first", "machine %s has %d snapshots, and more are not kept", name, snapshot.MaxSnapshots)
	case request.Memory && status.State == api.StateOff:
		return problem.New(api.KindWrongState, "leave --memory out, or start it first", "take a snapshot of %s: it is off, and has no memory to keep", name)
	case request.Memory && status.State != api.StateSaved && machine.Unsavable(object.Value.Spec) != "":
		return problem.New(api.KindUnsupported, "leave --memory out, or "+moveOff,
			"take a snapshot of %s: its memory cannot be kept: %s", name, machine.Unsavable(object.Value.Spec))
	case request.Quiesce && status.State != api.StateRunning:
		return problem.New(api.KindWrongState, "leave --quiesce out", "take a snapshot of %s: it is %s, and its guest cannot be asked", name, status.State)
	}
	if err := snapshot.CheckDescription(request.Description); err != nil {
		return problem.New(api.KindInvalid, "", "take a snapshot of %s: %s", name, err)
	}
	if request.Name == "" {
		return nil
	}
	return freeName(object, request.Name)
}

// planTaking decides what a snapshot will be.
func (m *Manager) planTaking(object inventory.Object, request api.TakeSnapshotRequest) *taking {
	record := object.Value
	t := &taking{object: object, dir: m.folderOf(object), request: request, uppers: map[string]string{}}
	t.node = api.Snapshot{
		ID: newSnapshotID(), Name: snapshot.Of(record.Machine).Free(request.Name), Description: request.Description,
		State: record.Status.State, Images: map[string]string{}, Sources: snapshot.Sources(record.Spec),
	}
	if t.node.State != api.StateOff {
		t.node.CPUs = record.Status.CPUs
	}
	for _, drive := range record.Spec.Drives {
		if !machine.InSnapshots(drive) {
			continue
		}
		t.uppers[drive.Name] = upperName(drive.Name, t.node.ID)
		if drive.File != "" {
			t.node.Images[drive.Name] = drive.File
		}
	}
	return t
}

// makeUppers makes the images that drives go over to.
func (t *taking) makeUppers() error {
	for _, drive := range t.object.Value.Spec.Drives {
		if upper := t.uppers[drive.Name]; upper != "" {
			if err := makeUpper(t.dir, drive, upper); err != nil {
				return fmt.Errorf("drive %s: %w", drive.Name, err)
			}
		}
	}
	return syncPath(t.dir.Path(folder.Disks))
}

// take takes a snapshot: first all is made that it needs, then the machine
// goes over to new images at one instant, and then, in one commit, the snapshot is there.
func (m *Manager) take(ctx context.Context, r *task.Run, t *taking) error {
	if err := fault.At(ctx, "snapshot.begun"); err != nil {
		return err
	}
	release, err := m.readStill(ctx, t.object)
	if err != nil {
		return err
	}
	defer release()
	if err := contained(t.dir, t.object.Value.Spec); err != nil {
		return err
	}
	r.Step("making images")
	if err := makeHeld(t.dir, t.node.ID, t.object.Value.Spec); err != nil {
		return err
	}
	if err := fault.At(ctx, "snapshot.folder-made"); err != nil {
		return err
	}
	if err := t.makeUppers(); err != nil {
		return err
	}
	if err := fault.At(ctx, "snapshot.images-made"); err != nil {
		return err
	}
	if err := m.takeState(ctx, r, t); err != nil {
		return err
	}
	if err := fault.At(ctx, "snapshot.taken"); err != nil {
		return err
	}
	r.Result(func(result *api.TaskResult) { result.Snapshot = t.node.ID })
	err = m.finishTree(context.WithoutCancel(ctx), r, t.object.Key, func(record *inventory.Record) error {
		setTree(record, snapshot.Of(record.Machine).Add(t.node))
		useUppers(record, t.uppers)
		m.deepen(ctx, record)
		return nil
	})
	if err != nil {
		return err
	}
	_ = fault.At(ctx, "snapshot.committed") // what was asked for is done
	return removeFile(t.dir.Path(heldFolder(t.node.ID), branchedMark))
}

// useUppers makes drives write new images.
func useUppers(record *inventory.Record, uppers map[string]string) {
	drives := append([]api.Drive(nil), record.Spec.Drives...)
	for i := range drives {
		if upper := uppers[drives[i].Name]; upper != "" {
			drives[i].File = upper
		}
	}
	record.Spec.Drives = drives
}

// takeState keeps what a machine is beside its disks, and lets a running one go
// over to its new images.
func (m *Manager) takeState(ctx context.Context, r *task.Run, t *taking) error {
	status := t.object.Value.Status
	t.node.Taken, t.node.MachineType = time.Now().UTC(), status.MachineType
	held := t.dir.Path(heldFolder(t.node.ID))
	switch status.State {
	case api.StateOff, api.StateSaved:
		if err := keepFirmware(ctx, string(t.dir), held); err != nil {
			return err
		}
		if status.State == api.StateOff {
			return nil
		}
		return keepSaved(t)
	}
	run := m.running(t.object.Key)
	if run == nil {
		return problem.New(api.KindWrongState, "", "it has no process")
	}
	if err := m.endMerges(ctx, t.object, run); err != nil {
		return err
	}
	if t.request.Memory {
		return m.takeMemory(ctx, r, t, run)
	}
	return m.takeRunning(ctx, r, t, run)
}

// endMerges ends the merging of images that an earlier daemon had QEMU begin, of a machine whose images are to branch, or which is
// to be saved: QEMU refuses both while a job writes them. It is begun again afterwards.
func (m *Manager) endMerges(ctx context.Context, object inventory.Object, run *run) error {
	if err := run.EndJobs(ctx); err != nil {
		return fmt.Errorf("end the merging of images: %w", err)
	}
	if isPivoting(ctx, run, m.folderOf(object), object.Value.Spec) {
		m.mergeLater(object.Key)
		return problem.New(api.KindBusy, "try again in a moment", "its images have been merged, and that is still being put down")
	}
	return nil
}

// keepSaved makes the saved state the snapshot's too. Its file is never changed,
// so that a second name is enough.
func keepSaved(t *taking) error {
	memory := t.dir.Path(heldFolder(t.node.ID), heldMemory)
	if err := linkDurably(t.dir.Path(folder.Saved, stateFile), memory); err != nil {
		return fmt.Errorf("keep the saved state: %w", err)
	}
	info, err := os.Stat(memory)
	if err != nil {
		return err
	}
	t.node.Memory = api.Size(info.Size())
	return nil
}

// takeRunning takes a snapshot of a running or paused machine without its memory.
func (m *Manager) takeRunning(ctx context.Context, r *task.Run, t *taking, run *run) error {
	thaw, err := m.prepareTaking(ctx, r, t, run)
	if err != nil {
		return err
	}
	defer thaw()
	r.Step("branching the disks")
	if t.node.State == api.StateRunning && t.firmwareChanges() {
		if err := run.Pause(ctx); err != nil {
			return err
		}
		begun := time.Now()
		err = errors.Join(m.branch(ctx, t, run), run.Resume(context.WithoutCancel(ctx)))
		r.Result(func(result *api.TaskResult) { result.Standstill = milliseconds(time.Since(begun)) })
	} else {
		err = m.branch(ctx, t, run)
	}
	if err != nil {
		return err
	}
	return m.keepBeside(ctx, t)
}

// prepareTaking stops the guest's file systems, if that is wanted, and notes what will be
// taken. thaw must be called when it has been.
func (m *Manager) prepareTaking(ctx context.Context, r *task.Run, t *taking, run *run) (thaw func(), err error) {
	thaw = func() {}
	if t.request.Quiesce {
		if thaw, err = m.freeze(ctx, r, t, run); err != nil {
			return nil, err
		}
	}
	if err := t.mark(ctx); err != nil {
		thaw()
		return nil, err
	}
	return thaw, nil
}

// freeze lets the guest's agent stop its file systems.
func (m *Manager) freeze(ctx context.Context, r *task.Run, t *taking, run *run) (thaw func(), err error) {
	r.Step("freezing the guest's file systems")
	frozen, err := run.Freeze(ctx, freezeWithin)
	switch {
	case errors.Is(err, runner.ErrNoAgent):
		return nil, problem.New(api.KindUnsupported, "install and start qemu-guest-agent in the guest, or leave --quiesce out", "%s", err)
	case err != nil:
		return nil, err
	}
	t.node.Quiesced = true
	return thawing(ctx, r, frozen, ""), nil
}

// thawing is a function that lets file systems go on. That this could not be done at once is
// said in a warning which begins with whose they are, and changes nothing of what was done meanwhile.
func thawing(ctx context.Context, r *task.Run, frozen *runner.Frozen, whose string) func() {
	if frozen.Count == 0 {
		r.Warn(whose + "the guest's agent has no file systems to stop: none that it knows is mounted")
	}
	return func() {
		if err := frozen.Thaw(ctx); err != nil {
			r.Warn(fmt.Sprintf("%sthe guest's file systems could not be set going at once, and that is tried again: %s", whose, err))
		}
	}
}

// firmwareChanges tells whether a running guest can change something that is
// neither memory nor disk, and so has to stand still while that is copied.
func (t *taking) firmwareChanges() bool {
	spec := t.object.Value.Spec
	return spec.TPM != nil || spec.Firmware.Type == api.UEFI
}

// mark puts down that from here on nobody can be sure which images the drives write
// but by asking QEMU.
func (t *taking) mark(ctx context.Context) error {
	if err := writeDurably(t.dir.Path(heldFolder(t.node.ID), branchedMark), nil); err != nil {
		return err
	}
	if err := syncPath(t.dir.Path(heldFolder(t.node.ID))); err != nil {
		return err
	}
	return fault.At(ctx, "snapshot.marked")
}

// branch lets a machine go over to its new images, and keeps what of its
// firmware could change from then on. The guest may be standing still for it.
func (m *Manager) branch(ctx context.Context, t *taking, run *run) error {
	t.node.Taken = time.Now().UTC()
	var overlays []runner.Overlay
	for _, drive := range t.object.Value.Spec.Drives {
		if upper := t.uppers[drive.Name]; upper != "" {
			overlays = append(overlays, runner.Overlay{Drive: drive.Name, Path: t.dir.Path(upper), Dials: drive})
		}
	}
	if len(overlays) > 0 {
		if err := run.Branch(ctx, overlays); err != nil {
			return fmt.Errorf("branch the disks: %w", err)
		}
	}
	if err := fault.At(ctx, "snapshot.branched"); err != nil {
		return err
	}
	if !t.firmwareChanges() {
		return nil
	}
	return keepFirmware(ctx, string(t.dir), t.dir.Path(heldFolder(t.node.ID)))
}

// keepBeside keeps the firmware's variables and the TPM where that could wait.
func (m *Manager) keepBeside(ctx context.Context, t *taking) error {
	if t.firmwareChanges() {
		return nil
	}
	return keepFirmware(ctx, string(t.dir), t.dir.Path(heldFolder(t.node.ID)))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// memoryWriter packs a machine's state into a snapshot's file.
type memoryWriter struct {
	*zstd.Encoder
	sealed io.Closer
	file   *os.File
}

func newMemoryWriter(path string, dir folder.Folder, drives []api.Drive) (*memoryWriter, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	sealed, err := sealState(dir, drives, file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	packer, err := zstd.NewWriter(sealed, zstd.WithEncoderLevel(stateLevel), zstd.WithWindowSize(stateWindow))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &memoryWriter{packer, sealed, file}, nil
}

// finish makes durable what was written, and says how much it is.
func (w *memoryWriter) finish() (int64, error) {
	if err := errors.Join(w.Encoder.Close(), w.sealed.Close(), w.file.Sync()); err != nil {
		return 0, errors.Join(err, w.file.Close())
	}
	info, err := w.file.Stat()
	if err := errors.Join(err, w.file.Close()); err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// abort closes the file of what was not written whole.
func (w *memoryWriter) abort() error { return errors.Join(w.Encoder.Close(), w.file.Close()) }
