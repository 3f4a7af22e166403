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
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/task"
)

// What a machine with snapshots stands on is drawn in image by image. Each image of another program that the
// present state or a snapshot stands on becomes one of the machine's folder, of the kind that snapshots have here: a
// difference to the one of the snapshot before.
//
//	theirs    base.vdi ◀─┬─ {a}.vdi ◀── {now}.vdi         ours    base' ◀─┬─ a' ◀── now'
//	                     └─ {b}.vdi                                       └─ b'
//	held by   one          two, three   disk0.qcow2, ours
//
// Both read the same, so that there is no moment at which it matters which of the two something stands on, and nothing has
// to be undone. The steps are put down one by one, and each can be done again:
//
//  1. The images are made, the lower ones first. Record.Drawn says which are begun and which are whole.
//  2. In one commit the snapshots hold those that are theirs.
//  3. The images of ours that stand on one of theirs are put on ours, by the machine's process while it has them open.
//  4. The drives, and then the specs of the snapshots, forget the originals.
//
// The originals are needed to the end of the last. Then what no snapshot holds is merged with
// what stands on it, like after a snapshot was deleted.

// standing is a drive's content, now or in a snapshot, that needs an image of another program.
type standing struct {
	snapshot string // its ID; empty for the present state
	drive    api.Drive
	// lowest is the image of the machine's own that stands on it; empty if the content is the image itself.
	lowest string
	// parent is what the snapshot before has for the drive; empty for nothing.
	parent string
}

// key is what the image that is needed is known by.
func (s standing) key() string { return baseKey(media.RefOf(s.drive)) }

// growth is a machine's tree, as far as it stands on images of other programs.
type growth struct {
	standings []standing // a snapshot's after those of the one that it came after
	// drives are the names of drives that are in snapshots, which are not drawn in one by one.
	drives map[string]bool
	// unfit says of a drive that cannot be drawn in why; empty for none.
	unfit string
	// stale tells that a spec, or the tree, names originals, whether something needs them still or not.
	stale bool
}

// growthOf looks at a machine's tree.
func growthOf(record inventory.Record) (growth, error) {
	g := growth{drives: map[string]bool{}}
	for _, s := range snapshot.Of(record.Machine).Ordered() {
		spec, err := heldSpec(folder.Folder(record.Folder), s)
		if err != nil {
			return g, err
		}
		if err := g.add(record, s.ID, s.Parent, spec, nil); err != nil {
			return g, err
		}
		g.stale = g.stale || !slices.Equal(s.Sources, snapshot.Sources(spec))
	}
	return g, g.add(record, "", record.Snapshot, record.Spec, func(drive api.Drive) bool {
		return g.drives[drive.Name] || len(record.Snapshots) > 0 && inTree(record, drive)
	})
}

// inTree tells whether snapshots hold images that a drive stands on.
func inTree(record inventory.Record, drive api.Drive) bool {
	layers, err := media.OwnLayers(record.Folder, drive.File)
	return err == nil && len(layers) > 1
}

// add adds the drives of a spec, of those that are wanted.
func (g *growth) add(record inventory.Record, id, after string, spec api.Spec, wanted func(api.Drive) bool) error {
	for _, drive := range spec.Drives {
		if !standsOut(drive) || wanted != nil && !wanted(drive) {
			continue
		}
		g.drives[drive.Name] = true
		if g.unfit == "" {
			g.unfit = unfit(drive)
		}
		g.stale = true
		one := standing{snapshot: id, drive: drive}
		if drive.File != "" {
			layers, err := media.OwnLayers(record.Folder, drive.File)
			if err != nil {
				return fmt.Errorf("drive %s: %w", drive.Name, err)
			}
			lowest := layers[len(layers)-1]
			if !lowest.Above {
				continue // it was put on one of ours
			}
			one.lowest = lowest.File
		}
		one.parent = g.before(record, after, one)
		g.standings = append(g.standings, one)
	}
	return nil
}

// standsOut tells whether a drive that takes part in snapshots stands on an image outside of the
// machine's folder that may be drawn in.
func standsOut(drive api.Drive) bool {
	return drive.Mode == api.Overlay && drive.Source != "" && machine.InSnapshots(drive) && machine.WriteModeOf(drive) == api.Normal
}

// unfit says why what a drive stands on cannot become images of the folder; empty if it can.
func unfit(drive api.Drive) string {
	switch {
	case drive.Encrypted:
		return "drive " + drive.Name + " is encrypted"
	case machine.IsRemote(drive.Source):
		return "drive " + drive.Name + " is on the network"
	case len(drive.Under) > 0:
		return "drive " + drive.Name + " stands on another machine's images, which stand on others"
	}
	return ""
}

// before is what the nearest snapshot that one came after has for its drive, if that is needed, too.
func (g *growth) before(record inventory.Record, after string, one standing) string {
	for tree := snapshot.Of(record.Machine); after != ""; {
		for _, s := range g.standings {
			if s.snapshot == after && s.drive.Name == one.drive.Name && s.key() != one.key() {
				return s.key()
			}
		}
		s, _ := tree.Get(after)
		after = s.Parent
	}
	return ""
}

// streamTree draws in what the machine's snapshots, and the drives that are in them, stand on.
func (m *Manager) streamTree(ctx context.Context, r *task.Run, uuid string) error {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return err
	}
	g, err := growthOf(object.Value)
	if err != nil {
		return err
	}
	if !g.stale {
		return m.forgetDrawn(ctx, object)
	}
	if err := m.drawTree(ctx, r, uuid, g); err != nil {
		return err
	}
	if err := m.holdDrawn(ctx, uuid, g); err != nil {
		return err
	}
	if err := fault.At(ctx, "stream.held"); err != nil {
		return err
	}
	if err := m.putOnDrawn(ctx, uuid, g); err != nil {
		return err
	}
	if err := m.ownDrives(context.WithoutCancel(ctx), uuid, g.drives); err != nil {
		return err
	}
	if err := fault.At(ctx, "stream.owned"); err != nil {
		return err
	}
	if err := m.forgetSources(ctx, uuid); err != nil {
		return err
	}
	return m.clearLeftovers(ctx, uuid)
}

// drawTree makes the images, the lower ones first.
func (m *Manager) drawTree(ctx context.Context, r *task.Run, uuid string, g growth) error {
	drawn, err := m.beginDrawing(ctx, uuid, g)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, one := range g.standings {
		key := one.key()
		if seen[key] || drawn[key].Whole {
			continue
		}
		seen[key] = true
		if err := fault.At(ctx, "stream.layer-begun"); err != nil {
			return err
		}
		report := func(done, total int64) {
			r.Report(api.Progress{
				Step: fmt.Sprintf("drawing in %s (%d of %d)", one.drive.Source, len(seen), len(drawn)), Done: done, Total: total, Unit: "bytes",
			})
		}
		if err := m.drawLayer(ctx, uuid, one, drawn, report); err != nil {
			return fmt.Errorf("drive %s: %w", one.drive.Name, err)
		}
		if err := fault.At(ctx, "stream.layer-drawn"); err != nil {
			return err
		}
		if err := m.noteWhole(ctx, uuid, key); err != nil {
			return err
		}
	}
	return nil
}

// beginDrawing puts down which images are made, and how what they are made of is. What was begun before
// and has not changed is gone on with.
func (m *Manager) beginDrawing(ctx context.Context, uuid string, g growth) (map[string]inventory.Drawn, error) {
	var drawn map[string]inventory.Drawn
	_, err := m.inv.Modify(ctx, uuid, func(record *inventory.Record) error {
		drawn = map[string]inventory.Drawn{}
		marks := maps.Clone(record.Bases)
		if marks == nil {
			marks = map[string]media.Mark{}
		}
		for _, one := range g.standings {
			key := one.key()
			if drawn[key].File != "" {
				continue
			}
			if err := noteBase(marks, one.drive, record.Spec.Name); err != nil {
				return err
			}
			is, begun := record.Drawn[key]
			if !begun || slices.Contains(filesOf(record.Spec), is.File) {
				is = inventory.Drawn{File: upperName(one.drive.Name, newSnapshotID())}
			}
			_, err := os.Lstat(filepath.Join(record.Folder, is.File))
			is.Whole = is.Whole && err == nil
			drawn[key] = is
		}
		record.Bases = marks
		err := undrawn(record, drawn)
		record.Drawn = drawn
		return err
	})
	return drawn, err
}

// noteBase checks that an image is as it was when its mark was noted, or notes it.
func noteBase(marks map[string]media.Mark, drive api.Drive, name string) error {
	ref := media.RefOf(drive)
	mark, err := media.MarkOf(ref)
	if err != nil {
		return err
	}
	if before, noted := marks[baseKey(ref)]; noted {
		return changedBase(ref.Path, name, mark.Changed(before))
	}
	marks[baseKey(ref)] = mark
	return nil
}

// noteWhole puts down that an image was drawn in. What it was made of must not have changed meanwhile.
func (m *Manager) noteWhole(ctx context.Context, uuid, key string) error {
	_, err := m.inv.Modify(ctx, uuid, func(record *inventory.Record) error {
		record.Drawn = maps.Clone(record.Drawn)
		record.Drawn[key] = inventory.Drawn{File: record.Drawn[key].File, Whole: true}
		return nil
	})
	return err
}

// drawLayer makes one of the images.
func (m *Manager) drawLayer(ctx context.Context, uuid string, one standing, drawn map[string]inventory.Drawn, report func(done, total int64)) (err error) {
	object, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return err
	}
	dir := string(m.folderOf(object))
	from, err := media.OpenForeign(media.RefOf(one.drive))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	below, err := m.openBefore(object.Value, one)
	if err != nil {
		return err
	}
	if below != nil {
		defer func() { err = errors.Join(err, below.Close()) }()
	}
	most, err := media.ToDrawLayer(ctx, from, below)
	if err == nil {
		err = roomFor(dir, most, "drawing in "+one.drive.Source, "free some space, and then panal stream "+object.Value.Spec.Name)
	}
	if err != nil {
		return err
	}
	if err := media.DrawLayer(ctx, dir, drawn[one.key()].File, drawn[one.parent].File, from, below, report); err != nil {
		return media.Damaged("the image "+one.drive.Source, err)
	}
	return noteBase(maps.Clone(object.Value.Bases), one.drive, object.Value.Spec.Name)
}

// openBefore opens what an image is a difference to; nil for nothing.
func (m *Manager) openBefore(record inventory.Record, one standing) (*media.Foreign, error) {
	if one.parent == "" {
		return nil, nil
	}
	g, err := growthOf(record)
	if err != nil {
		return nil, err
	}
	for _, other := range g.standings {
		if other.key() == one.parent {
			return media.OpenForeign(media.RefOf(other.drive))
		}
	}
	return nil, problem.New(api.KindBusy, "try again", "the snapshots have changed meanwhile")
}

// forgetDrawn removes what was drawn in for snapshots that are gone by now.
func (m *Manager) forgetDrawn(ctx context.Context, object inventory.Object) error {
	if len(object.Value.Drawn) == 0 {
		return nil
	}
	if _, err := m.inv.Modify(ctx, object.Key, func(record *inventory.Record) error { return undrawn(record, nil) }); err != nil {
		return err
	}
	return m.clearLeftovers(ctx, object.Key)
}

// undrawn forgets the images that were drawn in, but for those that are kept. Those that nothing stands on
// are to be removed.
func undrawn(record *inventory.Record, keep map[string]inventory.Drawn) error {
	if len(record.Drawn) == 0 {
		return nil
	}
	strays, err := strayImages(record)
	if err != nil {
		return err
	}
	roots := append(surveyed(record), strays...)
	for _, is := range keep {
		if _, err := os.Lstat(filepath.Join(record.Folder, is.File)); err == nil {
			roots = append(roots, is.File)
		}
	}
	images, err := survey(folder.Folder(record.Folder), roots)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(record.Drawn)) {
		file := record.Drawn[key].File
		if _, needed := images[file]; !needed && keep[key].File != file {
			record.Leftovers = append(slices.Clone(record.Leftovers), file, media.PartOf(file))
		}
	}
	record.Drawn = keep
	return nil
}
