package manager

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// PlanImport tells what an import would make.
func (m *Manager) PlanImport(ctx context.Context, request api.ImportRequest) (api.ImportPlan, error) {
	job, err := m.openImport(ctx, request, true)
	if err != nil {
		return api.ImportPlan{}, err
	}
	defer job.close()
	if job.arrival != nil || request.Unverified || job.lacks() || job.encrypted() && request.Passphrase == "" {
		return job.plan(importer.Integrity{Text: notCompared}), nil
	}
	integrity, err := job.source.Verify(ctx, job.trust)
	if err != nil {
		return api.ImportPlan{}, err
	}
	return job.plan(integrity), nil
}

// Import begins to make machines of what another program wrote. Whatever can be
// known to be wrong without reading all of it is said at once.
func (m *Manager) Import(ctx context.Context, request api.ImportRequest) (api.Task, error) {
	job, err := m.openImport(ctx, request, false)
	if err != nil {
		return api.Task{}, err
	}
	return m.beginImport(ctx, job)
}

// beginImport begins the task of an import. The job is closed with it, also
// when there is none.
func (m *Manager) beginImport(ctx context.Context, job *importJob) (api.Task, error) {
	order, err := m.orderImport(ctx, job)
	if err == nil {
		err = m.hold(job)
	}
	if err != nil {
		job.close()
		return api.Task{}, err
	}
	begun, err := m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		defer job.close()
		if err := m.carryIn(ctx, r, job); err != nil {
			return job.goOn(job.explain(m.orAway(ctx, job.machines[0].record.Folder, err)))
		}
		return nil
	})
	if err != nil {
		job.close()
	}
	return begun, err
}

// orderImport is the task of an import.
func (m *Manager) orderImport(ctx context.Context, job *importJob) (task.Order, error) {
	order := task.Order{Kind: "machine.import", Name: job.source.Appliance.Name}
	if err := job.agreed(); err != nil {
		return order, err
	}
	for i := range job.machines {
		planned := &job.machines[i]
		if err := m.unknown(ctx, planned.record.Spec); err != nil {
			return order, err
		}
		dir, err := m.freeFolder(ctx, planned.record.Spec, job.request.Pool)
		if err != nil {
			return order, err
		}
		planned.record.Folder, planned.record.Created = string(dir), time.Now().UTC()
		m.enter(&planned.record, api.StateOff)
		order.Journal = append(order.Journal, task.NewUndo("unmake", made{planned.record.Spec.UUID, string(dir)}))
	}
	if len(job.machines) == 1 {
		order.Machine, order.Name = job.machines[0].record.Spec.UUID, job.machines[0].record.Spec.Name
	}
	return order, nil
}

// carryIn makes all machines of an import, and makes them known in one commit.
// Everything is what the manifest says before that.
func (m *Manager) carryIn(ctx context.Context, r *task.Run, job *importJob) error {
	ops, err := m.carryVerified(ctx, r, job)
	if err != nil {
		return err
	}
	r.Result(func(result *api.TaskResult) { result.Integrity = job.integrity.Text })
	for _, finding := range job.integrity.Findings {
		r.Warn(finding)
	}
	for i := range job.machines {
		if err := m.place(ctx, job.machines[i].record); err != nil {
			return err
		}
		if err := fault.At(ctx, "import.in-place"); err != nil {
			return err
		}
	}
	discard, err := m.discardKept(job)
	if err != nil {
		return err
	}
	job.claims.ending(job.claimed)
	if err := r.End(ctx, append(ops, discard...)...); err != nil {
		return inventory.Explain(err, job.machines[0].record.Spec)
	}
	_ = fault.At(ctx, "import.committed") // what was asked for is done
	m.emptyKept(context.WithoutCancel(ctx), job)
	for i := range job.machines {
		m.streamLater(job.machines[i].record.Spec.UUID)
	}
	return nil
}

// carryAll makes the machines' folders and disks; what it returns makes them known.
func (m *Manager) carryAll(ctx context.Context, r *task.Run, job *importJob) ([]state.Op, error) {
	var ops []state.Op
	progress := job.progress(r)
	for _, note := range job.source.Appliance.Notes {
		r.Warn(note.String())
	}
	if err := m.resume(ctx, r, job); err != nil {
		return nil, err
	}
	if err := m.receiveAll(ctx, r, job, progress); err != nil {
		return nil, err
	}
	for i := range job.machines {
		planned := &job.machines[i]
		for _, note := range planned.notes {
			r.Warn(planned.record.Spec.Name + ": " + note)
		}
		told := len(planned.notes)
		if err := m.carryMachine(ctx, job, planned, progress); err != nil {
			return nil, fmt.Errorf("machine %s: %w", planned.record.Spec.Name, err)
		}
		for _, note := range planned.notes[told:] {
			r.Warn(planned.record.Spec.Name + ": " + note)
		}
		create, err := m.inv.CreateOps(planned.record)
		if err != nil {
			return nil, err
		}
		ops = append(ops, create...)
	}
	return ops, nil
}

// carryMachine makes a machine's folder, and its disks in it.
func (m *Manager) carryMachine(ctx context.Context, job *importJob, planned *plannedMachine, progress func(string) func(done, total int64)) error {
	record := &planned.record
	staging := stagingOf(record)
	if err := m.beginMachine(ctx, planned); err != nil {
		return err
	}
	if err := m.carrySnapshots(ctx, job, planned, staging, progress); err != nil {
		return err
	}
	for i := range record.Spec.Drives {
		drive := &record.Spec.Drives[i]
		if err := m.carryDrive(ctx, job, planned, staging, drive, progress); err != nil {
			return fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		if err := fault.At(ctx, "import.drive-made"); err != nil {
			return err
		}
	}
	if err := m.holdSnapshots(ctx, planned, staging); err != nil {
		return err
	}
	noteBases(record, api.Spec{})
	var err error
	if record.Digest, err = staging.Prepare(documentOf(*record)); err != nil {
		return err
	}
	if err := staging.Settle(record.Digest); err != nil {
		return err
	}
	return fault.At(ctx, "import.spec-written")
}

// beginMachine makes a machine's folder, unless that was done.
func (m *Manager) beginMachine(ctx context.Context, planned *plannedMachine) error {
	if planned.begun {
		return nil
	}
	if err := fault.At(ctx, "import.begun"); err != nil {
		return err
	}
	planned.begun = true
	return stagingOf(&planned.record).Make()
}

// carryDrive makes the image of one drive.
func (m *Manager) carryDrive(ctx context.Context, job *importJob, planned *plannedMachine, staging folder.Folder, drive *api.Drive, progress func(string) func(done, total int64)) error {
	if planned.carried[drive.Name] {
		return nil
	}
	content, found := planned.content[drive.Name]
	if !found || content.File == "" || drive.Source != "" {
		if hasImage(*drive) {
			return nil
		}
		return m.makeImage(planned.record.Spec.UUID, staging, drive)
	}
	if done, err := m.carryPresent(ctx, job, planned, staging, drive, progress(drive.Name)); done || err != nil {
		return err
	}
	nameImage(drive)
	kept, err := job.keptName(planned, drive)
	if err != nil {
		return err
	}
	var size int64
	if kept != "" {
		size, err = m.carryKept(ctx, job, drive, content, kept, staging.Path(drive.File), progress(drive.Name))
	} else {
		size, err = copyContent(ctx, job, drive, content, staging.Path(drive.File), progress(drive.Name))
	}
	if err == nil && drive.Kind == api.Disk {
		planned.settle(drive, content, size)
	}
	return err
}

// copyContent makes a drive's image of its content, and returns how large that was.
func copyContent(ctx context.Context, job *importJob, drive *api.Drive, content appliance.Disk, path string, report func(done, total int64)) (int64, error) {
	return copyImage(ctx, job, content, path, func(img disk.Image) error {
		if drive.Kind == api.Disk {
			return media.CreateCopy(ctx, path, img, int64(drive.Size), nil, report)
		}
		return media.CreateRawCopy(ctx, path, img, report)
	})
}

// copyImage opens a content that goes to a path, for what copies it there, and returns how large it was.
func copyImage(ctx context.Context, job *importJob, content appliance.Disk, path string, how func(disk.Image) error) (int64, error) {
	img, err := job.source.Image(ctx, content, filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	size := img.Size()
	if err = how(img); err == nil {
		err = job.source.Whole(img)
	}
	return size, errors.Join(media.Damaged("its disk "+content.File, err), img.Close())
}

// nameImage gives a drive the file that its content is copied into.
func nameImage(drive *api.Drive) {
	extension := ".qcow2"
	drive.Format = "qcow2"
	if drive.Kind != api.Disk {
		extension, drive.Format = ".raw", "raw"
	}
	drive.File = filepath.Join(folder.Disks, drive.Name+extension)
}

// trustOf is the authorities that the user names.
func trustOf(pem string) (importer.Trust, error) {
	if pem == "" {
		return importer.Trust{}, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(pem)) {
		return importer.Trust{}, problem.New(api.KindInvalid, "give certificates in PEM form", "import: what is to be trusted holds no certificate")
	}
	return importer.Trust{Roots: roots, Required: true}, nil
}
