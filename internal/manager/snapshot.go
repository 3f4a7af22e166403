package manager

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/task"
)

// Snapshots carries out what is asked of the snapshots of the manager's machines.
type Snapshots struct{ m *Manager }

// Snapshots are the snapshots of the machines.
func (m *Manager) Snapshots() *Snapshots { return &Snapshots{m} }

// List is a machine's tree of snapshots.
func (s *Snapshots) List(ctx context.Context, ref string) (api.SnapshotTree, error) {
	object, err := s.m.inv.Find(ctx, ref)
	if err != nil {
		return api.SnapshotTree{}, err
	}
	record := object.Value
	return api.SnapshotTree{
		Revision: int64(object.Revision), Machine: record.Spec.UUID, Name: record.Spec.Name,
		Current: record.Snapshot, Snapshots: snapshot.Of(record.Machine).Ordered(),
	}, nil
}

// find finds a machine and one of its snapshots.
func (s *Snapshots) find(ctx context.Context, ref, wanted string) (inventory.Object, api.Snapshot, error) {
	object, err := s.m.inv.Find(ctx, ref)
	if err != nil {
		return object, api.Snapshot{}, err
	}
	found, err := snapshotNamed(object, wanted)
	return object, found, err
}

// snapshotNamed is the snapshot of a machine that a user's reference means.
func snapshotNamed(object inventory.Object, ref string) (api.Snapshot, error) {
	name := object.Value.Spec.Name
	switch found := snapshot.Of(object.Value.Machine).Find(ref); len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.Snapshot{}, problem.New(api.KindNotFound, "`panal snapshot list "+name+"` shows them", "machine %s has no snapshot %q", name, ref)
	default:
		return api.Snapshot{}, problem.New(api.KindAmbiguous, "give more of it", "%d snapshots of machine %s have an ID that begins with %q", len(found), name, ref)
	}
}

// Get is a snapshot with all that it holds.
func (s *Snapshots) Get(ctx context.Context, ref, wanted string) (api.SnapshotDetail, error) {
	object, found, err := s.find(ctx, ref, wanted)
	if err != nil {
		return api.SnapshotDetail{}, err
	}
	detail := api.SnapshotDetail{Snapshot: found, Machine: object.Key}
	if detail.Spec, err = heldSpec(s.m.folderOf(object), found); err != nil {
		return detail, fmt.Errorf("snapshot %s of %s: %w", found.Name, object.Value.Spec.Name, err)
	}
	for _, drive := range detail.Spec.Drives {
		if !machine.InSnapshots(drive) {
			continue
		}
		described, err := describeDrive(s.m.folderOf(object), drive)
		if err != nil {
			return detail, fmt.Errorf("snapshot %s of %s: drive %s: %w", found.Name, object.Value.Spec.Name, drive.Name, err)
		}
		detail.Drives = append(detail.Drives, described)
	}
	return detail, nil
}

// describeDrive describes the images that hold a drive's content: its own, then those that
// it stands on by its spec, each with those of its directory, and at last what the lowest of them names.
func describeDrive(dir folder.Folder, drive api.Drive) (api.SnapshotDrive, error) {
	described := api.SnapshotDrive{Name: drive.Name, Size: drive.Size}
	path := ""
	if drive.File != "" {
		path = dir.Path(drive.File)
	}
	refs := media.StackOf(drive, path)
	for i, ref := range refs {
		look := media.Layers
		if i == len(refs)-1 {
			look = media.Open
		}
		chain, err := look(ref)
		if err != nil {
			return described, err
		}
		if i == 0 {
			described.Size = chain[0].Size
		}
		for at, image := range chain {
			one := api.SnapshotImage{Path: image.Path, Format: image.Format, Alone: i < len(refs)-1, Allocated: image.Allocated}
			if at == 0 {
				one.Snapshot = ref.Snapshot
			}
			described.Chain = append(described.Chain, one)
		}
	}
	return described, nil
}

// Change changes what people say about a snapshot.
func (s *Snapshots) Change(ctx context.Context, ref, wanted string, request api.ChangeSnapshotRequest) (api.Snapshot, error) {
	return again(ctx, func() (api.Snapshot, error) { return s.tryChange(ctx, ref, wanted, request) })
}

func (s *Snapshots) tryChange(ctx context.Context, ref, wanted string, request api.ChangeSnapshotRequest) (api.Snapshot, error) {
	object, err := s.m.allowed(ctx, ref, machine.OpSet)
	if err != nil {
		return api.Snapshot{}, err
	}
	if err := s.m.unedited(object); err != nil {
		return api.Snapshot{}, err
	}
	found, err := snapshotNamed(object, wanted)
	if err != nil {
		return api.Snapshot{}, err
	}
	if request.Name != nil && *request.Name != found.Name {
		if err := freeName(object, *request.Name); err != nil {
			return api.Snapshot{}, err
		}
		found.Name, found.Schedule = *request.Name, "" // what people give a name is theirs
	}
	if request.Description != nil {
		if err := snapshot.CheckDescription(*request.Description); err != nil {
			return api.Snapshot{}, problem.New(api.KindInvalid, "", "snapshot %s: %s", found.Name, err)
		}
		found.Description = *request.Description
	}
	list := make([]api.Snapshot, 0, len(object.Value.Snapshots))
	for _, one := range object.Value.Snapshots {
		if one.ID == found.ID {
			one = found
		}
		list = append(list, one)
	}
	object.Value.Snapshots = list
	_, err = s.m.storeTree(ctx, object)
	return found, err
}

// freeName checks that a snapshot can have a name.
func freeName(object inventory.Object, name string) error {
	if err := snapshot.CheckName(name); err != nil {
		return problem.New(api.KindInvalid, "", "snapshot of %s: %s", object.Value.Spec.Name, err)
	}
	if tree := snapshot.Of(object.Value.Machine); tree.Free(name) != name {
		return problem.New(api.KindExists, "choose another name", "machine %s has a snapshot %q already", object.Value.Spec.Name, name)
	}
	return nil
}

// storeTree commits a record whose tree or images have changed, with its
// machine.json.
func (m *Manager) storeTree(ctx context.Context, object inventory.Object) (inventory.Object, error) {
	return m.storeTreeWith(ctx, object, false)
}

// storeTreeWith is storeTree for a change that gives space back, if frees says so: where there is none to write machine.json, that
// stays behind until there is.
func (m *Manager) storeTreeWith(ctx context.Context, object inventory.Object, frees bool) (inventory.Object, error) {
	dir := m.folderOf(object)
	defer m.documents.hold(dir)()
	digest, err := dir.Prepare(documentOf(object.Value))
	object.Value.Behind = frees && errors.Is(err, syscall.ENOSPC)
	if object.Value.Behind {
		digest, err = object.Value.Digest, nil
	}
	if err != nil {
		return object, fmt.Errorf("write machine.json of %s: %w", object.Value.Spec.Name, err)
	}
	object.Value.Digest = digest
	// Not to be cut off: nobody would know whether it was committed.
	stored, err := m.inv.Update(context.WithoutCancel(ctx), object, object.Value.Spec)
	if err != nil {
		return object, err
	}
	if err := dir.Settle(digest); err != nil {
		m.log.Warn("machine.json could not be put in place; it is done at the next change", "machine", object.Value.Spec.Name, "error", err)
	}
	return stored, nil
}

// changeTree is storeTree for a record that somebody else may change
// meanwhile: change is called again then.
func (m *Manager) changeTree(ctx context.Context, uuid string, change func(*inventory.Record) error) (inventory.Object, error) {
	return m.changeTreeWith(ctx, uuid, false, change)
}

// freeTree is changeTree for a change that gives space back, and so must not need any.
func (m *Manager) freeTree(ctx context.Context, uuid string, change func(*inventory.Record) error) (inventory.Object, error) {
	return m.changeTreeWith(ctx, uuid, true, change)
}

// catchUp writes machine.json of a machine whose last change is not in it; where there is still no room, it stays
// behind.
func (m *Manager) catchUp(ctx context.Context, uuid string) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil || !object.Value.Behind {
		return unlessGone(err)
	}
	_, err = m.freeTree(ctx, uuid, func(*inventory.Record) error { return nil })
	return err
}

func (m *Manager) changeTreeWith(ctx context.Context, uuid string, frees bool, change func(*inventory.Record) error) (inventory.Object, error) {
	return again(ctx, func() (inventory.Object, error) {
		object, err := m.inv.Get(ctx, uuid)
		if err != nil {
			return object, err
		}
		if err := change(&object.Value); err != nil {
			return object, err
		}
		return m.storeTreeWith(ctx, object, frees)
	})
}

// finishTree is finish for a change that machine.json is to tell of.
func (m *Manager) finishTree(ctx context.Context, r *task.Run, uuid string, change func(*inventory.Record) error) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return err
	}
	dir, digest := m.folderOf(object), ""
	defer m.documents.hold(dir)()
	err = m.finish(ctx, r, uuid, func(record *inventory.Record) (err error) {
		if err := change(record); err != nil {
			return err
		}
		if digest, err = dir.Prepare(documentOf(*record)); err != nil {
			return fmt.Errorf("write machine.json: %w", err)
		}
		record.Digest, record.Behind = digest, false
		return nil
	})
	if err != nil {
		return err
	}
	if err := dir.Settle(digest); err != nil {
		m.log.Warn("machine.json could not be put in place; it is done at the next change", "folder", dir, "error", err)
	}
	return nil
}

// newSnapshotID makes an ID: a folder's name, and part of the names of images.
func newSnapshotID() string { return strings.ToLower(rand.Text()[:8]) }

// setTree puts a tree into a record.
func setTree(record *inventory.Record, tree snapshot.Tree) {
	record.Snapshots, record.Snapshot = tree.Ordered(), tree.Current
}
