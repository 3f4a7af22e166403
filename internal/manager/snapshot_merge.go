package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// survey finds which images of a folder stand on which, from some of them on
// downwards.
func survey(dir folder.Folder, roots []string) (snapshot.Images, error) {
	images := snapshot.Images{}
	for _, root := range roots {
		for file := root; file != ""; {
			if _, known := images[file]; known {
				break
			}
			layer, err := media.LayerOf(string(dir), file)
			if err != nil {
				return nil, err
			}
			images[file] = snapshot.Image{Parent: layer.Parent, Allocated: layer.Allocated}
			file = layer.Parent
		}
	}
	return images, nil
}

// surveyRecord surveys the images that a machine's present state, its snapshots, other machines, and images that were
// detached from it need. Those below the last, which are kept, nobody may change.
func surveyRecord(record *inventory.Record) (images snapshot.Images, kept map[string]bool, err error) {
	strays, err := strayImages(record)
	if err != nil {
		return nil, nil, err
	}
	images, err = survey(folder.Folder(record.Folder), slices.Concat(surveyed(record), strays, present(record.Folder, record.Lent)))
	return images, images.Reachable(setOf(strays)), err
}

// surveyed are the images that a machine's present state and its snapshots name.
func surveyed(record *inventory.Record) []string {
	return append(filesOf(record.Spec), keys(snapshot.Of(record.Machine).Images())...)
}

// needsOf is who needs the images of a machine without a process; others are
// those that other machines stand on.
func needsOf(record *inventory.Record, others map[string]bool) snapshot.Needs {
	needs := snapshot.Needs{
		Held: snapshot.Of(record.Machine).Images(), Written: map[string]bool{}, Open: map[string]bool{}, Others: map[string]bool{},
	}
	maps.Copy(needs.Others, others)
	for _, drive := range record.Spec.Drives {
		switch {
		case drive.Kind != api.Disk || drive.File == "":
		case writesFile(drive):
			needs.Written[drive.File] = true
		default: // what is written is above it, and names it
			needs.Others[drive.File] = true
		}
	}
	return needs
}

// writesFile tells whether a guest writes the image that a drive names: not one that is
// immutable, which has a difference above that, and not one that is read-only.
func writesFile(drive api.Drive) bool {
	return drive.Kind == api.Disk && drive.File != "" && !machine.Differs(drive) && machine.WriteModeOf(drive) != api.WriteNothing
}

// standOn are the images of a machine's folder, relative to it, that other
// machines stand on: linked clones, in their present state, in their snapshots, and with drives that were detached.
func (m *Manager) standOn(ctx context.Context, uuid string) (map[string]bool, error) {
	objects, _, err := m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return nil, err
	}
	var dir folder.Folder
	for _, object := range objects {
		if object.Key == uuid {
			dir = m.folderOf(object)
		}
	}
	used := map[string]bool{}
	for _, object := range objects {
		if object.Key == uuid {
			continue
		}
		for _, path := range m.standsOutside(object) {
			if inside, err := filepath.Rel(string(dir), path); err == nil && filepath.IsLocal(inside) {
				used[inside] = true
			}
		}
	}
	return used, nil
}

// specsOf are the specs of a machine and of its snapshots.
func (m *Manager) specsOf(object inventory.Object) []api.Spec {
	specs := []api.Spec{object.Value.Spec}
	for _, s := range object.Value.Snapshots {
		held, err := heldSpec(m.folderOf(object), s)
		if err != nil {
			m.log.Warn("a snapshot's spec cannot be read", "machine", object.Value.Spec.Name, "snapshot", s.Name, "error", err)
			continue
		}
		specs = append(specs, held)
	}
	return specs
}

// standsOutside are the images outside of a machine's folder that it stands on, in its present state, in its snapshots, and
// with drives that were detached.
func (m *Manager) standsOutside(object inventory.Object) []string {
	paths := slices.Collect(maps.Values(strayBases(&object.Value)))
	for _, spec := range m.specsOf(object) {
		for _, drive := range spec.Drives {
			if drive.Source != "" {
				paths = append(paths, drive.Source)
			}
			for _, under := range drive.Under {
				paths = append(paths, under.Source)
			}
		}
	}
	return paths
}

// mergeAll merges what can be merged, step by step, and forgets then that there
// was something to merge.
func (m *Manager) mergeAll(ctx context.Context, r *task.Run, uuid string) error {
	if err := m.reclaim(ctx, uuid); err != nil {
		return err
	}
	for {
		if err := fault.At(ctx, "merge.step"); err != nil {
			return err
		}
		object, step, found, err := m.nextMerge(ctx, uuid)
		if err != nil {
			return err
		}
		if !found {
			shortened, err := m.shortenNext(ctx, r, object)
			if err != nil {
				return err
			}
			if shortened {
				continue
			}
			return m.endMerging(ctx, uuid)
		}
		report := func(done, total int64) {
			r.Report(api.Progress{Step: "merging " + filepath.Base(step.Upper) + " and " + filepath.Base(step.Lower), Done: done, Total: total, Unit: "bytes"})
		}
		if err := m.merge(ctx, object, step, report); err != nil {
			return err
		}
	}
}

// endMerging forgets that there was something to merge.
func (m *Manager) endMerging(ctx context.Context, uuid string) error {
	if err := m.catchUp(ctx, uuid); err != nil {
		return err
	}
	settings, err := m.Settings(ctx)
	if err != nil {
		return err
	}
	m.merges.Done(uuid)
	_, err = m.inv.Modify(ctx, uuid, func(record *inventory.Record) error {
		record.Merging = false
		record.Status.Warnings = without(record.Status.Warnings, mergeWarning)
		if deepest(record) <= settings.Snapshots.Depth {
			record.Status.Warnings = without(record.Status.Warnings, deepWarning)
		}
		return nil
	})
	return err
}

// nextMerge decides what is merged next.
func (m *Manager) nextMerge(ctx context.Context, uuid string) (inventory.Object, snapshot.Step, bool, error) {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return object, snapshot.Step{}, false, err
	}
	images, kept, err := surveyRecord(&object.Value)
	if err != nil {
		return object, snapshot.Step{}, false, err
	}
	others, err := m.standOn(ctx, uuid)
	if err != nil {
		return object, snapshot.Step{}, false, err
	}
	maps.Copy(others, kept)
	needs := needsOf(&object.Value, others)
	if run := m.running(uuid); run != nil {
		step, found, err := nextLive(ctx, run, object, images, needs)
		return object, step, found, err
	}
	step, found := images.Next(needs)
	return object, step, found, nil
}

// merge carries out one step. Cut off at any point, what it left reads as
// before, and the step can be taken again.
func (m *Manager) merge(ctx context.Context, object inventory.Object, step snapshot.Step, report func(done, total int64)) error {
	dir, drive := m.folderOf(object), driveAbove(object.Value, step.Upper)
	if run := m.running(object.Key); run == nil || !isPivoting(ctx, run, dir, object.Value.Spec) { // what was begun is ended
		if err := roomToMerge(ctx, dir, step); err != nil {
			return err
		}
	}
	if step.Live {
		run := m.running(object.Key)
		if run == nil {
			return errors.New("its process has ended meanwhile")
		}
		if err := m.mergeLive(ctx, run, object, drive, step, report); err != nil {
			return err
		}
	} else if err := mergeOff(ctx, dir, drive, step, m.driveKeys(object.Key, drive), report); err != nil {
		return fmt.Errorf("merge %s and %s: %w", step.Upper, step.Lower, err)
	}
	// What was merged is put down, and takes up no more space, also when it is to give way now.
	ctx = context.WithoutCancel(ctx)
	if err := fault.At(ctx, "merge.copied"); err != nil {
		return err
	}
	gone := step.Lower
	if step.Way == snapshot.Commit {
		gone = step.Upper
		for _, beside := range step.Beside {
			if err := media.Reparent(string(dir), beside, step.Lower); err != nil {
				return err
			}
		}
		if err := fault.At(ctx, "merge.reparented"); err != nil {
			return err
		}
	}
	if err := m.commitMerge(ctx, object.Key, step, gone); err != nil {
		return err
	}
	if err := fault.At(ctx, "merge.committed"); err != nil {
		return err
	}
	return m.clearLeftovers(ctx, object.Key)
}

// commitMerge writes down that an image is gone, and which has taken its place.
func (m *Manager) commitMerge(ctx context.Context, uuid string, step snapshot.Step, gone string) error {
	_, err := m.freeTree(ctx, uuid, func(record *inventory.Record) error {
		if step.Way == snapshot.Commit {
			setTree(record, snapshot.Of(record.Machine).Replace(step.Upper, step.Lower))
			drives := slices.Clone(record.Spec.Drives)
			for i := range drives {
				if drives[i].File == step.Upper {
					drives[i].File = step.Lower
				}
			}
			record.Spec.Drives = drives
		}
		if !slices.Contains(record.Leftovers, gone) {
			record.Leftovers = append(slices.Clone(record.Leftovers), gone)
		}
		return nil
	})
	return err
}

func mergeOff(ctx context.Context, dir folder.Folder, drive api.Drive, step snapshot.Step, keys disk.Keys, report func(done, total int64)) error {
	if step.Way == snapshot.Commit {
		return media.CommitLayer(ctx, string(dir), drive, step.Upper, step.Lower, keys, report)
	}
	return media.PullLayer(ctx, string(dir), drive, step.Upper, step.Lower, keys, report)
}

// driveAbove is a drive whose content an image is part of: the present one, or
// that of a snapshot. What the drive stands on outside of the folder is below the image too.
func driveAbove(record inventory.Record, file string) api.Drive {
	dir := folder.Folder(record.Folder)
	stands := func(drive api.Drive) bool {
		layers, err := media.OwnLayers(record.Folder, drive.File)
		return err == nil && slices.ContainsFunc(layers, func(l media.Layer) bool { return l.File == file })
	}
	for _, drive := range record.Spec.Drives {
		if drive.File != "" && stands(drive) {
			return drive
		}
	}
	for _, s := range record.Snapshots {
		spec, err := heldSpec(dir, s)
		if err != nil {
			continue
		}
		for _, drive := range spec.Drives {
			if drive.File != "" && stands(drive) {
				return drive
			}
		}
	}
	return api.Drive{Name: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), File: file}
}
