package manager

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// ChangePassphrase changes what opens an encrypted medium, and all images that have its header.
func (s *Media) ChangePassphrase(ctx context.Context, ref string, request api.MediumPassphraseRequest) (answer api.MediumPassphrases, err error) {
	found, err := s.Get(ctx, ref)
	if err != nil {
		return answer, err
	}
	of := media.Ref{Path: found.Location, Format: found.Format}
	header, err := media.Header(of)
	switch {
	case err != nil:
		return answer, err
	case header == nil:
		return answer, problem.New(api.KindWrongState, "`panal medium copy --encrypt` makes an encrypted copy", "change the passphrases of %s: it is not encrypted", found.Location)
	case request.Add == "" && !request.Remove:
		return answer, problem.New(api.KindInvalid, "", "change the passphrases of %s: nothing is to be added or removed", found.Location)
	case request.Add == request.Passphrase:
		return answer, problem.New(api.KindInvalid, "", "change the passphrases of %s: the new passphrase is the old one", found.Location)
	}
	change, err := s.m.planRekeying(ctx, of, header, request)
	if err != nil {
		return answer, fmt.Errorf("change the passphrases of %s: %w", found.Location, err)
	}
	if err := s.m.carryOutRekeying(ctx, change); err != nil {
		return answer, fmt.Errorf("change the passphrases of %s: %w", found.Location, err)
	}
	for _, ref := range change.refs {
		answer.Images = append(answer.Images, ref.Path)
	}
	answer.Passphrases, err = media.Passphrases(of)
	return answer, err
}

// rekeying is a change of the passphrases of a medium, and of all images that have its key.
//
//	claimed ─► the new one opens all ─► running QEMUs have it ─► the old one opens none ─► released
//
// Cut off anywhere, it can be done again, and each image opens by one of the two until then.
type rekeying struct {
	path    string
	refs    []media.Ref
	request api.MediumPassphraseRequest
	uses    []keyUse
}

// keyUse is a machine that uses images of the key.
type keyUse struct {
	object inventory.Object
	drives []string // in which they are
}

// planRekeying finds out which images have a medium's key, also where a change of their passphrases was cut off: itself,
// what was made above it, and what it was made above; and which machines use them.
func (m *Manager) planRekeying(ctx context.Context, of media.Ref, header []byte, request api.MediumPassphraseRequest) (change rekeying, err error) {
	objects, _, err := m.inv.All(ctx)
	if err != nil {
		return change, err
	}
	change = rekeying{path: of.Path, refs: []media.Ref{of}, request: request}
	known := map[string]bool{of.Path: true}
	for _, object := range objects {
		use := keyUse{object: object}
		for _, image := range m.imagesUsed(object) {
			same := image.Path == of.Path
			if !same {
				other, err := media.Header(image.Ref)
				same = err == nil && luks.SameKey(other, header)
			}
			if !same {
				continue
			}
			if !slices.Contains(use.drives, image.drive) {
				use.drives = append(use.drives, image.drive)
			}
			if !known[image.Path] {
				known[image.Path] = true
				change.refs = append(change.refs, image.Ref)
			}
		}
		if len(use.drives) == 0 {
			continue
		}
		if err := rekeyable(object, request); err != nil {
			return change, err
		}
		change.uses = append(change.uses, use)
	}
	return change, nil
}

// rekeyable refuses a machine that a task is at work on, or that could not open its disks' images any more.
func rekeyable(object inventory.Object, request api.MediumPassphraseRequest) error {
	status, name := object.Value.Status, object.Value.Spec.Name
	settled := slices.Contains([]api.State{api.StateOff, api.StateSaved, api.StateRunning, api.StatePaused}, status.State)
	switch {
	case status.Task != "":
		return problem.New(api.KindBusy, "wait for it (panal task wait "+status.Task+"), or cancel it", "machine %s uses it, and task %s is at work on that", name, status.Task)
	case !settled:
		return problem.New(api.KindBusy, "wait until it is started or off", "machine %s uses it, and is %s", name, status.State)
	case request.Add == "" && (status.State == api.StateRunning || status.State == api.StatePaused):
		return problem.New(api.KindBusy, "give a new one for it, or shut the machine down first",
			"machine %s is %s, and may have been started with the passphrase that is to go", name, status.State)
	}
	return nil
}

// carryOutRekeying changes the passphrases, by a task that has claimed all machines that use them.
func (m *Manager) carryOutRekeying(ctx context.Context, change rekeying) error {
	order := task.Order{ID: task.NewID(), Kind: "medium.passphrase", Name: filepath.Base(change.path)}
	for _, use := range change.uses {
		if err := m.claimAlso(ctx, &order, use.object); err != nil {
			return err
		}
	}
	begun, err := m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		return m.rekey(ctx, r, change)
	})
	if isConflict(err) {
		return problem.New(api.KindConflict, "try again", "a machine that uses it was changed meanwhile")
	}
	if err != nil {
		return err
	}
	return m.outcome(ctx, begun.ID)
}

// rekey changes the passphrases, in the images, in the QEMUs that run, and in what was given to the daemon.
func (m *Manager) rekey(ctx context.Context, r *task.Run, change rekeying) error {
	if err := fault.At(ctx, "rekey.begun"); err != nil {
		return err
	}
	given := media.Rekeying{Given: []byte(change.request.Passphrase), Step: func(done string) error {
		if done == media.RekeyedAdded && change.request.Remove {
			if err := m.tellQEMU(ctx, change); err != nil {
				return err
			}
		}
		return fault.At(ctx, "rekey."+done)
	}}
	if change.request.Add != "" {
		given.Add = []byte(change.request.Add)
	}
	if change.request.Remove {
		given.Remove = given.Given
	}
	if err := media.Rekey(change.refs, given); err != nil {
		return err
	}
	if change.request.Remove && change.request.Add != "" {
		m.keepInstead(change)
	}
	objects := make([]inventory.Object, len(change.uses))
	for i, use := range change.uses {
		objects[i] = use.object
	}
	return m.release(ctx, r, objects)
}

// tellQEMU gives the new passphrase to the QEMUs that run, which open images by it that come above these.
func (m *Manager) tellQEMU(ctx context.Context, change rekeying) error {
	for _, use := range change.uses {
		run := m.running(use.object.Key)
		if run == nil {
			continue
		}
		for _, drive := range use.drives {
			if err := run.ChangeKey(ctx, drive, []byte(change.request.Add)); err != nil {
				return fmt.Errorf("machine %s: %w", use.object.Value.Spec.Name, err)
			}
		}
	}
	return nil
}

// keepInstead keeps the new passphrase where the old one was given.
func (m *Manager) keepInstead(change rekeying) {
	for _, use := range change.uses {
		for _, drive := range use.drives {
			if kept := m.keys.of(use.object.Key, drive); kept != nil && string(kept.text) == change.request.Passphrase {
				m.keys.give(use.object.Key, drive, newPassphrase([]byte(change.request.Add)))
			}
		}
	}
}

// usedImage is an image in a drive of a machine.
type usedImage struct {
	media.Ref
	drive string
}

// imagesUsed are the images that a machine, and its snapshots, are of.
func (m *Manager) imagesUsed(object inventory.Object) (images []usedImage) {
	dir := m.folderOf(object)
	specs := []api.Spec{object.Value.Spec}
	for _, held := range object.Value.Snapshots {
		if spec, err := heldSpec(dir, held); err == nil {
			specs = append(specs, spec)
		}
	}
	for _, spec := range specs {
		for _, drive := range spec.Drives {
			if machine.IsRemote(drive.Source) {
				continue
			}
			if difference := dir.Path(differenceOf(drive)); machine.Differs(drive) {
				if _, err := os.Lstat(difference); err == nil {
					images = append(images, usedImage{media.Ref{Path: difference, Format: "qcow2"}, drive.Name})
				}
			}
			for _, ref := range media.StackOf(drive, ownImage(dir, drive)) {
				chain, err := media.Layers(ref)
				if err != nil {
					continue
				}
				for _, image := range chain {
					images = append(images, usedImage{media.Ref{Path: image.Path, Format: image.Format}, drive.Name})
				}
			}
		}
	}
	return images
}

// sourceKeys opens what is to be copied: by the passphrase of a request, else by that of the
// drive that it is in.
type sourceKeys struct {
	given *passphrase
	drive disk.Keys // nil for none
}

// Unlock finds the master key of a header.
func (k sourceKeys) Unlock(header []byte) (disk.Cipher, error) {
	switch {
	case k.given != nil:
		return k.given.keys.Unlock(header)
	case k.drive != nil:
		return k.drive.Unlock(header)
	}
	return nil, disk.ErrLocked
}

// sealOf is how an image is to be encrypted that is asked for.
func sealOf(request api.MakeMediumRequest, format string) (*media.Seal, error) {
	switch {
	case !request.Encrypt && request.Passphrase == "":
		return nil, nil
	case !request.Encrypt:
		return nil, problem.New(api.KindInvalid, "add encrypt", "a passphrase was given for an image that is not to be encrypted")
	case request.Passphrase == "":
		return nil, problem.New(api.KindLocked, "give it with --passphrase-file or --key-command", "the passphrase that it is to be encrypted with was not given")
	case format != "qcow2":
		return nil, problem.New(api.KindUnsupported, "choose qcow2", "an image of format %s cannot be encrypted", format)
	}
	return media.NewSeal([]byte(request.Passphrase))
}
