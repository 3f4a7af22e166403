package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/snapshot"
)

// holdDrawn lets the snapshots hold the images that were drawn in: from then on nothing writes into them.
func (m *Manager) holdDrawn(ctx context.Context, uuid string, g growth) error {
	_, err := m.changeTree(ctx, uuid, func(record *inventory.Record) error {
		tree := snapshot.Of(record.Machine)
		tree.Snapshots = slices.Clone(tree.Snapshots)
		for _, one := range g.standings {
			i := slices.IndexFunc(tree.Snapshots, func(s api.Snapshot) bool { return s.ID == one.snapshot })
			if i < 0 || one.lowest != "" {
				continue
			}
			images := maps.Clone(tree.Snapshots[i].Images)
			if images == nil {
				images = map[string]string{}
			}
			images[one.drive.Name] = record.Drawn[one.key()].File
			tree.Snapshots[i].Images = images
		}
		setTree(record, tree)
		return nil
	})
	return err
}

// putOnDrawn puts the images of the machine's own that stand on others' on those that were drawn in.
func (m *Manager) putOnDrawn(ctx context.Context, uuid string, g growth) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return err
	}
	open, err := m.openImages(object)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for _, one := range g.standings {
		if one.lowest == "" || done[one.lowest] {
			continue
		}
		done[one.lowest] = true
		file := object.Value.Drawn[one.key()].File
		if err := m.putOn(ctx, object, open[one.lowest], one.lowest, file); err != nil {
			return fmt.Errorf("drive %s: %w", one.drive.Name, err)
		}
		if err := fault.At(ctx, "stream.put-on"); err != nil {
			return err
		}
	}
	return nil
}

// openImages are the images that a machine's process has open, with the drive that each is of.
func (m *Manager) openImages(object inventory.Object) (map[string]api.Drive, error) {
	open := map[string]api.Drive{}
	if m.running(object.Key) == nil {
		return open, nil
	}
	for _, drive := range object.Value.Spec.Drives {
		if !slices.Contains(filesOf(object.Value.Spec), drive.File) {
			continue
		}
		layers, err := media.OwnLayers(object.Value.Folder, drive.File)
		if err != nil {
			return nil, err
		}
		for _, layer := range layers {
			open[layer.File] = drive
		}
	}
	return open, nil
}

// putOn puts an image on another one of the folder: the machine's process does so if it has it open for a drive.
func (m *Manager) putOn(ctx context.Context, object inventory.Object, of api.Drive, image, on string) error {
	dir := m.folderOf(object)
	run := m.running(object.Key)
	if run == nil || of.Name == "" {
		return media.Reparent(string(dir), image, on)
	}
	layers, err := media.OwnLayers(string(dir), on)
	if err != nil {
		return err
	}
	var below []string
	for _, layer := range layers {
		below = append(below, dir.Path(layer.File))
	}
	return run.Restack(context.WithoutCancel(ctx), of, dir.Path(image), below)
}

// ownDrives puts down that drives stand on nothing but images of their own.
func (m *Manager) ownDrives(ctx context.Context, uuid string, names map[string]bool) error {
	_, err := m.changeTree(ctx, uuid, func(record *inventory.Record) error {
		drives := slices.Clone(record.Spec.Drives)
		for i := range drives {
			if names[drives[i].Name] && standsOut(drives[i]) {
				own(&drives[i])
			}
		}
		before := record.Spec
		record.Spec.Drives = drives
		noteBases(record, before)
		return nil
	})
	return err
}

// own makes a drive one that stands on nothing but images of its own.
func own(drive *api.Drive) {
	drive.Mode, drive.Source, drive.Format, drive.Snapshot, drive.Under = api.Own, "", "qcow2", "", nil
}

// forgetSources takes the originals out of the specs of snapshots, which hold images of the machine's
// own by now, and then out of the tree.
func (m *Manager) forgetSources(ctx context.Context, uuid string) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return err
	}
	dir, sources := m.folderOf(object), map[string][]string{}
	for _, s := range object.Value.Snapshots {
		if err := rewriteHeld(dir, s); err != nil {
			return fmt.Errorf("snapshot %s: %w", s.Name, err)
		}
		spec, err := heldSpec(dir, s)
		if err != nil {
			return err
		}
		sources[s.ID] = snapshot.Sources(spec)
		if err := fault.At(ctx, "stream.spec-rewritten"); err != nil {
			return err
		}
	}
	_, err = m.changeTree(ctx, uuid, func(record *inventory.Record) error {
		tree := snapshot.Of(record.Machine)
		tree.Snapshots = slices.Clone(tree.Snapshots)
		for i := range tree.Snapshots {
			if now, known := sources[tree.Snapshots[i].ID]; known {
				tree.Snapshots[i].Sources = now
			}
		}
		setTree(record, tree)
		marks := maps.Clone(record.Bases)
		for key := range record.Drawn {
			delete(marks, key)
		}
		record.Bases = marks
		return undrawn(record, nil)
	})
	return err
}

// rewriteHeld lets the spec of a snapshot name no originals for drives that hold images of the
// machine's own.
func rewriteHeld(dir folder.Folder, s api.Snapshot) error {
	path := dir.Path(heldFolder(s.ID), heldSpecFile)
	spec, err := readHeldSpec(path)
	if err != nil {
		return err
	}
	changed := false
	for i := range spec.Drives {
		drive := &spec.Drives[i]
		if file := s.Images[drive.Name]; standsOut(*drive) && file != "" {
			own(drive)
			drive.File, changed = file, true
		}
	}
	if !changed {
		return nil
	}
	part := filepath.Join(filepath.Dir(path), "."+heldSpecFile)
	if err := os.Remove(part); err != nil && !isNotExist(err) {
		return err
	}
	if err := writeHeldSpec(part, spec); err != nil {
		return err
	}
	return errors.Join(os.Rename(part, path), syncPath(filepath.Dir(path)))
}
