package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/task"
)

// restoring is a machine that is being made what it was.
type restoring struct {
	object inventory.Object
	dir    folder.Folder
	to     api.Snapshot
	spec   api.Spec // what the machine's becomes
	keep   *taking  // of the present state; nil when that is given up
	paused bool     // the guest of its memory stands still when it is started
	upper  string   // part of the names of the new images
}

// unrestore is the arguments of the undo step "unrestore".
type unrestore struct {
	UUID   string   `json:"uuid"`
	Folder string   `json:"folder"`
	Files  []string `json:"files"` // new images, relative to the folder
	Keep   string   `json:"keep"`  // ID of the snapshot of the present state
}

// Where the parts of the machine that are exchanged wait, relative to its folder.
var (
	restoreFolder = filepath.Join(folder.Snapshots, ".restore")
	restoreNew    = filepath.Join(restoreFolder, "new")
	restoreOld    = filepath.Join(restoreFolder, "old")
	// exchanged are the machine's directories that are another's after a restore.
	exchanged = []string{folder.NVRAM, folder.TPM, folder.Saved}
)

// Restore begins to make the machine what it was.
func (s *Snapshots) Restore(ctx context.Context, ref, wanted string, request api.RestoreSnapshotRequest) (api.Task, error) {
	return again(ctx, func() (api.Task, error) { return s.tryRestore(ctx, ref, wanted, request) })
}

func (s *Snapshots) tryRestore(ctx context.Context, ref, wanted string, request api.RestoreSnapshotRequest) (api.Task, error) {
	object, found, err := s.toChange(ctx, ref, wanted)
	if err != nil {
		return api.Task{}, err
	}
	job, err := s.m.planRestoring(object, found, request)
	if err != nil {
		return api.Task{}, fmt.Errorf("restore %s to %s: %w", object.Value.Spec.Name, found.Name, err)
	}
	if err := s.m.mayGiveUp(object, job.spec, request); err != nil {
		return api.Task{}, err
	}
	status := object.Value.Status
	enter := status.State
	if s.m.running(object.Key) != nil {
		enter = api.StateStopping
	}
	s.m.forgetRestart(object.Key)
	order, err := s.m.claim(ctx, object, "snapshot.restore", enter)
	if err != nil {
		return api.Task{}, err
	}
	if job.keep != nil && s.m.running(object.Key) != nil {
		order.Journal = append(order.Journal, task.NewUndo("unsave", unsaved{object.Key, object.Value.Folder, status.State == api.StatePaused}))
	}
	order.Journal = append(order.Journal, task.NewUndo("unrestore", job.undo()))
	return s.m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := s.m.restoreTo(ctx, r, job); err != nil {
			return fmt.Errorf("restore %s to %s: %w", object.Value.Spec.Name, found.Name, err)
		}
		return nil
	})
}

// mayGiveUp refuses a restore by which something would be lost that nobody has
// given up.
func (m *Manager) mayGiveUp(object inventory.Object, become api.Spec, request api.RestoreSnapshotRequest) error {
	if request.Keep && request.Force {
		return problem.New(api.KindInvalid, "", "restore %s: --keep and --force contradict each other", object.Value.Spec.Name)
	}
	if request.Keep {
		if len(object.Value.Snapshots) >= snapshot.MaxSnapshots {
			return problem.New(api.KindRefused, "delete some first", "machine %s has %d snapshots, and more are not kept", object.Value.Spec.Name, snapshot.MaxSnapshots)
		}
		if reason := machine.Unsavable(object.Value.Spec); reason != "" && m.running(object.Key) != nil {
			return problem.New(api.KindUnsupported, "shut it down first, or "+moveOff,
				"restore %s: what it is now cannot be kept: %s", object.Value.Spec.Name, reason)
		}
		if request.KeepName == "" {
			return nil
		}
		return freeName(object, request.KeepName)
	}
	if request.Force {
		return nil
	}
	lost, err := m.wouldLose(object, become)
	if err != nil || lost == "" {
		return err
	}
	return problem.New(api.KindRefused, "--keep takes a snapshot of it first, --force gives it up",
		"restore %s: %s", object.Value.Spec.Name, lost)
}

// wouldLose says what of a machine's present state no snapshot has, and neither the machine when it is what it is to
// become; empty for nothing.
func (m *Manager) wouldLose(object inventory.Object, become api.Spec) (string, error) {
	switch state := object.Value.Status.State; state {
	case api.StateRunning, api.StatePaused:
		return fmt.Sprintf("it is %s, and its run would be ended", state), nil
	case api.StateSaved:
		return "its saved state would be lost", nil
	}
	held := snapshot.Of(object.Value.Machine).Images()
	for _, drive := range object.Value.Spec.Drives {
		if !machine.InSnapshots(drive) || drive.File == "" || held[drive.File] || slices.Contains(filesOf(become), drive.File) {
			continue
		}
		written, err := media.HoldsData(object.Value.Folder, drive.File)
		if err != nil {
			return "", fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		if written {
			return fmt.Sprintf("what was written to drive %s since the last snapshot would be lost", drive.Name), nil
		}
	}
	return "", nil
}

func (m *Manager) planRestoring(object inventory.Object, to api.Snapshot, request api.RestoreSnapshotRequest) (*restoring, error) {
	if request.Paused && !to.HasMemory() {
		return nil, problem.New(api.KindWrongState, "leave --paused out", "the snapshot has no memory, and so no guest that could stand still")
	}
	job := &restoring{object: object, dir: m.folderOf(object), to: to, upper: newSnapshotID()}
	job.paused = to.HasMemory() && (request.Paused || to.State == api.StatePaused)
	held, err := heldSpec(job.dir, to)
	if err != nil {
		return nil, err
	}
	job.spec = snapshot.Restored(object.Value.Spec, held)
	if request.Keep {
		job.keep = m.planTaking(object, api.TakeSnapshotRequest{Name: request.KeepName, Description: "kept when the machine was restored to " + to.Name})
	}
	return job, nil
}

// uppers are the new images by drive: for those that take part in snapshots, and for others that would write an image
// that a snapshot holds.
func (job *restoring) uppers() map[string]string {
	held, uppers := snapshot.Of(job.object.Value.Machine).Images(), map[string]string{}
	if job.keep != nil {
		for _, file := range job.keep.node.Images {
			held[file] = true
		}
	}
	for _, drive := range job.spec.Drives {
		if machine.InSnapshots(drive) || writesFile(drive) && held[drive.File] {
			uppers[drive.Name] = upperName(drive.Name, job.upper)
		}
	}
	return uppers
}

// leaves are the drives that the machine has no more when it is restored, and whose images stay where they are: those
// that are left out of snapshots.
func (job *restoring) leaves() []api.Drive {
	return slices.DeleteFunc(slices.Clone(job.object.Value.Spec.Drives), func(drive api.Drive) bool {
		return !writesFile(drive) || machine.InSnapshots(drive) || driveNamed(job.spec.Drives, drive.Name) != nil
	})
}

func (job *restoring) undo() unrestore {
	undo := unrestore{UUID: job.object.Key, Folder: string(job.dir)}
	for _, file := range job.uppers() {
		undo.Files = append(undo.Files, file)
	}
	if job.keep != nil {
		undo.Keep = job.keep.node.ID
	}
	return undo
}

// restoreTo ends the run, makes beside what the machine is now what it is to be,
// exchanges the two, and commits that.
func (m *Manager) restoreTo(ctx context.Context, r *task.Run, job *restoring) error {
	if err := fault.At(ctx, "restore.begun"); err != nil {
		return err
	}
	if err := m.endForRestore(ctx, r, job); err != nil {
		return err
	}
	if err := fault.At(ctx, "restore.ended"); err != nil {
		return err
	}
	r.Step("making images")
	if err := m.keepPresent(ctx, job); err != nil {
		return fmt.Errorf("keep the present state: %w", err)
	}
	if err := fault.At(ctx, "restore.kept"); err != nil {
		return err
	}
	uppers := job.uppers()
	for _, drive := range job.spec.Drives {
		if upper := uppers[drive.Name]; upper != "" {
			if err := makeUpper(job.dir, drive, upper); err != nil {
				return fmt.Errorf("drive %s: %w", drive.Name, err)
			}
		}
	}
	if err := syncPath(job.dir.Path(folder.Disks)); err != nil {
		return err
	}
	if err := fault.At(ctx, "restore.images-made"); err != nil {
		return err
	}
	if err := job.exchange(ctx); err != nil {
		return err
	}
	if err := fault.At(ctx, "restore.exchanged"); err != nil {
		return err
	}
	others, err := m.standOn(ctx, job.object.Key)
	if err != nil {
		return err
	}
	for _, drive := range job.leaves() {
		r.Warn(fmt.Sprintf("the machine had no drive %s then, and has none now; what is on it is still in %s", drive.Name, job.dir.Path(drive.File)))
	}
	become := m.restored(job, others)
	err = m.finishTree(context.WithoutCancel(ctx), r, job.object.Key, func(record *inventory.Record) error {
		if err := become(record); err != nil {
			return err
		}
		m.deepen(ctx, record)
		return nil
	})
	if err != nil {
		return err
	}
	_ = fault.At(ctx, "restore.committed") // what was asked for is done
	if err := m.clearLeftovers(context.WithoutCancel(ctx), job.object.Key); err != nil {
		m.log.Warn("what a restore has left over is removed later", "machine", job.object.Value.Spec.Name, "error", err)
	}
	return nil
}

// endForRestore ends the machine's run: by saving it where its state is to be
// kept, else at once.
func (m *Manager) endForRestore(ctx context.Context, r *task.Run, job *restoring) error {
	run := m.running(job.object.Key)
	if run == nil {
		return nil
	}
	if job.keep == nil {
		r.Step("powering off")
		return m.powerOff(ctx, run, api.EndStopped)
	}
	r.Step("writing the memory")
	if err := run.Pause(ctx); err != nil {
		return err
	}
	if err := m.writeState(ctx, r, run, job.dir, job.object.Value.Spec.Drives); err != nil {
		return err
	}
	return m.powerOff(context.WithoutCancel(ctx), run, api.EndSaved)
}

// keepPresent makes the snapshot of what the machine is now. Its images are those that are written
// now, and are not any more.
func (m *Manager) keepPresent(ctx context.Context, job *restoring) error {
	t := job.keep
	if t == nil {
		return nil
	}
	t.node.Taken = time.Now().UTC()
	if err := makeHeld(t.dir, t.node.ID, t.object.Value.Spec); err != nil {
		return err
	}
	if err := keepFirmware(ctx, string(t.dir), t.dir.Path(heldFolder(t.node.ID))); err != nil {
		return err
	}
	if !hasState(t.dir) {
		return nil
	}
	t.node.MachineType = t.object.Value.Status.MachineType
	return keepSaved(t)
}

// exchange puts the snapshot's firmware variables, TPM state and memory in the
// place of the machine's.
func (job *restoring) exchange(ctx context.Context) error {
	held := job.dir.Path(heldFolder(job.to.ID))
	for _, name := range []string{restoreFolder, restoreNew, restoreOld, filepath.Join(restoreNew, folder.Saved)} {
		if err := os.Mkdir(job.dir.Path(name), 0o700); err != nil {
			return err
		}
	}
	if err := keepFirmware(ctx, held, job.dir.Path(restoreNew)); err != nil {
		return err
	}
	if job.to.HasMemory() {
		if err := linkDurably(filepath.Join(held, heldMemory), job.dir.Path(restoreNew, folder.Saved, stateFile)); err != nil {
			return fmt.Errorf("take the memory: %w", err)
		}
	}
	if err := fault.At(ctx, "restore.staged"); err != nil {
		return err
	}
	for _, part := range exchanged {
		if err := os.Rename(job.dir.Path(part), job.dir.Path(restoreOld, part)); err != nil && !isNotExist(err) {
			return err
		}
		if err := fault.At(ctx, "restore.part-away"); err != nil {
			return err
		}
		if err := os.Rename(job.dir.Path(restoreNew, part), job.dir.Path(part)); err != nil {
			return err
		}
	}
	return errors.Join(syncPath(job.dir.Path(restoreOld)), syncPath(string(job.dir)))
}

// restored is what a restore makes of the record.
func (m *Manager) restored(job *restoring, others map[string]bool) func(*inventory.Record) error {
	return func(record *inventory.Record) error {
		before := snapshot.Of(record.Machine)
		tree := before
		if job.keep != nil {
			tree = tree.Add(job.keep.node)
		}
		tree.Current = job.to.ID
		setTree(record, tree)
		was := record.Spec
		record.Spec = job.spec
		useUppers(record, job.uppers())
		record.SpecChangedAfter = max(record.SpecChangedAfter, record.Machine.Revision)
		strays, err := strayImages(record, branchingFiles(was)...)
		if err != nil {
			return err
		}
		dropped, lent, err := droppedImages(record, was, strays, tree, others)
		if err != nil {
			return err
		}
		record.Lent = lent
		record.Leftovers = append(append(record.Leftovers, restoreFolder), dropped...)
		m.enter(record, api.StateOff)
		record.Status.MachineType, record.StayPaused = "", job.paused
		if job.to.HasMemory() {
			m.enter(record, api.StateSaved)
			record.Status.MachineType = job.to.MachineType
			record.Status.CPUs = cmp.Or(job.to.CPUs, job.spec.CPU.Count) // the memory is of so many
		}
		return nil
	}
}

// droppedImages are the images of the drives that a machine had, as far as they took part in
// snapshots, that nothing in a tree needs, and neither the drives that the machine has now; lent are those of them that
// stay because others stand on them, besides the strays.
func droppedImages(record *inventory.Record, was api.Spec, strays []string, tree snapshot.Tree, others map[string]bool) (dropped, lent []string, err error) {
	held, dir := tree.Images(), folder.Folder(record.Folder)
	// That of a drive which is left out, and was detached since, need not be there.
	are := present(record.Folder, append(filesOf(record.Spec), strays...))
	images, err := survey(dir, slices.Concat(branchingFiles(was), are, keys(held), present(record.Folder, record.Lent)))
	if err != nil {
		return nil, nil, err
	}
	needs := snapshot.Needs{Held: held, Written: setOf(are)}
	rest := images.Unneeded(needs)
	needs.Others = others
	dropped = images.Unneeded(needs)
	return dropped, slices.DeleteFunc(rest, func(file string) bool { return slices.Contains(dropped, file) }), nil
}

func setOf(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// filesOf are the images that the disks of a spec are made of, those that are left out of snapshots, too: they may
// stand on what snapshots hold.
func filesOf(spec api.Spec) []string {
	var files []string
	for _, drive := range spec.Drives {
		if drive.Kind == api.Disk && drive.File != "" {
			files = append(files, drive.File)
		}
	}
	return files
}

// branchingFiles are those of filesOf that take part in snapshots.
func branchingFiles(spec api.Spec) []string { return slices.Collect(maps.Values(branching(spec))) }

func keys(set map[string]bool) []string {
	var list []string
	for name := range set {
		list = append(list, name)
	}
	return list
}

// undoRestore puts back what exchange has taken away, and removes what was made.
func (m *Manager) undoRestore(step unrestore) error {
	dir := folder.Folder(step.Folder)
	for _, part := range exchanged {
		old := dir.Path(restoreOld, part)
		if _, err := os.Lstat(old); isNotExist(err) {
			continue
		}
		if err := os.RemoveAll(dir.Path(part)); err != nil {
			return err
		}
		if err := os.Rename(old, dir.Path(part)); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir.Path(restoreFolder)); err != nil {
		return err
	}
	for _, file := range step.Files {
		if err := removeFile(dir.Path(file)); err != nil {
			return err
		}
	}
	if step.Keep == "" {
		return nil
	}
	return os.RemoveAll(dir.Path(heldFolder(step.Keep)))
}
