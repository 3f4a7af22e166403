package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// cloneJob is what a clone is made of.
type cloneJob struct {
	request  api.CloneRequest
	original inventory.Object
	spec     api.Spec      // of the original, now or in the snapshot
	dir      folder.Folder // of the original
	firmware string        // where the firmware's variables are
	tpm      string        // where the TPM's state is
	records  []inventory.Record
	// open opens what a drive of the original holds.
	open func(ctx context.Context, drive api.Drive) (disk.Image, error)
}

// Clone begins to make machines that are like another one.
func (m *Manager) Clone(ctx context.Context, ref string, request api.CloneRequest) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return m.tryClone(ctx, ref, request) })
}

func (m *Manager) tryClone(ctx context.Context, ref string, request api.CloneRequest) (api.Task, error) {
	job, err := m.planClone(ctx, ref, request)
	if err != nil {
		return api.Task{}, err
	}
	order := task.Order{ID: task.NewID(), Kind: "machine.clone", Name: request.Name}
	if len(job.records) == 1 {
		order.Machine = job.records[0].Spec.UUID
	}
	for _, record := range job.records {
		order.Journal = append(order.Journal, task.NewUndo("unmake", made{record.Spec.UUID, record.Folder}))
	}
	if !request.Linked {
		if err := m.claimAlso(ctx, &order, job.original); err != nil {
			return api.Task{}, err
		}
	}
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.clone(ctx, r, job); err != nil {
			return fmt.Errorf("clone %s: %w", job.original.Value.Spec.Name, m.orAway(ctx, job.records[0].Folder, err))
		}
		return nil
	})
}

// planClone finds out what is to be cloned, and says at once what is wrong.
func (m *Manager) planClone(ctx context.Context, ref string, request api.CloneRequest) (*cloneJob, error) {
	if request.Count < 0 || request.Count > maxClones {
		return nil, problem.New(api.KindInvalid, "", "clone %s: the count is %d; it must be 1 to %d", ref, request.Count, maxClones)
	}
	job, err := m.cloneSource(ctx, ref, request)
	if err != nil {
		return nil, err
	}
	name := job.original.Value.Spec.Name
	if err := m.unwritten(ctx, job.original); err != nil {
		return nil, fmt.Errorf("clone %s: %w", name, err)
	}
	for _, clone := range cloneNames(request) {
		record := m.cloneRecord(job.spec, clone)
		if wrong := machine.Validate(record.Spec); len(wrong) > 0 {
			return nil, problem.Invalid(wrong, "clone %s: the spec of %s is not valid", name, clone)
		}
		if err := m.unknown(ctx, record.Spec); err != nil {
			return nil, err
		}
		dir, err := m.freeFolder(ctx, record.Spec, request.Pool)
		if err != nil {
			return nil, err
		}
		record.Folder = string(dir)
		job.records = append(job.records, record)
	}
	return job, nil
}

// cloneSource finds the state that is to be cloned.
func (m *Manager) cloneSource(ctx context.Context, ref string, request api.CloneRequest) (*cloneJob, error) {
	object, err := m.inv.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	spec, dir := object.Value.Spec, m.folderOf(object)
	job := &cloneJob{
		request: request, original: object, spec: spec, dir: dir,
		firmware: dir.Path(folder.NVRAM), tpm: dir.Path(folder.TPM),
	}
	job.open = func(_ context.Context, drive api.Drive) (disk.Image, error) {
		return openKept(dir, drive, m.driveKeys(object.Key, drive))
	}
	switch {
	case request.Snapshot != "":
		return job, m.cloneSnapshot(job)
	case request.Linked && !spec.Template:
		return nil, problem.New(api.KindRefused,
			fmt.Sprintf("take a snapshot and clone that (--snapshot), make a template of the machine (`panal set %s template=on`), or make a full clone", spec.Name),
			"clone %s: a linked clone stands on the original's disks, and those of %s can change", spec.Name, spec.Name)
	case request.Linked:
		return job, nil
	}
	operation := machine.OpClone
	if request.Running {
		operation = machine.OpCloneRunning
	}
	if _, err := m.allowed(ctx, object.Key, operation); err != nil {
		return nil, err
	}
	return job, nil
}

// cloneSnapshot makes a job's source the original as it was in a snapshot,
// whatever it does now.
func (m *Manager) cloneSnapshot(job *cloneJob) error {
	name := job.original.Value.Spec.Name
	held, err := snapshotNamed(job.original, job.request.Snapshot)
	if err != nil {
		return fmt.Errorf("clone %s: %w", name, err)
	}
	if task := job.original.Value.Status.Task; task != "" && !job.request.Linked {
		return problem.New(api.KindBusy, "wait for it (panal task wait "+task+"), or cancel it", "clone %s: task %s is at work on it", name, task)
	}
	if job.spec, err = heldSpec(job.dir, held); err != nil {
		return fmt.Errorf("clone %s: snapshot %s: %w", name, held.Name, err)
	}
	if at := slices.IndexFunc(job.spec.Drives, func(drive api.Drive) bool { return !machine.InSnapshots(drive) && written(drive) }); at >= 0 && job.request.Linked {
		drive := job.spec.Drives[at]
		return problem.New(api.KindRefused, "make a full clone, or take a snapshot without that drive",
			"clone %s: drive %s is %s, and so in no snapshot: what %s writes on it would change under a linked clone", name, drive.Name, machine.WriteModeOf(drive), name)
	}
	job.request.Snapshot = held.ID
	job.firmware = job.dir.Path(heldFolder(held.ID), folder.NVRAM)
	job.tpm = job.dir.Path(heldFolder(held.ID), folder.TPM)
	return nil
}

// written tells whether a guest writes what a clone of the drive would stand on.
func written(drive api.Drive) bool {
	return ofItsOwn(drive) && (writesFile(drive) || machine.WritesSource(drive))
}

// clone makes all machines of a job, and makes them known in one commit.
func (m *Manager) clone(ctx context.Context, r *task.Run, job *cloneJob) error {
	if ports := sharedForwards(job.spec); len(ports) > 0 {
		r.Warn(fmt.Sprintf("clones forward the same ports of the host as the original, %d for one: give them others to run both", ports[0]))
	}
	if job.original.Value.Status.State == api.StateSaved && !job.request.Linked {
		r.Warn("the saved state is not cloned, only the disks as they are")
	}
	if !job.request.Linked {
		release, err := m.readStill(ctx, job.original)
		if err != nil {
			return err
		}
		defer release()
	}
	done, err := m.still(ctx, job)
	if err != nil {
		return err
	}
	err = m.makeClones(ctx, r, job)
	if err := errors.Join(err, done()); err != nil {
		return err
	}
	return m.introduce(ctx, r, job)
}

// still keeps what a running machine's disks hold at this instant, for the clones to
// be made of; done lets go of it.
func (m *Manager) still(ctx context.Context, job *cloneJob) (done func() error, err error) {
	if !job.request.Running {
		return func() error { return nil }, nil
	}
	run := m.running(job.original.Key)
	if run == nil {
		return nil, problem.New(api.KindWrongState, "clone it without --running", "it does not run")
	}
	var drives []string
	for _, drive := range job.spec.Drives {
		if _, made := copied(drive); made && !machine.Resets(drive) {
			drives = append(drives, drive.Name)
		}
	}
	if len(drives) == 0 {
		return func() error { return nil }, nil
	}
	if err := notRunning(job.spec.Drives, "clone it"); err != nil {
		return nil, err
	}
	fleece, err := run.Fleece(ctx, drives, job.dir.Path(folder.Disks))
	if err != nil {
		return nil, err
	}
	kept := job.open
	job.open = func(ctx context.Context, drive api.Drive) (disk.Image, error) {
		if machine.Resets(drive) { // nobody writes what is left of it by the next power-on
			return kept(ctx, drive)
		}
		return fleece.Image(ctx, drive.Name)
	}
	return fleece.Close, nil
}

// makeClones makes the folders of all clones.
func (m *Manager) makeClones(ctx context.Context, r *task.Run, job *cloneJob) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(4)
	var done atomic.Int64
	for i := range job.records {
		group.Go(func() error {
			if err := m.makeClone(working, r, job, &job.records[i]); err != nil {
				return err
			}
			if n := done.Add(1); len(job.records) > 1 {
				r.Report(api.Progress{Step: "cloning", Done: n, Total: int64(len(job.records)), Unit: "machines"})
			}
			return nil
		})
	}
	return group.Wait()
}

// introduce puts finished clones in their places, and makes them known.
func (m *Manager) introduce(ctx context.Context, r *task.Run, job *cloneJob) error {
	var ops []state.Op
	for i := range job.records {
		if err := m.place(ctx, job.records[i]); err != nil {
			return err
		}
		create, err := m.inv.CreateOps(job.records[i])
		if err != nil {
			return err
		}
		ops = append(ops, create...)
	}
	if err := fault.At(ctx, "clone.in-place"); err != nil {
		return err
	}
	if err := m.endClone(ctx, r, job, ops); err != nil {
		return inventory.Explain(err, job.records[0].Spec)
	}
	_ = fault.At(ctx, "clone.committed") // what was asked for is done
	return nil
}

// endClone makes the clones known: in the commit that gives the original back,
// or that holds only if linked clones can still stand on it.
func (m *Manager) endClone(ctx context.Context, r *task.Run, job *cloneJob, ops []state.Op) error {
	for {
		object, err := m.inv.Get(ctx, job.original.Key)
		if err != nil {
			return err
		}
		var with []state.Op
		if job.request.Linked {
			if err := job.stillStands(object); err != nil {
				return err
			}
			with = []state.Op{state.Check(inventory.Prefix+object.Key, object.Revision)}
		} else {
			object.Value.Status.Task = ""
			if with, err = m.inv.UpdateOps(ctx, object, object.Value.Spec); err != nil {
				return err
			}
		}
		if err := r.End(ctx, append(with, ops...)...); !isConflict(err) {
			return err
		}
	}
}

// stillStands checks that what a linked clone was made on is as it was.
func (job *cloneJob) stillStands(now inventory.Object) error {
	before := job.original.Value
	whole := now.Value.Folder == before.Folder && now.Value.Status.Task == ""
	switch held, err := snapshotNamed(now, job.request.Snapshot); {
	case job.request.Snapshot == "" && whole && now.Value.Spec.Template:
		return nil
	case job.request.Snapshot != "" && whole && err == nil && heldAsBefore(held, job.spec):
		return nil
	}
	return problem.New(api.KindConflict, "look at it, and try again", "the original was changed meanwhile")
}

// heldAsBefore tells whether a snapshot still holds the images that a spec of
// it names.
func heldAsBefore(held api.Snapshot, spec api.Spec) bool {
	for _, drive := range spec.Drives {
		if machine.InSnapshots(drive) && held.Images[drive.Name] != drive.File {
			return false
		}
	}
	return true
}

// makeClone makes a clone's folder, and its disks in it.
func (m *Manager) makeClone(ctx context.Context, r *task.Run, job *cloneJob, record *inventory.Record) error {
	staging := stagingOf(record)
	if err := fault.At(ctx, "clone.begun"); err != nil {
		return err
	}
	if err := staging.Make(); err != nil {
		return err
	}
	for i := range record.Spec.Drives {
		drive := &record.Spec.Drives[i]
		if warning := seedOnDisk(*drive); warning != "" {
			r.Warn(warning)
		}
		if err := m.cloneDrive(ctx, r, job, staging, drive); err != nil {
			return fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		if err := fault.At(ctx, "clone.drive-made"); err != nil {
			return err
		}
	}
	giveInstances(r, record)
	if err := job.copyState(staging); err != nil {
		return err
	}
	inheritBases(record, job.original.Value, job.spec)
	var err error
	if record.Digest, err = staging.Prepare(documentOf(*record)); err != nil {
		return err
	}
	if err := staging.Settle(record.Digest); err != nil {
		return err
	}
	return fault.At(ctx, "clone.spec-written")
}

// cloneDrive makes what a clone's drive holds; drive is the original's and
// becomes the clone's.
func (m *Manager) cloneDrive(ctx context.Context, r *task.Run, job *cloneJob, staging folder.Folder, drive *api.Drive) error {
	original := *drive
	if job.request.Linked {
		clone, made := linked(job.dir, original)
		if made {
			clone.File = filepath.Join(folder.Disks, clone.Name+".qcow2")
			if err := media.CreateDifference(staging.Path(clone.File), media.StackOf(clone, "")[0]); err != nil {
				return err
			}
		}
		*drive = clone
		return nil
	}
	clone, made := copied(original)
	*drive = clone
	if !made {
		return nil
	}
	img, err := job.open(ctx, original)
	if err != nil {
		return err
	}
	seal, err := m.sealAs(job, original)
	if err != nil {
		return errors.Join(err, img.Close())
	}
	drive.File = filepath.Join(folder.Disks, drive.Name+".qcow2")
	err = media.CreateCopy(ctx, staging.Path(drive.File), img, int64(drive.Size), seal, func(done, total int64) {
		r.Report(api.Progress{Step: "copying " + drive.Name, Done: done, Total: total, Unit: "bytes"})
	})
	return errors.Join(err, img.Close())
}

// sealAs encrypts what is copied as the original is: the clone opens by the same passphrases.
func (m *Manager) sealAs(job *cloneJob, original api.Drive) (*media.Seal, error) {
	top, there := topOf(job.dir, original)
	if !original.Encrypted || !there {
		return nil, nil
	}
	return media.SealOf(top, m.driveKeys(job.original.Key, original))
}

// copyState copies the firmware's variables, and the TPM's state if that is
// wanted: a TPM's keys are an identity, which two machines must not share unasked.
func (job *cloneJob) copyState(staging folder.Folder) error {
	if err := folder.CopyFiles(job.firmware, staging.Path(folder.NVRAM)); err != nil {
		return err
	}
	if !job.request.KeepTPM {
		return nil
	}
	return folder.CopyFiles(job.tpm, staging.Path(folder.TPM))
}
