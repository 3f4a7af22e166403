package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/snapshot"
)

// plannedSnapshot is a snapshot that an import makes.
type plannedSnapshot struct {
	node    api.Snapshot
	spec    api.Spec
	content map[string]appliance.Disk // by drive
}

// planSnapshots decides what becomes of a machine's snapshots: those whose content can be
// had come along.
func (m *Manager) planSnapshots(ctx context.Context, job *importJob, planned *plannedMachine) {
	ids := map[string]string{} // by the ID in the source
	var tree snapshot.Tree
	for _, from := range planned.from.Snapshots {
		one, err := m.planSnapshot(ctx, job, planned, from)
		if err != nil {
			planned.notes = append(planned.notes, fmt.Sprintf("snapshot %s: it is not taken along: %s", from.Name,
				strings.TrimPrefix(err.Error(), "import "+job.request.Source+": ")))
			ids[from.ID] = ids[from.Parent]
			continue
		}
		one.node.Parent = ids[from.Parent]
		one.node.Name = tree.Free(snapshotName(from.Name))
		ids[from.ID] = one.node.ID
		tree.Snapshots = append(tree.Snapshots, one.node)
		planned.snapshots = append(planned.snapshots, one)
	}
	planned.current = ids[planned.from.Current]
}

// snapshotName makes a name of ours of one of another program's.
func snapshotName(name string) string {
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(name, " ")))
	if runes := []rune(name); len(runes) > 50 {
		name = strings.TrimSpace(string(runes[:50]))
	}
	if snapshot.CheckName(name) != nil {
		return ""
	}
	return name
}

func (m *Manager) planSnapshot(ctx context.Context, job *importJob, planned *plannedMachine, from appliance.Snapshot) (plannedSnapshot, error) {
	one := plannedSnapshot{content: map[string]appliance.Disk{}}
	one.node = api.Snapshot{ID: newSnapshotID(), Description: from.Description, Taken: from.Taken, State: api.StateOff, Images: map[string]string{}}
	if snapshot.CheckDescription(one.node.Description) != nil {
		one.node.Description = ""
	}
	if from.Memory != "" {
		one.node.Notes = append(one.node.Notes, "its memory could not be taken over: it is in a form of the other program's own")
		planned.notes = append(planned.notes, fmt.Sprintf("snapshot %s: its memory (%s) is not taken over, only its disks: other programs' memory fits no other", from.Name, from.Memory))
	}
	spec := machine.Clone(from.Spec)
	spec.Name, spec.UUID = planned.record.Spec.Name, planned.record.Spec.UUID
	connectAsNow(&spec, planned.record.Spec, func(adapter string) (string, bool) {
		to, chosen := job.request.Networks[planned.from.Networks[adapter]]
		return to, chosen
	})
	for _, d := range from.Disks {
		if err := m.planHeldDisk(ctx, job, &one, &spec, d); err != nil {
			return one, err
		}
	}
	one.spec = machine.Complete(spec, m.defaults())
	one.settleOthers(planned.record.Spec)
	for i := range one.spec.Drives {
		drive := &one.spec.Drives[i]
		if _, has := one.content[drive.Name]; machine.InSnapshots(*drive) && !has {
			return one, fmt.Errorf("it does not say what drive %s held", drive.Name)
		}
	}
	if wrong := machine.Validate(one.spec); len(wrong) > 0 {
		return one, fmt.Errorf("its hardware: %s: %s", wrong[0].Field, wrong[0].Message)
	}
	return one, nil
}

// connectAsNow connects adapters that the machine still has to what the user chose for them,
// so that going back to a snapshot does not undo that.
func connectAsNow(spec *api.Spec, now api.Spec, chosen func(adapter string) (string, bool)) {
	for i := range spec.Adapters {
		then := &spec.Adapters[i]
		for _, a := range now.Adapters {
			if a.Name != then.Name || then.MAC != "" && a.MAC != then.MAC {
				continue
			}
			then.NetworkName = a.NetworkName
			if to, said := chosen(a.Name); said {
				then.Network = to
			}
		}
	}
}

// planHeldDisk looks at the content of a drive in a snapshot.
func (m *Manager) planHeldDisk(ctx context.Context, job *importJob, one *plannedSnapshot, spec *api.Spec, d appliance.Disk) error {
	drive := driveNamed(spec.Drives, d.Drive)
	if drive == nil || drive.Kind != api.Disk && drive.Kind != "" {
		return nil
	}
	ref, plain := job.source.Ref(d)
	if !plain {
		return fmt.Errorf("%s is not a disk that can be read where it lies", d.File)
	}
	format, size, err := job.source.Look(ctx, d, job.dir)
	if err != nil {
		return err
	}
	drive.Kind, drive.Size = api.Disk, api.Size((size+511)&^511)
	one.content[d.Drive] = d
	if job.request.InPlace {
		drive.Source, drive.Format, drive.Snapshot, drive.Mode = ref.Path, format, ref.Snapshot, api.Overlay
	} else {
		drive.Format = "qcow2"
	}
	return nil
}

// carrySnapshots makes the images of a machine's snapshots, each as a difference to the
// one that it came after.
func (m *Manager) carrySnapshots(ctx context.Context, job *importJob, planned *plannedMachine, staging folder.Folder, progress func(string) func(done, total int64)) error {
	if job.request.InPlace {
		return nil
	}
	for i := range planned.snapshots {
		one := &planned.snapshots[i]
		for name, content := range one.content {
			file, err := m.carryHeld(ctx, job, planned, staging, one.node.ID, one.node.Parent, content, progress(name))
			if err != nil {
				return fmt.Errorf("snapshot %s: drive %s: %w", one.node.Name, name, err)
			}
			one.node.Images[name] = file
			if err := fault.At(ctx, "import.snapshot-made"); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdSnapshots makes the folders of a machine's snapshots, and the tree.
func (m *Manager) holdSnapshots(ctx context.Context, planned *plannedMachine, staging folder.Folder) error {
	record, tree := &planned.record, snapshot.Tree{Current: planned.current}
	for i := range planned.snapshots {
		one := &planned.snapshots[i]
		if one.node.Taken.IsZero() {
			one.node.Taken = record.Created
		}
		one.settle(record.Spec)
		one.node.Sources = snapshot.Sources(one.spec)
		if err := one.noteBases(record); err != nil {
			return err
		}
		if err := makeHeld(staging, one.node.ID, one.spec); err != nil {
			return err
		}
		if err := keepFirmware(ctx, string(staging), staging.Path(heldFolder(one.node.ID))); err != nil {
			return err
		}
		tree.Snapshots = append(tree.Snapshots, one.node)
	}
	setTree(record, tree)
	return nil
}

// noteBases puts down how the images are that a snapshot stands on.
func (one *plannedSnapshot) noteBases(record *inventory.Record) error {
	if record.Bases == nil {
		record.Bases = map[string]media.Mark{}
	}
	for _, drive := range one.spec.Drives {
		if !standsOut(drive) {
			continue
		}
		if err := noteBase(record.Bases, drive, record.Spec.Name); err != nil {
			return err
		}
	}
	return nil
}

// settle fills in where the content of the drives is.
func (one *plannedSnapshot) settle(now api.Spec) {
	for i := range one.spec.Drives {
		drive := &one.spec.Drives[i]
		if machine.InSnapshots(*drive) {
			drive.File = one.node.Images[drive.Name]
		}
	}
	one.settleOthers(now)
}

// settleOthers says of the drives that take no part in snapshots that their content is
// where the machine has it now.
func (one *plannedSnapshot) settleOthers(now api.Spec) {
	for i := range one.spec.Drives {
		drive := &one.spec.Drives[i]
		if machine.InSnapshots(*drive) {
			continue
		}
		drive.Source, drive.File = "", ""
		if is := driveNamed(now.Drives, drive.Name); is != nil && is.Kind == drive.Kind {
			drive.Mode, drive.Source, drive.File, drive.Format, drive.Size = is.Mode, is.Source, is.File, is.Format, is.Size
		}
	}
}

// heldBy is a snapshot that is planned, nil if there is none of that ID.
func (p *plannedMachine) heldBy(id string) *plannedSnapshot {
	for i := range p.snapshots {
		if p.snapshots[i].node.ID == id {
			return &p.snapshots[i]
		}
	}
	return nil
}

// carryHeld copies the content that a drive had into an image: the difference to
// what the drive had in the snapshot before, or all of it.
func (m *Manager) carryHeld(ctx context.Context, job *importJob, planned *plannedMachine, staging folder.Folder,
	id, parent string, content appliance.Disk, report func(done, total int64),
) (string, error) {
	file := upperName(content.Drive, id)
	img, err := foreign(job, content)
	if err != nil {
		return "", err
	}
	before := planned.heldBy(parent)
	if before == nil || before.node.Images[content.Drive] == "" {
		err = media.CreateCopy(ctx, staging.Path(file), img, 0, nil, report)
		return file, errors.Join(media.Damaged("its disk "+content.File, err), img.Close())
	}
	below, err := foreign(job, before.content[content.Drive])
	if err != nil {
		return "", errors.Join(err, img.Close())
	}
	err = media.CreateDifferenceCopy(ctx, string(staging), file, before.node.Images[content.Drive], img, below, report)
	return file, errors.Join(media.Damaged("its disk "+content.File, err), img.Close(), below.Close())
}

// foreign opens the content of a drive.
func foreign(job *importJob, content appliance.Disk) (*media.Foreign, error) {
	ref, plain := job.source.Ref(content)
	if !plain {
		return nil, fmt.Errorf("%s cannot be read where it lies", content.File)
	}
	return media.OpenForeign(ref)
}

// carryPresent copies the present content of a drive as a difference to the
// snapshot that it came after; done is false where there is none to stand on.
func (m *Manager) carryPresent(ctx context.Context, job *importJob, planned *plannedMachine, staging folder.Folder, drive *api.Drive, report func(done, total int64)) (done bool, err error) {
	before, content := planned.heldBy(planned.current), planned.content[drive.Name]
	if _, plain := job.source.Ref(content); before == nil || before.node.Images[drive.Name] == "" || !plain {
		return false, nil
	}
	file, err := m.carryHeld(ctx, job, planned, staging, newSnapshotID(), planned.current, content, report)
	if err != nil {
		return false, err
	}
	drive.File, drive.Format = filepath.Clean(file), "qcow2"
	return true, nil
}
