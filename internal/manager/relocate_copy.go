package manager

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/internal/task"
)

// While a machine runs, its drives branch as for a snapshot that nobody sees: what they wrote until then does not change any
// more and is copied, whatever its format. What is written meanwhile is little, or becomes it: where it is not, they branch once more.
// The new images are merged with those below in the background, as always.

const (
	// littleToCopy is how much of what was written meanwhile is copied while the guest stands still.
	littleToCopy = 32 << 20
	// mostRounds bounds how often drives branch.
	mostRounds = 4
)

// copyAway copies a machine to another file system, most of it while the guest runs, and lets that stand still at the
// end. It tells since when.
func (m *Manager) copyAway(ctx context.Context, r *task.Run, step relocated, run *run) (stood time.Time, err error) {
	ctx, done := whileRuns(ctx, run)
	defer done()
	staging := comingFolder(step.movedFolder)
	if err := staging.Make(); err != nil {
		return stood, err
	}
	if err := m.clearLeftovers(ctx, step.UUID); err != nil {
		return stood, err
	}
	if err := m.copyAhead(ctx, r, step, run); err != nil {
		return stood, because(ctx, err)
	}
	if err := run.Pause(ctx); err != nil {
		return stood, because(ctx, err)
	}
	stood = time.Now()
	if err := m.copyRest(ctx, r, step, run); err != nil {
		return stood, because(ctx, err)
	}
	if err := m.poolThere(ctx, staging); err != nil {
		return stood, err
	}
	return stood, staging.MoveTo(folder.Folder(step.To))
}

// copyAhead copies while the guest runs, until what has to be copied while it stands still is little.
func (m *Manager) copyAhead(ctx context.Context, r *task.Run, step relocated, run *run) error {
	for round, before := 1, int64(0); ; round++ {
		if err := m.branchAhead(ctx, r, step.UUID, run); err != nil {
			return err
		}
		object, err := m.inv.Get(ctx, step.UUID)
		if err != nil {
			return err
		}
		live := liveFiles(object.Value)
		err = copyMissing(ctx, r, step.movedFolder, func(file string) bool {
			return live[file] || !strings.HasPrefix(file, folder.Disks+"/") && !strings.HasPrefix(file, folder.Snapshots+"/") && file != folder.StateKeys
		})
		if err != nil {
			return err
		}
		if err := fault.At(ctx, "relocate.copied-ahead"); err != nil {
			return err
		}
		left, err := allocatedIn(step.From, branching(object.Value.Spec))
		if err != nil {
			return err
		}
		if left <= littleToCopy || round == mostRounds || round > 1 && left > before/2 {
			return nil
		}
		before = left
	}
}

// copyRest writes the state of a guest that stands still to the new place, and copies what is not there yet.
func (m *Manager) copyRest(ctx context.Context, r *task.Run, step relocated, run *run) error {
	object, err := m.inv.Get(ctx, step.UUID)
	if err != nil {
		return err
	}
	staging := comingFolder(step.movedFolder)
	r.Step("writing the memory")
	if err := m.writeState(ctx, r, run, staging, object.Value.Spec.Drives); err != nil {
		return err
	}
	if err := fault.At(ctx, "relocate.written"); err != nil {
		return err
	}
	err = copyMissing(ctx, r, step.movedFolder, func(file string) bool {
		return filepath.Dir(file) == folder.Saved || strings.HasPrefix(file, folder.SpecFile)
	})
	if err != nil {
		return err
	}
	digest, err := staging.Prepare(documentOf(object.Value))
	if err != nil {
		return err
	}
	if err := staging.Settle(digest); err != nil {
		return err
	}
	if err := syncTree(string(staging)); err != nil {
		return err
	}
	return fault.At(ctx, "relocate.copied")
}

// branchAhead lets the drives of a running machine go over to new images, so that those which they wrote can be copied.
func (m *Manager) branchAhead(ctx context.Context, r *task.Run, uuid string, run *run) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return err
	}
	t := m.planTaking(object, api.TakeSnapshotRequest{})
	below := branching(object.Value.Spec)
	for drive := range t.uppers {
		if below[drive] == "" {
			delete(t.uppers, drive) // nothing that it writes is in the folder
		}
	}
	if len(t.uppers) == 0 {
		return nil
	}
	if err := mayDeepen(&object.Value); err != nil {
		return err
	}
	r.Step("branching the disks")
	if err := r.Journal(ctx, task.NewUndo("untake", untake{uuid, object.Value.Folder, t.node.ID, t.uppers})); err != nil {
		return err
	}
	if err := m.makeBranches(ctx, t); err != nil {
		return err
	}
	if err := m.endMerges(ctx, t.object, run); err != nil {
		return err
	}
	if err := t.mark(ctx); err != nil {
		return err
	}
	var overlays []runner.Overlay
	for _, drive := range object.Value.Spec.Drives {
		if upper := t.uppers[drive.Name]; upper != "" {
			overlays = append(overlays, runner.Overlay{Drive: drive.Name, Path: t.dir.Path(upper), Dials: drive})
		}
	}
	if err := run.Branch(ctx, overlays); err != nil {
		return fmt.Errorf("branch the disks: %w", err)
	}
	if err := fault.At(ctx, "relocate.branched"); err != nil {
		return err
	}
	_, err = m.changeTree(ctx, uuid, func(record *inventory.Record) error {
		useUppers(record, t.uppers)
		record.Merging = true
		return nil
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(t.dir.Path(heldFolder(t.node.ID)))
}

// makeBranches makes the images that drives go over to, and the folder that tells of them while that is under way.
func (m *Manager) makeBranches(ctx context.Context, t *taking) error {
	if err := makeHeld(t.dir, t.node.ID, t.object.Value.Spec); err != nil {
		return err
	}
	if err := t.makeUppers(); err != nil {
		return err
	}
	return fault.At(ctx, "relocate.images-made")
}

// branching are the images, by drive, that can branch: those in the folder that drives write which take part in snapshots.
func branching(spec api.Spec) map[string]string {
	files := map[string]string{}
	for _, drive := range spec.Drives {
		if drive.File != "" && machine.InSnapshots(drive) {
			files[drive.Name] = drive.File
		}
	}
	return files
}

// liveFiles are the images in a machine's folder that its guest writes.
func liveFiles(record inventory.Record) map[string]bool {
	files := map[string]bool{}
	for _, drive := range record.Spec.Drives {
		switch {
		case machine.Differs(drive):
			files[differenceOf(drive)] = true
		case drive.File != "" && machine.WriteModeOf(drive) != api.WriteNothing:
			files[drive.File] = true
		}
	}
	return files
}

// copyMissing copies what is in a machine's folder, holes and all, is not at the new place yet, and is not skipped.
func copyMissing(ctx context.Context, r *task.Run, step movedFolder, skip func(file string) bool) error {
	staging := comingFolder(step)
	return filepath.WalkDir(step.From, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(step.From, path)
		if err != nil {
			return err
		}
		target := staging.Path(inside)
		switch _, err := os.Lstat(target); {
		case entry.IsDir():
			return makeLike(entry, target)
		case err == nil || skip(inside):
			return nil
		case !entry.Type().IsRegular():
			return problem.New(api.KindRefused, "move it away", "%s is no file and cannot be copied", path)
		}
		return media.CopyFile(ctx, path, target, func(done, total int64) {
			r.Report(api.Progress{Step: "copying " + inside, Done: done, Total: total, Unit: "bytes"})
		})
	})
}

// makeLike makes a directory like another one, unless it is there.
func makeLike(entry fs.DirEntry, target string) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if err := os.Mkdir(target, info.Mode().Perm()); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}

// syncTree makes durable what is in which directory.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncPath(path)
	})
}

// allocatedIn is how many bytes files in a folder take.
func allocatedIn(dir string, files map[string]string) (total int64, err error) {
	for _, file := range files {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			return 0, err
		}
		total += media.Allocated(info)
	}
	return total, nil
}

// roomToMove refuses a move into a directory whose file system has no room for what is in a machine's folder, and for so
// many bytes more.
func roomToMove(from, directory string, more int64) error {
	total := more
	err := filepath.WalkDir(from, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += media.Allocated(info)
		}
		return err
	})
	if err != nil {
		return err
	}
	return roomFor(directory, total, "moving it there", "free some space there, or choose another directory")
}
