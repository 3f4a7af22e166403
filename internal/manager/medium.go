package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/medium"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// mediaPrefix is where the registry's records are in the store.
const mediaPrefix = "media/"

// Media is the registry of media.
type Media struct{ m *Manager }

// Media is the manager's registry of media.
func (m *Manager) Media() *Media { return &Media{m} }

func (s *Media) records() *state.Collection[medium.Record] {
	return state.NewCollection[medium.Record](s.m.Store, mediaPrefix)
}

// List is all media, by their locations.
func (s *Media) List(ctx context.Context) (api.MediumList, error) {
	records, machines, err := s.world(ctx)
	if err != nil {
		return api.MediumList{}, err
	}
	facts := map[string]medium.Facts{}
	formats := formatsOf(records, machines)
	for _, path := range medium.Paths(records, machines) {
		if ctx.Err() != nil {
			return api.MediumList{}, context.Cause(ctx)
		}
		facts[path] = lookAtFile(media.Ref{Path: path, Format: formats[path]})
	}
	return api.MediumList{Media: medium.View(records, machines, facts)}, nil
}

// world is what the store knows of media.
func (s *Media) world(ctx context.Context) ([]medium.Record, []medium.Machine, error) {
	stored, _, err := s.records().List(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return nil, nil, err
	}
	var records []medium.Record
	for _, object := range stored {
		records = append(records, object.Value)
	}
	objects, _, err := s.m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return nil, nil, err
	}
	var machines []medium.Machine
	for _, object := range objects {
		machines = append(machines, s.m.mediaOf(object))
	}
	return records, machines, nil
}

func (m *Manager) mediaOf(object inventory.Object) medium.Machine {
	about := medium.Machine{
		Folder: object.Value.Folder, State: object.Value.Status.State, Spec: object.Value.Spec, Snapshots: map[string]api.Spec{},
	}
	for _, held := range object.Value.Snapshots {
		if spec, err := heldSpec(m.folderOf(object), held); err == nil {
			about.Snapshots[held.Name] = spec
		}
	}
	return about
}

// formatsOf are the formats that are known of images: what is in a raw one may
// look like another.
func formatsOf(records []medium.Record, machines []medium.Machine) map[string]string {
	formats := map[string]string{}
	for _, m := range machines {
		for _, drive := range m.Spec.Drives {
			if drive.Source != "" && drive.Mode != api.Own {
				formats[medium.Location(drive.Source)] = drive.Format
			}
			if drive.File != "" {
				formats[filepath.Join(m.Folder, drive.File)] = media.LayerFormat(drive.File)
			}
		}
	}
	for _, record := range records {
		if record.Format == "raw" {
			formats[record.Path] = record.Format
		}
	}
	return formats
}

// lookAtFile finds out what is in a file.
func lookAtFile(ref media.Ref) medium.Facts {
	if machine.IsRemote(ref.Path) {
		return medium.Facts{Format: "raw", Kind: api.Disk} // how large it is only its server knows
	}
	described, err := media.DescribeFile(ref)
	if err != nil {
		return medium.Facts{Problem: strings.TrimPrefix(problem.Of(err).Detail, "image "+ref.Path+": ")}
	}
	info := described.Info
	return medium.Facts{
		Format: info.Format, Size: api.Size(info.Size), Actual: api.Size(info.Allocated), Carried: info.UUID,
		Parent: described.Parent, Encrypted: info.Encrypted, Kind: described.Kind,
	}
}

// Get is one medium, by its UUID, a unique prefix of that, or its path.
func (s *Media) Get(ctx context.Context, ref string) (api.Medium, error) {
	list, err := s.List(ctx)
	if err != nil {
		return api.Medium{}, err
	}
	var found []api.Medium
	for _, m := range list.Media {
		if m.UUID == ref || m.Location == medium.Location(ref) {
			return m, nil
		}
		if ref != "" && strings.HasPrefix(m.UUID, ref) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.Medium{}, problem.New(api.KindNotFound, "`panal medium list` shows them, and `panal medium add` makes a file known", "there is no medium %q", ref)
	}
	return api.Medium{}, problem.New(api.KindAmbiguous, "give more of it", "%d media have a UUID that begins with %q", len(found), ref)
}

// Add makes a file known.
func (s *Media) Add(ctx context.Context, request api.AddMediumRequest) (api.Medium, error) {
	if !filepath.IsAbs(request.Path) {
		return api.Medium{}, problem.New(api.KindInvalid, "", "add %s: the path must be absolute", request.Path)
	}
	record, err := newRecord(filepath.Clean(request.Path), request.Format, request.Description)
	if err != nil {
		return api.Medium{}, fmt.Errorf("add %s: %w", request.Path, err)
	}
	if record.Carried != "" && !request.NewUUID {
		record.UUID = record.Carried
	}
	if err := s.unknown(ctx, record, request.NewUUID); err != nil {
		return api.Medium{}, err
	}
	if _, err := s.records().Create(ctx, record.UUID, record); err != nil {
		return api.Medium{}, err
	}
	return s.Get(ctx, record.UUID)
}

// unknown checks that neither a file nor its UUID is known.
func (s *Media) unknown(ctx context.Context, record medium.Record, newUUID bool) error {
	stored, _, err := s.records().List(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return err
	}
	for _, object := range stored {
		switch known := object.Value; {
		case known.Path == record.Path:
			return problem.New(api.KindExists, "", "add %s: it is known already, as %s", record.Path, known.UUID)
		case known.UUID == record.UUID || known.Carried != "" && known.Carried == record.Carried && !newUUID:
			return problem.New(api.KindExists, "--new-uuid knows it by another one; `panal medium remove` forgets the other",
				"add %s: it carries the UUID %s, as %s does, which is known: one is a copy of the other", record.Path, known.UUID, known.Path)
		}
	}
	return nil
}

// Remove forgets a medium that nothing uses, and removes its file if that is
// wanted.
func (s *Media) Remove(ctx context.Context, ref string, request api.RemoveMediumRequest) (api.Medium, error) {
	found, err := s.Get(ctx, ref)
	if err != nil {
		return found, err
	}
	if err := idle("remove", found, request.DeleteFile); err != nil {
		return found, err
	}
	if err := s.records().Delete(ctx, found.UUID, 0); err != nil || !request.DeleteFile {
		return found, err
	}
	if err := media.Remove(found.Location); err != nil {
		return found, fmt.Errorf("remove %s: it is forgotten, but its file cannot be removed: %w", found.Location, err)
	}
	return found, nil
}

// idle checks that nothing uses a medium, nor stands on it.
func idle(what string, m api.Medium, file bool) error {
	var names []string
	for _, user := range m.Users {
		names = append(names, user.Name)
	}
	if len(names) > 0 {
		return problem.New(api.KindBusy, "`panal medium release` takes it out of them",
			"%s %s: it is used by %s", what, m.Location, strings.Join(unique(names), ", "))
	}
	if file && len(m.Children) > 0 {
		return problem.New(api.KindBusy, "remove those first", "%s %s: other media are differences to it: %s", what, m.Location, strings.Join(m.Children, ", "))
	}
	return nil
}

// here refuses to work on what another program serves: its content is the guest's alone, and its size its server's.
func here(m api.Medium) error {
	if machine.IsRemote(m.Location) {
		return problem.New(api.KindUnsupported, "do it where it is served", "another program serves it")
	}
	return nil
}
