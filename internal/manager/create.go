package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// Create begins to make a machine. Whatever can be known to be wrong is said
// at once, before there is a task.
func (m *Manager) Create(ctx context.Context, request api.CreateRequest) (api.Task, error) {
	spec, err := m.plan(ctx, request)
	if err != nil {
		return api.Task{}, err
	}
	if err := m.unknown(ctx, spec); err != nil {
		return api.Task{}, err
	}
	dir, err := m.freeFolder(ctx, spec, request.Pool)
	if err != nil {
		return api.Task{}, err
	}
	if err := m.takeKey(spec, "", request.Passphrase); err != nil {
		return api.Task{}, fmt.Errorf("create %s: %w", spec.Name, err)
	}
	record := inventory.Record{Machine: api.Machine{Folder: string(dir), Created: time.Now().UTC(), Spec: spec}}
	m.enter(&record, api.StateOff)
	order := task.Order{
		Kind: "machine.create", Machine: spec.UUID, Name: spec.Name,
		Journal: []task.Undo{task.NewUndo("unmake", made{spec.UUID, string(dir)})},
	}
	return m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := m.create(ctx, r, record); err != nil {
			m.keys.forget(spec.UUID)
			return fmt.Errorf("create %s: %w", spec.Name, m.orAway(ctx, string(dir), err))
		}
		return nil
	})
}

// plan makes the complete spec of a request: images are looked at, what was
// left out is guessed, and everything that is wrong is said together.
func (m *Manager) plan(ctx context.Context, request api.CreateRequest) (api.Spec, error) {
	spec := request.Spec
	for _, disk := range request.Disks {
		spec.Drives = append(spec.Drives, api.Drive{
			Source: disk.Path, Mode: disk.Mode, Format: disk.Format, Snapshot: disk.Snapshot,
			WriteMode: disk.WriteMode, AutoReset: disk.AutoReset,
		})
	}
	spec, wrong := machine.Assign(spec, request.Set)
	guessed, err := lookAtDrives(&spec, nil)
	if err != nil {
		return spec, err
	}
	if spec.Firmware.Type == "" && !spec.Firmware.SecureBoot {
		spec.Firmware.Type = guessed
	}
	if spec.UUID == "" {
		spec.UUID = uuid.NewString()
	}
	if spec.Name == "" {
		if spec.Name, err = m.guessName(ctx, spec); err != nil {
			return spec, err
		}
	}
	spec = machine.Complete(spec, m.defaults())
	if request.Encrypt {
		if err := encryptAll(&spec); err != nil {
			return spec, fmt.Errorf("create %s: %w", spec.Name, err)
		}
	}
	wrong = append(wrong, machine.Validate(spec)...)
	if len(wrong) > 0 {
		return spec, problem.Invalid(wrong, "create %s: the spec is not valid", spec.Name)
	}
	return spec, nil
}

// unknown checks that a machine's name and UUID are free. The commit checks it
// again; this is to fail before anything is done.
func (m *Manager) unknown(ctx context.Context, spec api.Spec) error {
	summaries, _, err := m.inv.List(ctx, func(s *api.Summary) bool {
		return s.Name == spec.Name || s.UUID == spec.UUID
	})
	if err != nil || len(summaries) == 0 {
		return err
	}
	if summaries[0].Name == spec.Name {
		return problem.New(api.KindExists, "choose another name, or `panal delete` the other one",
			"create %s: there is a machine of that name already", spec.Name)
	}
	return problem.New(api.KindExists, "leave the UUID out to get a new one",
		"create %s: the machine %s has the UUID %s already", spec.Name, summaries[0].Name, spec.UUID)
}

// guessName names a machine after its first image.
func (m *Manager) guessName(ctx context.Context, spec api.Spec) (string, error) {
	base := "machine"
	for _, drive := range spec.Drives {
		if drive.Source != "" {
			base = strings.TrimSuffix(filepath.Base(drive.Source), filepath.Ext(drive.Source))
			break
		}
	}
	base = strings.Trim(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-+", r) {
			return r
		}
		return '-'
	}, base), ".-+")
	if runes := []rune(base); len(runes) > 48 {
		base = string(runes[:48])
	}
	if base == "" {
		base = "machine"
	}
	taken := map[string]bool{}
	if _, _, err := m.inv.List(ctx, func(s *api.Summary) bool { taken[s.Name] = true; return false }); err != nil {
		return "", err
	}
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name, nil
}

// freeFolder is where a new machine's folder goes: into a pool, under its name, unless that
// is taken by a machine that was renamed, or by somebody else's files.
func (m *Manager) freeFolder(ctx context.Context, spec api.Spec, pool string) (folder.Folder, error) {
	dir, err := m.Pools().directory(ctx, pool)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", spec.Name, err)
	}
	for _, name := range []string{spec.Name, spec.Name + "-" + spec.UUID[:8], spec.Name + "-" + spec.UUID} {
		path := filepath.Join(dir, name)
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return folder.Folder(path), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", problem.New(api.KindExists, "move it away", "create %s: there is a folder of that name already", spec.Name)
}

// create makes the machine's folder under a name that nobody else uses, moves
// it to its place, and then, in one commit, makes the machine known.
func (m *Manager) create(ctx context.Context, r *task.Run, record inventory.Record) error {
	staging := stagingOf(&record)
	r.Step("making the folder")
	if err := fault.At(ctx, "create.begun"); err != nil {
		return err
	}
	if err := staging.Make(); err != nil {
		return err
	}
	if err := fault.At(ctx, "create.folder-made"); err != nil {
		return err
	}
	leftovers, err := m.makeDrives(ctx, r, staging, &record)
	if err != nil {
		return err
	}
	noteBases(&record, api.Spec{})
	if record.Digest, err = staging.Prepare(documentOf(record)); err != nil {
		return err
	}
	if err := staging.Settle(record.Digest); err != nil {
		return err
	}
	if err := fault.At(ctx, "create.spec-written"); err != nil {
		return err
	}
	if err := m.place(ctx, record); err != nil {
		return err
	}
	if err := fault.At(ctx, "create.in-place"); err != nil {
		return err
	}
	ops, err := m.inv.CreateOps(record)
	if err != nil {
		return err
	}
	if err := r.End(ctx, ops...); err != nil {
		return inventory.Explain(err, record.Spec)
	}
	// What was asked for is done: here only a kill could still come between.
	_ = fault.At(ctx, "create.committed")
	m.removeLeftovers(leftovers)
	return nil
}

// place moves a finished machine's folder to where it belongs.
func (m *Manager) place(ctx context.Context, record inventory.Record) error {
	made := stagingOf(&record)
	if err := m.poolThere(ctx, made); err != nil {
		return err
	}
	if err := allMade(made, record); err != nil {
		return err
	}
	err := made.MoveTo(folder.Folder(record.Folder))
	if errors.Is(err, fs.ErrExist) {
		return problem.New(api.KindExists, "choose another name", "there is a machine or a folder of that name already")
	}
	return err
}

// staging is where a machine is made, and where its files are moved
// back to: beside the place that it is for. The name is the machine's alone and no machine's name begins so.
func staging(uuid, final string) folder.Folder {
	return folder.Folder(filepath.Join(filepath.Dir(final), ".new-"+uuid))
}

// stagingOf is where the machine of a record is made.
func stagingOf(record *inventory.Record) folder.Folder {
	return staging(record.Spec.UUID, record.Folder)
}

// made is the arguments of the undo step "unmake".
type made struct {
	UUID   string `json:"uuid"`
	Folder string `json:"folder"`
}

// unmake undoes create: it removes the folder at either place. At the final
// one only if it holds this very machine, because the place may have been
// somebody else's all along.
func (m *Manager) unmake(ctx context.Context, step made) error {
	final := folder.Folder(step.Folder)
	if doc, _, err := final.Read(); err == nil && doc.Spec.UUID == step.UUID {
		if err := final.Remove(); err != nil {
			return err
		}
	}
	return m.removeStaging(ctx, step.UUID, step.Folder)
}

// documentOf is the machine.json of a record.
func documentOf(record inventory.Record) folder.Document {
	return folder.Document{Created: record.Created, Spec: record.Spec, Snapshots: record.Snapshots, Snapshot: record.Snapshot}
}
