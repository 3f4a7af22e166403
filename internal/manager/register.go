package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
)

// Register makes the machine of a folder known; for a machine that is known
// and whose file was edited, it takes the edit in or throws it away.
func (m *Manager) Register(ctx context.Context, request api.RegisterRequest) (api.Machine, error) {
	dir := folder.Folder(filepath.Clean(request.Folder))
	if !filepath.IsAbs(string(dir)) {
		return api.Machine{}, problem.New(api.KindInvalid, "", "register %s: the path must be absolute", dir)
	}
	if known, found, err := m.atFolder(ctx, dir); err != nil {
		return api.Machine{}, err
	} else if found {
		if name := known.Value.Spec.Name; request.NewUUID || request.Name != "" && request.Name != name {
			return api.Machine{}, problem.New(api.KindExists, "copy it for another machine; `panal rename` gives this one another name",
				"register %s: it is the folder of machine %s already", dir, name)
		}
		return m.settleEdit(ctx, known, request.Discard)
	}
	doc, digest, err := dir.Read()
	if err != nil {
		return api.Machine{}, problem.New(api.KindUnreadable, "", "register %s: %s", dir, err)
	}
	spec := doc.Spec
	if request.Name != "" {
		spec.Name = request.Name
	}
	if request.NewUUID {
		spec = m.renewed(spec)
	}
	spec, dropped := withoutCommands(spec)
	if wrong := append(machine.Validate(spec), ownFiles(spec)...); len(wrong) > 0 {
		return api.Machine{}, problem.Invalid(wrong, "register %s: its spec is not valid", dir)
	}
	if err := contained(dir, spec); err != nil {
		return api.Machine{}, fmt.Errorf("register %s: %w", dir, err)
	}
	if err := wholeTree(dir, doc); err != nil {
		return api.Machine{}, problem.New(api.KindUnreadable, "", "register %s: its snapshots: %s", dir, err)
	}
	if err := recognised(spec); err != nil {
		return api.Machine{}, fmt.Errorf("register %s: %w", dir, err)
	}
	if err := unwrittenFiles(ctx, dir, spec); err != nil {
		return api.Machine{}, fmt.Errorf("register %s: %w", dir, err)
	}
	if err := m.newcomer(ctx, dir, spec); err != nil {
		return api.Machine{}, err
	}
	held, err := withSources(dir, doc.Snapshots)
	if err != nil {
		return api.Machine{}, fmt.Errorf("register %s: %w", dir, err)
	}
	record := inventory.Record{Machine: api.Machine{
		Folder: string(dir), Created: doc.Created, Spec: spec, Snapshots: held, Snapshot: doc.Snapshot,
	}, Digest: digest}
	m.enter(&record, stateOnDisk(dir))
	record.Status.Warnings = append(outside(spec), dropped...)
	return m.register(ctx, dir, record)
}

func (m *Manager) register(ctx context.Context, dir folder.Folder, record inventory.Record) (api.Machine, error) {
	if record.Created.IsZero() {
		record.Created = time.Now().UTC()
	}
	noteBases(&record, api.Spec{})
	// As soon as the record is stored others put the document in place, too: a schedule may be due.
	defer m.documents.hold(dir)()
	var err error
	if record.Digest, err = dir.Prepare(documentOf(record)); err != nil {
		return api.Machine{}, fmt.Errorf("register %s: %w", dir, err)
	}
	ops, err := m.inv.CreateOps(record)
	if err != nil {
		return api.Machine{}, err
	}
	if err := fault.At(ctx, "register.prepared"); err != nil {
		return api.Machine{}, errors.Join(err, dir.Settle("")) // what was prepared goes
	}
	if _, err := m.Store.Commit(ctx, ops...); err != nil {
		return api.Machine{}, errors.Join(inventory.Explain(err, record.Spec), dir.Settle(""))
	}
	_ = fault.At(ctx, "register.committed") // what was asked for is done
	if err := dir.Settle(record.Digest); err != nil {
		return api.Machine{}, fmt.Errorf("register %s: %w", dir, err)
	}
	return m.Get(ctx, record.Spec.UUID)
}

// withoutCommands takes key commands out of a spec that may come from anywhere: the daemon would run
// them as itself. It says which.
func withoutCommands(spec api.Spec) (api.Spec, []string) {
	var dropped []string
	spec = machine.Clone(spec)
	for i := range spec.Drives {
		if drive := &spec.Drives[i]; drive.KeyCommand != "" {
			dropped = append(dropped, fmt.Sprintf("drive %s had the key command %q, which is not run for a folder from elsewhere; set keyCommand again if it is yours", drive.Name, drive.KeyCommand))
			drive.KeyCommand = ""
		}
	}
	return spec, dropped
}

// renewed is a spec for a machine of its own: with another UUID, and the MAC
// addresses that go with it.
func (m *Manager) renewed(spec api.Spec) api.Spec {
	spec = machine.Clone(spec)
	spec.UUID = uuid.NewString()
	for i := range spec.Adapters {
		spec.Adapters[i].MAC = ""
	}
	return machine.Complete(spec, m.defaults())
}

// newcomer checks that a folder's machine is not known yet. One whose UUID is
// known is a copy of the machine that has it, or that machine, moved by hand.
func (m *Manager) newcomer(ctx context.Context, dir folder.Folder, spec api.Spec) error {
	known, err := m.inv.Get(ctx, spec.UUID)
	if err != nil {
		if problem.Of(err).Kind != api.KindNotFound {
			return err
		}
		return m.nameFree(ctx, dir, spec)
	}
	name := known.Value.Spec.Name
	if _, err := os.Lstat(known.Value.Folder); errors.Is(err, fs.ErrNotExist) {
		return problem.New(api.KindExists, fmt.Sprintf("`panal unregister %s` first, if it was moved here", name),
			"register %s: it is machine %s (%s), whose folder %s is gone", dir, name, spec.UUID, known.Value.Folder)
	}
	return problem.New(api.KindExists, "--new-uuid makes a machine of its own of it; give it a --name, too",
		"register %s: it is a copy of machine %s: both have the UUID %s, and that one is in %s", dir, name, spec.UUID, known.Value.Folder)
}

func (m *Manager) nameFree(ctx context.Context, dir folder.Folder, spec api.Spec) error {
	taken, _, err := m.inv.List(ctx, func(s *api.Summary) bool { return s.Name == spec.Name })
	if err != nil || len(taken) == 0 {
		return err
	}
	return problem.New(api.KindExists, "give it another --name", "register %s: there is a machine named %q already", dir, spec.Name)
}

// recognised checks that what a spec from a folder names outside of it is images
// that are known for ones by their content, whatever format the spec gives them:
// else the host's other files could be shown to a guest by calling them disks.
func recognised(spec api.Spec) error {
	for _, drive := range spec.Drives {
		refs := media.StackOf(drive, "")
		if drive.Mode == api.Own {
			continue
		}
		for i, ref := range refs {
			if ref.Format == "raw" {
				ref.Format = ""
			}
			if err := media.Recognise(ref, i+1 < len(refs)); err != nil {
				return fmt.Errorf("drive %s: %w", drive.Name, err)
			}
		}
	}
	return nil
}

// outside says what a machine stands on that is not in its folder.
func outside(spec api.Spec) []string {
	var warnings []string
	for _, drive := range spec.Drives {
		if drive.Source != "" && drive.Mode != api.Own {
			warnings = append(warnings, fmt.Sprintf("drive %s uses %s, which is not in the machine's folder", drive.Name, drive.Source))
		}
	}
	if spec.Kernel != nil {
		warnings = append(warnings, fmt.Sprintf("it boots the kernel %s, which is not in the machine's folder", spec.Kernel.Image))
	}
	return warnings
}
