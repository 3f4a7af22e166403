package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// notCompared is what is known of the integrity of what was only begun to read.
const notCompared = "manifest and signature have not been compared: that is done while it is imported"

// PlanImportStream tells what an import of what a pipe gives would make. It reads
// as far as the description.
func (m *Manager) PlanImportStream(ctx context.Context, request api.ImportRequest, content io.Reader) (api.ImportPlan, error) {
	job, err := m.openArrival(ctx, request, content)
	if err != nil {
		return api.ImportPlan{}, err
	}
	defer job.close()
	return job.plan(importer.Integrity{Text: notCompared}), nil
}

// ImportStream makes machines of what a pipe gives, and returns when that is
// done. When the pipe breaks, or the task is cancelled, nothing is left. Closing
// the content ends reading it.
func (m *Manager) ImportStream(ctx context.Context, request api.ImportRequest, content io.ReadCloser) (api.ImportResult, error) {
	var result api.ImportResult
	job, err := m.openArrival(ctx, request, content)
	if err != nil {
		return result, err
	}
	result.Plan = job.plan(importer.Integrity{})
	job.interrupt = content.Close
	begun, err := m.beginImport(ctx, job)
	if err != nil {
		return result, err
	}
	// When the client goes, so does the pipe, and the task fails by that.
	ctx = context.WithoutCancel(ctx)
	if err := m.tasks.Wait(ctx, begun.ID); err != nil {
		return result, err
	}
	if result.Task, err = m.tasks.Get(ctx, begun.ID); err != nil {
		return result, err
	}
	if result.Task.Error != nil {
		return result, result.Task.Error
	}
	result.Plan.Integrity = job.integrity.Text
	return result, nil
}

// openPacked opens a compressed file, which is read as if it came through a pipe.
func (m *Manager) openPacked(ctx context.Context, request api.ImportRequest) (*importJob, error) {
	file, err := os.Open(request.Source)
	if err != nil {
		return nil, problem.New(api.KindUnreadable, "", "import %s: %s", request.Source, err)
	}
	job, err := m.openArrival(ctx, request, file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	job.after = file.Close
	return job, nil
}

// openArrival reads as far as the description, and decides what is to be made.
func (m *Manager) openArrival(ctx context.Context, request api.ImportRequest, content io.Reader) (*importJob, error) {
	if request.InPlace {
		return nil, problem.New(api.KindUnsupported, "import it without --in-place, or decompress it to a file first",
			"import %s: what is compressed, or comes through a pipe, can only be read once from its beginning, so no machine can run from it", request.Source)
	}
	dir, err := m.Pools().directory(ctx, request.Pool)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", request.Source, err)
	}
	trust, err := trustOf(request.Trust)
	if err != nil {
		return nil, err
	}
	arrival, err := importer.Receive(content, importer.ReceiveOptions{
		Choices: choicesOf(request), Name: request.Name, Label: request.Source, Passphrase: request.Passphrase,
		Stage: func() (disk.File, error) { return nameless(dir) }, Room: func() error { return room(dir) },
	})
	if err != nil {
		return nil, err
	}
	return m.planImport(ctx, &importJob{request: request, dir: dir, source: arrival.AsSource(), arrival: arrival, trust: trust, claims: &m.claims})
}

// nameless makes a file in a folder that is gone when it is closed.
func nameless(dir string) (disk.File, error) {
	stage := hostfs.NewStage(hostfs.Everywhere())
	defer stage.Abort()
	return stage.Create(filepath.Join(dir, "content"))
}

// driveReporter makes what tells of the progress of a drive.
type driveReporter func(drive string) func(done, total int64)

// receiveAll takes in what comes through a pipe, in its order.
func (m *Manager) receiveAll(ctx context.Context, r *task.Run, job *importJob, progress driveReporter) error {
	if job.arrival == nil {
		return nil
	}
	if job.interrupt != nil {
		defer context.AfterFunc(ctx, func() { _ = job.interrupt() })()
	}
	for i := range job.machines {
		if err := m.beginMachine(ctx, &job.machines[i]); err != nil {
			return err
		}
	}
	for {
		content, err := job.arrival.Next()
		if errors.Is(err, io.EOF) {
			return job.complete()
		}
		if err == nil {
			err = m.receive(ctx, r, job, content, progress)
		}
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		if err := fault.At(ctx, "import.received"); err != nil {
			return err
		}
	}
}

// taker is a drive that gets a content.
type taker struct {
	planned *plannedMachine
	drive   *api.Drive
}

// path is where the drive's image is made.
func (t taker) path(m *Manager) string {
	return stagingOf(&t.planned.record).Path(t.drive.File)
}

// takers are the drives that hold what a file does.
func (job *importJob) takers(file string) (all []taker) {
	for i := range job.machines {
		planned := &job.machines[i]
		for j := range planned.record.Spec.Drives {
			drive := &planned.record.Spec.Drives[j]
			if d, found := planned.content[drive.Name]; found && d.File == file && drive.Source == "" {
				nameImage(drive)
				all = append(all, taker{planned, drive})
			}
		}
	}
	return all
}

// complete refuses an archive that did not have everything.
func (job *importJob) complete() error {
	for i := range job.machines {
		planned := &job.machines[i]
		for _, drive := range planned.record.Spec.Drives {
			if d := planned.content[drive.Name]; d.File != "" && drive.Source == "" && !planned.carried[drive.Name] {
				return problem.New(api.KindUnreadable, "it may be a part of what was exported: get the whole of it",
					"import %s: its disk %s is not in it", job.request.Source, d.File)
			}
		}
	}
	return nil
}

// receive writes one content into the drives that hold it.
func (m *Manager) receive(ctx context.Context, r *task.Run, job *importJob, content *importer.Content, progress driveReporter) error {
	takers := job.takers(content.File)
	if len(takers) == 0 {
		return nil
	}
	first, report := takers[0], progress(takers[0].drive.Name)
	r.Step("reading " + content.File)
	size, err := m.receiveFirst(ctx, r, job, content, first, report)
	if err != nil {
		return job.arrival.Explain(fmt.Errorf("%s: %w", content.File, err))
	}
	for _, t := range takers {
		if t.drive.Kind == api.Disk {
			d := t.planned.content[t.drive.Name]
			t.planned.settle(t.drive, d, size)
		}
		t.planned.carried[t.drive.Name] = true
		if t != first {
			if err := m.copyTaken(ctx, first, t, report); err != nil {
				return err
			}
		}
	}
	return nil
}

// receiveFirst writes a content into a drive, as it comes. It returns how large
// the content was.
func (m *Manager) receiveFirst(ctx context.Context, r *task.Run, job *importJob, content *importer.Content, t taker, report func(done, total int64)) (int64, error) {
	described := int64(t.drive.Size)
	stream, rest, err := content.Stream()
	switch {
	case errors.Is(err, disk.ErrForward):
		if err := tellWhole(r, job.dir, content); err != nil {
			return 0, err
		}
		return m.receiveWhole(ctx, rest, t, described, report)
	case err != nil:
		return 0, err
	}
	defer stream.Close()
	var size int64
	if t.drive.Kind != api.Disk {
		size, err = media.CreateRawFrom(ctx, t.path(m), stream, report)
	} else {
		size, err = media.CreateFrom(ctx, t.path(m), stream, described, report)
	}
	if n := content.Aside(); n > 0 && err == nil {
		r.Warn(fmt.Sprintf("%s: it says only behind its content where that belongs; %s of it took room in the machine's folder until then", content.File, api.Size(n)))
	}
	return size, full(err)
}

// tellWhole tells that a content takes room for a while, and how much.
func tellWhole(r *task.Run, dir string, content *importer.Content) error {
	free, _, err := media.Space(dir)
	if err != nil {
		return err
	}
	if free < reserve {
		return noRoom(free)
	}
	most := "how much is not known"
	if n := content.Most(); n > 0 {
		most = fmt.Sprintf("at most %s", api.Size(n))
	}
	r.Step(fmt.Sprintf("putting %s together", content.File))
	r.Warn(fmt.Sprintf("%s: it cannot be read as it comes, and was put together in the machine's folder first; that takes room until it is imported (%s, of %s that were free)", content.File, most, free))
	return nil
}

// receiveWhole puts a content together in a file without a name, and copies it
// from there.
func (m *Manager) receiveWhole(ctx context.Context, rest io.Reader, t taker, described int64, report func(done, total int64)) (int64, error) {
	file, err := nameless(stagingOf(&t.planned.record).Path(folder.Disks))
	if err != nil {
		return 0, err
	}
	if _, err := diskfile.Pour(file, rest); err != nil {
		return 0, errors.Join(full(err), file.Close())
	}
	img, err := disk.OpenFile(file, "content", disk.Options{FS: disk.NoFS{}, Formats: formats.All()})
	if err != nil {
		return 0, err
	}
	if t.drive.Kind == api.Disk {
		err = media.CreateCopy(ctx, t.path(m), img, described, nil, report)
	} else {
		err = media.CreateRawCopy(ctx, t.path(m), img, report)
	}
	return img.Size(), errors.Join(err, img.Close())
}

// copyTaken gives a further drive what another has got.
func (m *Manager) copyTaken(ctx context.Context, from, to taker, report func(done, total int64)) error {
	img, err := disk.Open(from.path(m), disk.Options{FS: hostfs.Everywhere(), Formats: formats.All(), Format: from.drive.Format})
	if err != nil {
		return err
	}
	if to.drive.Kind == api.Disk {
		err = media.CreateCopy(ctx, to.path(m), img, int64(to.drive.Size), nil, report)
	} else {
		err = media.CreateRawCopy(ctx, to.path(m), img, report)
	}
	return errors.Join(err, img.Close())
}
