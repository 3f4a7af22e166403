package manager

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// What an import keeps that can be resumed lies in a folder of the source's own.
// Disks are made there, and get their names when they are durable; a machine gets
// them by further links, so that undoing the machine does not undo them.
//
//	<machines>/.import-<digest of the source's path>/
//	  disks/<digest of what the disk is made of>.qcow2, .raw    done
//	  disks/….part                                              begun
//	  disks/….part.done                                         how far that is durable
//
// The commit that makes the machines known discards the folder.
const (
	keptPrefix = ".import-"
	begunKept  = ".part"
)

// keepEvery is after how many bytes of a disk they are made durable, and put down to be there.
const keepEvery = 64 << 20

// hold claims the folder in which the source's disks are kept. Without --resume
// nothing is kept, but what an earlier import has kept is needed no more when
// this one is done.
func (m *Manager) hold(job *importJob) error {
	if job.arrival != nil || job.request.InPlace {
		if job.request.Resume {
			return problem.New(api.KindUnsupported, "leave --resume out",
				"import %s: only copying disks out of files can be resumed, not what is compressed as a whole or stays in place", job.request.Source)
		}
		return nil
	}
	sum := sha256.Sum256([]byte(job.source.Path()))
	name := keptPrefix + hex.EncodeToString(sum[:8])
	if !job.claims.take(name) {
		if job.request.Resume {
			return problem.New(api.KindBusy, "wait for it", "import %s: another import of it is under way", job.request.Source)
		}
		return nil
	}
	job.claimed = append(job.claimed, name)
	job.kept = folder.Folder(filepath.Join(job.dir, name))
	return nil
}

// resume makes the folder that disks are kept in, and throws away what is in it
// and is not of the source as it is now.
func (m *Manager) resume(ctx context.Context, r *task.Run, job *importJob) error {
	if !job.request.Resume {
		return nil
	}
	wanted := map[string]bool{}
	for i := range job.machines {
		planned := &job.machines[i]
		if len(planned.snapshots) > 0 {
			r.Warn(planned.record.Spec.Name + ": it has snapshots, and its disks are not kept for --resume")
			continue
		}
		for j := range planned.record.Spec.Drives {
			name, err := job.keptName(planned, &planned.record.Spec.Drives[j])
			if err != nil {
				return err
			}
			wanted[name] = true
		}
	}
	if err := job.kept.Make(); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	gone, err := pruneKept(job.kept, func(name string) bool { return wanted[name] })
	if gone > 0 {
		r.Warn(fmt.Sprintf("%d disks that an earlier import kept are thrown away: the source has changed since, or something else is asked for", gone))
	}
	return errors.Join(err, fault.At(ctx, "import.resumed"))
}

// pruneKept removes disks that are not wanted, and what was begun of those that are and is not known to
// be there in part. It returns how many disks, or parts of some, were not wanted.
func pruneKept(dir folder.Folder, wanted func(name string) bool) (gone int, err error) {
	entries, err := os.ReadDir(dir.Path(folder.Disks))
	if err != nil && !isNotExist(err) {
		return 0, err
	}
	for _, entry := range entries {
		name, noted := strings.CutSuffix(entry.Name(), media.DoneSuffix)
		name, begun := strings.CutSuffix(name, begunKept)
		useful := !begun && !strings.HasPrefix(name, ".") || begun && media.PartDone(dir.Path(folder.Disks, name+begunKept)) > 0
		if useful && wanted(name) {
			continue
		}
		if useful && !noted {
			gone++
		}
		if err := os.Remove(dir.Path(folder.Disks, entry.Name())); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// sweepKept removes what is of no use of a folder that disks are kept in: what was
// only begun, and a folder without any. It tells what is left.
func sweepKept(dir folder.Folder) (left keptDisks, err error) {
	whole := map[string]bool{}
	if _, err := pruneKept(dir, func(name string) bool { whole[name] = true; return true }); err != nil {
		return left, err
	}
	for name := range whole {
		if _, err := os.Lstat(dir.Path(folder.Disks, name)); err == nil {
			left.done++
		} else {
			left.part = max(left.part, api.Size(media.PartDone(dir.Path(folder.Disks, name+begunKept))))
		}
	}
	if left != (keptDisks{}) {
		return left, nil
	}
	return left, dir.Remove()
}

// keptDisks is what is kept of an import.
type keptDisks struct {
	done int      // disks
	part api.Size // of a disk that is not done
}

// String says it.
func (k keptDisks) String() string {
	switch {
	case k.part == 0:
		return fmt.Sprintf("%d of its disks are kept, and the same command goes on after them", k.done)
	case k.done == 0:
		return fmt.Sprintf("%s of its disk are kept, and the same command goes on there", k.part)
	}
	return fmt.Sprintf("%d of its disks are kept, and %s of the next, and the same command goes on there", k.done, k.part)
}

// keptName is the name under which a drive's disk is kept: it follows from all
// that the disk is made of, and from which drive it is, as no two may share one. Empty
// for what cannot be kept.
func (job *importJob) keptName(planned *plannedMachine, drive *api.Drive) (string, error) {
	content, found := planned.content[drive.Name]
	if !job.request.Resume || !found || content.File == "" || drive.Source != "" || len(planned.snapshots) > 0 {
		return "", nil
	}
	stamp, err := job.source.Stamp(content)
	if err != nil || stamp == "" {
		return "", err
	}
	number := 0
	for &job.machines[number] != planned {
		number++
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %s %d", stamp, number, drive.Name, drive.Kind, content.Size))
	extension := ".qcow2"
	if drive.Kind != api.Disk {
		extension = ".raw"
	}
	return hex.EncodeToString(sum[:16]) + extension, nil
}

// carryKept gives a drive the disk that is kept, which is made if it is not
// there. It returns how large the content was, or the kept disk is.
func (m *Manager) carryKept(ctx context.Context, job *importJob, drive *api.Drive, content appliance.Disk, name, path string, report func(done, total int64)) (int64, error) {
	kept := job.kept.Path(folder.Disks, name)
	size, err := m.makeKept(ctx, job, drive, content, name, report)
	if err != nil {
		return 0, err
	}
	report(size, size)
	if err := os.Link(kept, path); err != nil {
		return size, os.Rename(kept, path) // not every file system has links
	}
	return size, nil
}

// makeKept makes a disk that is kept, if it is not there.
func (m *Manager) makeKept(ctx context.Context, job *importJob, drive *api.Drive, content appliance.Disk, name string, report func(done, total int64)) (int64, error) {
	kept := job.kept.Path(folder.Disks, name)
	switch _, err := os.Lstat(kept); {
	case err == nil:
		return sizeOfKept(kept, drive.Format)
	case !isNotExist(err):
		return 0, err
	}
	size, err := copyKept(ctx, job, drive, content, kept+begunKept, report)
	if err != nil {
		return 0, err
	}
	if err := job.kept.Rename(folder.Disks, name+begunKept, name); err != nil {
		return 0, err
	}
	return size, fault.At(ctx, "import.drive-kept")
}

// sizeOfKept is how large a disk is that an earlier import has made.
func sizeOfKept(path, format string) (int64, error) {
	img, err := disk.Open(path, disk.Options{FS: hostfs.Everywhere(), Formats: formats.All(), Format: format})
	if err != nil {
		return 0, err
	}
	return img.Size(), img.Close()
}

// copyKept is copyContent that goes on with what an earlier one has left of a disk. Others' content is small.
func copyKept(ctx context.Context, job *importJob, drive *api.Drive, content appliance.Disk, path string, report func(done, total int64)) (int64, error) {
	return copyImage(ctx, job, content, path, func(img disk.Image) error {
		if drive.Kind != api.Disk {
			return media.CreateRawCopy(ctx, path, img, report)
		}
		return media.ResumeCopy(ctx, path, img, int64(drive.Size), keepEvery, report, func() error { return fault.At(ctx, "import.part-kept") })
	})
}

// discardKept are the ops that give up what is kept, for the commit that ends
// an import.
func (m *Manager) discardKept(job *importJob) ([]state.Op, error) {
	if !job.keeps() {
		return nil, nil
	}
	op, err := m.discardOp(filepath.Base(string(job.kept)), job.kept)
	return []state.Op{op}, err
}

// keeps tells whether there is a folder in which disks of the source are kept.
func (job *importJob) keeps() bool {
	if job.kept == "" {
		return false
	}
	_, err := os.Lstat(string(job.kept))
	return err == nil
}

// emptyKept removes what was given up.
func (m *Manager) emptyKept(ctx context.Context, job *importJob) {
	if !job.keeps() {
		return
	}
	if err := m.empty(ctx, filepath.Base(string(job.kept)), job.kept); err != nil {
		m.log.Warn("what was kept of an import could not be removed", "folder", string(job.kept), "error", err)
	}
}

// distrust throws away what was copied of a file that is not what the manifest says: it may have been damaged on its way, and
// be as it should when it is read the next time. Where no disk is known to be of that file alone, that is everything.
func (job *importJob) distrust() error {
	wrong := job.source.Mismatch()
	if wrong == "" {
		return nil
	}
	suspect := map[string]bool{}
	for i := range job.machines {
		planned := &job.machines[i]
		for j := range planned.record.Spec.Drives {
			drive := &planned.record.Spec.Drives[j]
			if content := planned.content[drive.Name]; path.Clean(content.File) != path.Clean(wrong) {
				continue
			}
			name, err := job.keptName(planned, drive)
			if err != nil {
				return err
			}
			suspect[name] = true
		}
	}
	_, err := pruneKept(job.kept, func(name string) bool { return len(suspect) > 0 && !suspect[name] })
	return err
}

// goOn says how an import that failed goes on, where disks of it are kept.
func (job *importJob) goOn(failure error) error {
	if !job.request.Resume || !job.keeps() {
		return failure
	}
	err := job.distrust()
	var left keptDisks
	if err == nil {
		left, err = sweepKept(job.kept)
	}
	if err != nil {
		return errors.Join(failure, err)
	}
	how := "nothing of a disk was copied, so that nothing is kept"
	if job.source.Mismatch() != "" {
		how = "what was copied of that file is not kept"
	}
	if left != (keptDisks{}) {
		how = fmt.Sprintf("%s; removing %s throws them away", left, job.kept)
	}
	told := problem.Of(failure)
	if told.Help != "" {
		how = told.Help + "; " + how
	}
	told.Help = how
	return told
}
