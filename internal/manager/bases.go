package manager

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
)

// What a guest has written over an image makes sense only over that image as it was. A
// machine's record says by Bases how each was when the machine came to stand on it, or
// when it was started first by a daemon that looks at this.

// baseKey is what the mark of an image is kept by.
func baseKey(ref media.Ref) string {
	if ref.Snapshot == "" {
		return ref.Path
	}
	return ref.Path + "#" + ref.Snapshot
}

// basesOf are the images outside of all machines' folders that a machine's
// differencing images stand on. Those in machines' folders are not among them: the daemon
// refuses what would change their content, and changes their files itself. Neither are
// those that machines write where they lie.
func basesOf(spec api.Spec) (refs []media.Ref) {
	for _, drive := range spec.Drives {
		if drive.Mode == api.Overlay && drive.File != "" && drive.Source != "" &&
			len(drive.Under) == 0 && !machine.Resets(drive) && !machine.IsRemote(drive.Source) && !inFolder(drive.Source) {
			refs = append(refs, media.RefOf(drive))
		}
	}
	return refs
}

// undersOf are the images that a linked clone's bases stand on in their turn.
func undersOf(spec api.Spec) (refs []media.Ref) {
	for _, drive := range spec.Drives {
		for _, under := range drive.Under {
			if machine.IsRemote(under.Source) || inFolder(under.Source) {
				continue
			}
			refs = append(refs, media.Ref{Path: under.Source, Format: under.Format, Snapshot: under.Snapshot})
		}
	}
	return refs
}

// inFolder tells whether an image is one of a machine's own.
func inFolder(path string) bool {
	dir, parent := filepath.Split(filepath.Dir(path))
	if parent != folder.Disks {
		return false
	}
	_, err := os.Lstat(filepath.Join(dir, folder.SpecFile))
	return err == nil
}

// noteBases puts down how the images are that a machine has come to stand on; before is
// the spec that it had until now. What cannot be looked at stops its start, not this.
func noteBases(record *inventory.Record, before api.Spec) {
	stoodOn, marks := map[string]bool{}, map[string]media.Mark{}
	if len(record.Snapshots) > 0 {
		maps.Copy(marks, record.Bases) // a snapshot may stand on what the machine does not
	}
	for _, ref := range append(basesOf(before), undersOf(before)...) {
		stoodOn[baseKey(ref)] = true
	}
	for _, ref := range append(undersOf(record.Spec), basesOf(record.Spec)...) {
		if mark, noted := record.Bases[baseKey(ref)]; noted && stoodOn[baseKey(ref)] {
			marks[baseKey(ref)] = mark
		}
	}
	for _, ref := range basesOf(record.Spec) {
		if _, noted := marks[baseKey(ref)]; noted && stoodOn[baseKey(ref)] {
			continue
		}
		if mark, err := media.MarkOf(ref); err == nil {
			marks[baseKey(ref)] = mark
		}
	}
	record.Bases = marks
}

// inheritBases puts down what a clone stands on as its original has it put down.
func inheritBases(clone *inventory.Record, original inventory.Record, spec api.Spec) {
	original.Spec = spec
	noteBases(&original, spec)
	clone.Bases = original.Bases
	noteBases(clone, spec)
	for _, ref := range undersOf(clone.Spec) {
		if mark, noted := original.Bases[baseKey(ref)]; noted {
			clone.Bases[baseKey(ref)] = mark
		}
	}
}

// sameBases checks that what a machine stands on is there, and as it was. It returns the
// marks of all, also of those that had none: machines that earlier versions made.
func sameBases(record inventory.Record) (map[string]media.Mark, error) {
	marks := map[string]media.Mark{}
	maps.Copy(marks, record.Bases)
	for _, ref := range append(basesOf(record.Spec), undersOf(record.Spec)...) {
		mark, err := media.MarkOf(ref)
		if err != nil {
			return nil, err
		}
		before, noted := marks[baseKey(ref)]
		if !noted {
			marks[baseKey(ref)] = mark
			continue
		}
		if err := changedBase(ref.Path, record.Spec.Name, mark.Changed(before)); err != nil {
			return nil, err
		}
	}
	return marks, nil
}

// changedBase is what is wrong with an image of which something differs from how it was; nil for "".
func changedBase(path, name, reason string) error {
	if reason == "" {
		return nil
	}
	return problem.New(api.KindRefused, fmt.Sprintf(
		"bring the image back as it was; or, if its content is the same, or the guest can bear it, `panal start %s --accept-base`", name),
		"the image %s was changed since the machine stands on it, and what its guest has written does not fit any more: %s", path, reason)
}

// AcceptBases puts down anew how the images are that a machine stands on.
func (m *Manager) AcceptBases(ctx context.Context, ref string) (api.Machine, error) {
	return again(ctx, func() (api.Machine, error) { return m.tryAcceptBases(ctx, ref) })
}

func (m *Manager) tryAcceptBases(ctx context.Context, ref string) (api.Machine, error) {
	object, err := m.allowed(ctx, ref, machine.OpStart)
	if err != nil {
		return api.Machine{}, err
	}
	object.Value.Bases = nil
	if err := undrawn(&object.Value, nil); err != nil { // it may have been drawn in as it was before
		return api.Machine{}, err
	}
	if object.Value.Bases, err = sameBases(object.Value); err != nil {
		return api.Machine{}, fmt.Errorf("accept what %s stands on: %w", object.Value.Spec.Name, err)
	}
	stored, err := m.inv.Update(ctx, object, object.Value.Spec)
	if err != nil {
		return api.Machine{}, err
	}
	return inventory.AsMachine(stored), nil
}
