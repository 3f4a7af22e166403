package manager

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/panalvm/panal/api"
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
	job, err := m.openImport(ctx, request)
	if err != nil {
		return api.ImportPlan{}, err
	}
	defer job.source.Close() //nolint:errcheck // it was only read
	integrity, err := job.source.Verify(ctx, job.trust)
	if err != nil {
		return api.ImportPlan{}, err
	}
	return job.plan(integrity), nil
}

// Import begins to make machines of what another program wrote. Whatever can be
// known to be wrong without reading all of it is said at once.
func (m *Manager) Import(ctx context.Context, request api.ImportRequest) (api.Task, error) {
	job, err := m.openImport(ctx, request)
	if err != nil {
		return api.Task{}, err
	}
	started := false
	defer func() {
		if !started {
			_ = job.source.Close()
		}
	}()
	if err := job.agreed(); err != nil {
		return api.Task{}, err
	}
	order := task.Order{Kind: "machine.import", Name: job.source.Appliance.Name}
	for i := range job.machines {
		planned := &job.machines[i]
		if err := m.unknown(ctx, planned.record.Spec); err != nil {
			return api.Task{}, err
		}
		dir, err := m.freeFolder(planned.record.Spec)
		if err != nil {
			return api.Task{}, err
		}
		planned.record.Folder, planned.record.Created = string(dir), time.Now().UTC()
		m.enter(&planned.record, api.StateOff)
		order.Journal = append(order.Journal, task.NewUndo("unmake", made{planned.record.Spec.UUID, string(dir)}))
	}
	if len(job.machines) == 1 {
		order.Machine, order.Name = job.machines[0].record.Spec.UUID, job.machines[0].record.Spec.Name
	}
	begun, err := m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		defer job.source.Close() //nolint:errcheck // it was only read
		if err := m.carryIn(ctx, r, job); err != nil {
			return fmt.Errorf("import %s: %w", request.Source, err)
		}
		return nil
	})
	started = err == nil
	return begun, err
}

// carryIn makes all machines of an import, and makes them known in one commit.
// What the manifest says is checked before that.
func (m *Manager) carryIn(ctx context.Context, r *task.Run, job *importJob) error {
	var ops []state.Op
	progress := job.progress(r)
	for i := range job.machines {
		planned := &job.machines[i]
		for _, note := range planned.notes {
			r.Warn(planned.record.Spec.Name + ": " + note)
		}
		if err := m.carryMachine(ctx, job, planned, progress); err != nil {
			return fmt.Errorf("machine %s: %w", planned.record.Spec.Name, err)
		}
		create, err := m.inv.CreateOps(planned.record)
		if err != nil {
			return err
		}
		ops = append(ops, create...)
	}
	r.Step("checking the manifest")
	integrity, err := job.source.Verify(ctx, job.trust)
	if err != nil {
		return err
	}
	for _, finding := range integrity.Findings {
		r.Warn(finding)
	}
	for i := range job.machines {
		if err := m.place(&job.machines[i].record); err != nil {
			return err
		}
		if err := fault.At(ctx, "import.in-place"); err != nil {
			return err
		}
	}
	if err := r.End(ctx, ops...); err != nil {
		return inventory.Explain(err, job.machines[0].record.Spec)
	}
	_ = fault.At(ctx, "import.committed") // what was asked for is done
	return nil
}

// carryMachine makes a machine's folder, and its disks in it.
func (m *Manager) carryMachine(ctx context.Context, job *importJob, planned *plannedMachine, progress func(string) func(done, total int64)) error {
	record := &planned.record
	staging := m.stagingFolder(record.Spec.UUID)
	if err := fault.At(ctx, "import.begun"); err != nil {
		return err
	}
	if err := staging.Make(); err != nil {
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
	var err error
	if record.Digest, err = staging.Prepare(documentOf(*record)); err != nil {
		return err
	}
	if err := staging.Settle(record.Digest); err != nil {
		return err
	}
	return fault.At(ctx, "import.spec-written")
}

// carryDrive makes the image of one drive.
func (m *Manager) carryDrive(ctx context.Context, job *importJob, planned *plannedMachine, staging folder.Folder, drive *api.Drive, progress func(string) func(done, total int64)) error {
	content, found := planned.content[drive.Name]
	if !found || content.File == "" || drive.Source != "" {
		if hasImage(*drive) {
			return nil
		}
		return makeImage(staging, drive)
	}
	extension := ".qcow2"
	if drive.Kind != api.Disk {
		extension = ".raw"
	}
	drive.File = filepath.Join(folder.Disks, drive.Name+extension)
	img, err := job.source.Image(ctx, content, staging.Path(folder.Disks))
	if err != nil {
		return err
	}
	report := progress(drive.Name)
	if drive.Kind == api.Disk {
		drive.Format = "qcow2"
		err = media.CreateCopy(ctx, staging.Path(drive.File), img, int64(drive.Size), report)
	} else {
		drive.Format = "raw"
		err = media.CreateRawCopy(ctx, staging.Path(drive.File), img, report)
	}
	return errors.Join(err, img.Close())
}

// place moves a finished machine's folder to where it belongs.
func (m *Manager) place(record *inventory.Record) error {
	return m.stagingFolder(record.Spec.UUID).MoveTo(folder.Folder(record.Folder))
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
	return importer.Trust{Roots: roots}, nil
}
