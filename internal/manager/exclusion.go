package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// access is what a machine does with an image when it runs.
type access struct {
	path   string
	write  bool
	shared bool // with others that write it
	base   bool // it stands on it: it must not change, whether the machine runs or not
}

// accesses are the images that a machine uses.
func accesses(dir folder.Folder, spec api.Spec) []access {
	var all []access
	for _, drive := range spec.Drives {
		mode := machine.WriteModeOf(drive)
		if drive.File != "" {
			all = append(all, access{path: dir.Path(drive.File), write: mode != api.WriteNothing && !machine.Differs(drive)})
		}
		if drive.Source != "" && drive.Mode != api.Own {
			writes := machine.WritesSource(drive)
			all = append(all, access{
				path: drive.Source, write: writes, shared: mode == api.Shareable,
				base: machine.Layered(drive),
			})
		}
		for _, under := range drive.Under {
			all = append(all, access{path: under.Source, base: true})
		}
	}
	return all
}

// mayUse checks that a machine that is to be started neither writes what another
// one stands on, or uses now, nor uses what another one writes now. QEMU's locks
// on the files say the same again, without the reason, and for those who
// name a file differently. Who calls holds [Manager.starts].
func (m *Manager) mayUse(ctx context.Context, object inventory.Object) error {
	spec := object.Value.Spec
	if err := m.nobodyStandsOn(ctx, object); err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	for _, mine := range accesses(m.folderOf(object), spec) {
		if held := heldOn(object.Value.Machine, mine.path); mine.write && held != "" {
			return problem.New(api.KindRefused, "make a copy of the image, or delete the snapshot",
				"start %s: the image %s must not change: snapshot %s stands on it", spec.Name, mine.path, held)
		}
		if err := m.reading.refuse(mine); err != nil {
			return fmt.Errorf("start %s: %w", spec.Name, err)
		}
		users, err := m.inv.UsersOf(ctx, mine.path)
		if err != nil {
			return err
		}
		for _, uuid := range users {
			if uuid == object.Key {
				continue
			}
			if err := m.compatible(ctx, mine, uuid); err != nil {
				return fmt.Errorf("start %s: %w", spec.Name, err)
			}
		}
	}
	return nil
}

// nobodyStandsOn checks that no image that a machine writes where it lies is a file of those that others stand on: below the
// image that they name, or one that they know by another name (a link). The marks of what they stand on
// list all files.
func (m *Manager) nobodyStandsOn(ctx context.Context, object inventory.Object) error {
	written := attachedFiles(object.Value.Spec)
	if len(written) == 0 {
		return nil
	}
	others, _, err := m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return err
	}
	for _, other := range others {
		if other.Key == object.Key {
			continue
		}
		for path, file := range written {
			if standsOnFile(other.Value, path, file) {
				return mustNotChange(path, other.Value.Spec.Name)
			}
		}
	}
	return nil
}

// attachedFiles are the files that a machine writes where they lie, by their paths. One that is not there is no file.
func attachedFiles(spec api.Spec) map[string]fs.FileInfo {
	files := map[string]fs.FileInfo{}
	for _, drive := range spec.Drives {
		if !machine.WritesSource(drive) || machine.IsRemote(drive.Source) {
			continue
		}
		if info, err := os.Stat(drive.Source); err == nil && info.Mode().IsRegular() {
			files[drive.Source] = info
		}
	}
	return files
}

// standsOnFile tells whether a file is one of those that a machine stands on.
func standsOnFile(record inventory.Record, path string, file fs.FileInfo) bool {
	for _, mark := range record.Bases {
		for _, base := range mark.Files {
			if base.Path == path {
				return true
			}
			if info, err := os.Stat(base.Path); err == nil && os.SameFile(info, file) {
				return true
			}
		}
	}
	return false
}

func mustNotChange(path, name string) error {
	return problem.New(api.KindRefused, "make a copy of the image, or a full clone of the machine that stands on it",
		"the image %s must not change: machine %s stands on it", path, name)
}

// unwritten checks that no other machine writes, now, an image that a machine without a process has attached: what is to be
// kept or copied of it would change meanwhile.
func (m *Manager) unwritten(ctx context.Context, object inventory.Object) error {
	if m.running(object.Key) != nil {
		return nil
	}
	for _, drive := range object.Value.Spec.Drives {
		if !mustBeStill(drive) {
			continue
		}
		users, err := m.inv.UsersOf(ctx, drive.Source)
		if err != nil {
			return err
		}
		for _, uuid := range users {
			if uuid == object.Key {
				continue
			}
			if err := m.compatible(ctx, access{path: drive.Source}, uuid); err != nil {
				return err
			}
		}
	}
	return nil
}

// compatible checks one image against one other machine that uses it.
func (m *Manager) compatible(ctx context.Context, mine access, uuid string) error {
	other, err := m.inv.Get(ctx, uuid)
	if err != nil {
		return unlessGone(err)
	}
	if held := heldOn(other.Value.Machine, mine.path); mine.write && held != "" {
		return problem.New(api.KindRefused, "make a copy of the image, or delete the snapshot",
			"the image %s must not change: snapshot %s of machine %s stands on it", mine.path, held, other.Value.Spec.Name)
	}
	status := other.Value.Status
	for _, theirs := range accesses(m.folderOf(other), other.Value.Spec) {
		if theirs.path != mine.path || !mine.write && !theirs.write || mine.shared && theirs.shared {
			continue
		}
		if mine.write && theirs.base {
			return mustNotChange(mine.path, other.Value.Spec.Name)
		}
		if status.State != api.StateOff {
			return problem.New(api.KindBusy, "power the other one off first; several may run only with writeMode shareable",
				"the image %s is attached to machine %s, which is %s", mine.path, other.Value.Spec.Name, status.State)
		}
	}
	return nil
}

// heldOn is the name of a machine's snapshot that stands on an image; empty for none.
func heldOn(m api.Machine, path string) string {
	for _, held := range m.Snapshots {
		if slices.Contains(held.Sources, path) {
			return held.Name
		}
		for _, file := range held.Images {
			if filepath.Join(m.Folder, file) == path {
				return held.Name
			}
		}
	}
	return ""
}

// unneeded checks that no other machine stands on what is in a machine's
// folder, before that vanishes; what is the operation's word for it.
func (m *Manager) unneeded(ctx context.Context, what string, object inventory.Object) error {
	used, err := m.inv.UsersBelow(ctx, object.Value.Folder)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, users := range used {
		for _, uuid := range users {
			if uuid == object.Key {
				continue
			}
			other, err := m.inv.Get(ctx, uuid)
			if err != nil {
				return unlessGone(err)
			}
			names[other.Value.Spec.Name] = true
		}
	}
	detached, err := m.detachedOver(ctx, object)
	if err != nil {
		return err
	}
	switch {
	case len(names) == 0 && len(detached) == 0:
		return nil
	case len(names) == 0:
		return problem.New(api.KindRefused, "remove those first, if nobody needs them (`panal medium prune --delete`)",
			"%s %s: its disks are what disks stand on that were detached from its clones: %s", what, object.Value.Spec.Name, strings.Join(detached, ", "))
	}
	return problem.New(api.KindRefused, "delete those first, with their snapshots, or make full clones of them",
		"%s %s: its disks are what other machines stand on: %s", what, object.Value.Spec.Name, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
}

// detachedOver are the images of drives that were detached from linked clones of a machine, and stand on what is in its folder.
func (m *Manager) detachedOver(ctx context.Context, object inventory.Object) (images []string, err error) {
	objects, _, err := m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return nil, err
	}
	for _, other := range objects {
		if other.Key == object.Key {
			continue
		}
		for image, base := range strayBases(&other.Value) {
			if strings.HasPrefix(base, filepath.Clean(object.Value.Folder)+"/") {
				images = append(images, image)
			}
		}
	}
	slices.Sort(images)
	return images, nil
}
