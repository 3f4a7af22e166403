package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/medium"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// mediaDir is where the registry makes images that are to be nowhere else.
func (m *Manager) mediaDir() string { return filepath.Join(m.Data, "media") }

// newRecord describes a file for the registry.
func newRecord(path, format, description string) (medium.Record, error) {
	described, err := media.DescribeFile(media.Ref{Path: path, Format: format})
	if err != nil {
		return medium.Record{}, err
	}
	info := described.Info
	return medium.Record{
		UUID: uuid.NewString(), Path: path, Kind: described.Kind, Format: info.Format, Description: description,
		Created: time.Now().UTC(), Carried: info.UUID, Size: api.Size(info.Size),
	}, nil
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// madeImage is the arguments of the undo step "unmake-medium".
type madeImage struct {
	Path string `json:"path"`
}

// unmakeMedium removes an image that was being made.
func (m *Manager) unmakeMedium(step madeImage) error {
	return media.Remove(step.Path)
}

// Make begins to make an image, empty or a copy of another, and to make it
// known.
func (s *Media) Make(ctx context.Context, request api.MakeMediumRequest) (api.Task, error) {
	var from api.Medium
	var err error
	if request.Source != "" {
		if from, err = s.source(ctx, request.Source); err != nil {
			return api.Task{}, err
		}
	} else if request.Size <= 0 || request.Size%512 != 0 {
		return api.Task{}, problem.New(api.KindInvalid, "", "create a medium: its size must be given, a multiple of 512 bytes")
	}
	if err := media.KnownFormat(media.Ref{Path: request.Path, Format: request.Format}); err != nil {
		return api.Task{}, fmt.Errorf("make a medium: %w", err)
	}
	path, release, err := s.placeFor(ctx, request, from)
	if err != nil {
		return api.Task{}, err
	}
	order := task.Order{Kind: "medium.make", Name: filepath.Base(path), Journal: []task.Undo{task.NewUndo("unmake-medium", madeImage{path})}}
	begun, err := s.m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := s.make(ctx, r, request, from, path); err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
		return nil
	})
	s.releaseAfter(begun, err, release)
	return begun, err
}

// source is what is to be copied: a medium, or a file that is none.
func (s *Media) source(ctx context.Context, ref string) (api.Medium, error) {
	found, err := s.Get(ctx, ref)
	if err != nil && problem.Of(err).Kind == api.KindNotFound && filepath.IsAbs(ref) {
		described, err := media.DescribeFile(media.Ref{Path: ref})
		return api.Medium{Location: filepath.Clean(ref), Format: described.Info.Format, Kind: described.Kind}, err
	}
	switch {
	case err != nil:
	case here(found) != nil:
		err = fmt.Errorf("copy %s: %w", found.Location, here(found))
	case found.Problem != "":
		err = problem.New(api.KindUnreadable, "", "copy %s: %s", found.Location, found.Problem)
	}
	return found, err
}

func (s *Media) make(ctx context.Context, r *task.Run, request api.MakeMediumRequest, from api.Medium, path string) (err error) {
	if err := fault.At(ctx, "medium.begun"); err != nil {
		return err
	}
	format := media.FormatFor(path, request.Format)
	seal, err := sealOf(request, format)
	if err != nil {
		return err
	}
	room, err := roomOf(request)
	if err != nil {
		return err
	}
	o := media.MakeOptions{Format: format, Size: int64(request.Size), Room: room, Seal: seal}
	if from.Location == "" {
		err = media.Make(ctx, path, o)
	} else {
		var img disk.Image
		var keys sourceKeys
		if request.SourcePassphrase != "" {
			keys.given = newPassphrase([]byte(request.SourcePassphrase))
		}
		if img, err = s.openWhole(ctx, from, keys); err != nil {
			return err
		}
		o.From = img
		o.Report = func(done, total int64) {
			r.Report(api.Progress{Step: "copying", Done: done, Total: total, Unit: "bytes"})
		}
		err = errors.Join(media.Make(ctx, path, o), img.Close())
	}
	if err != nil {
		return err
	}
	if err := fault.At(ctx, "medium.made"); err != nil {
		return err
	}
	record, err := newRecord(path, "", request.Description)
	if format == "raw" {
		record, err = newRecord(path, "raw", request.Description)
	}
	if err != nil {
		return err
	}
	if record.Carried != "" {
		record.UUID = record.Carried
	}
	if request.Kind != "" {
		record.Kind = request.Kind
	}
	op, err := s.records().CreateOp(record.UUID, record)
	if err != nil {
		return err
	}
	return r.End(ctx, op)
}

// roomOf is how much of its room an image that is asked for is to take up beforehand.
func roomOf(request api.MakeMediumRequest) (media.Room, error) {
	switch room := request.Preallocation; {
	case !request.Fixed:
		return room, nil
	case room == "":
		return api.Falloc, nil
	case room == api.PreallocateNothing:
		return room, problem.New(api.KindInvalid, "", "an image that is fixed takes up its room: leave out either fixed or preallocation=off")
	default:
		return room, nil
	}
}

// openWhole opens what a medium holds with all that it stands on: as a drive
// does that it is in, else by what it says itself.
func (s *Media) openWhole(ctx context.Context, from api.Medium, keys sourceKeys) (disk.Image, error) {
	for _, user := range from.Users {
		if user.Base || user.Held != "" {
			continue
		}
		object, err := s.m.inv.Get(ctx, user.Machine)
		if err != nil {
			return nil, err
		}
		if drive := driveNamed(object.Value.Spec.Drives, user.Drive); drive != nil && ownImage(s.m.folderOf(object), *drive) == from.Location {
			keys.drive = s.m.driveKeys(object.Key, *drive)
			return media.OpenDrive(*drive, from.Location, keys)
		}
	}
	img, _, err := media.OpenImage(media.Ref{Path: from.Location, Format: from.Format}, media.OpenOptions{Locked: true, Keys: keys})
	return img, err
}

// Release takes a medium out of all drives that it is in.
func (s *Media) Release(ctx context.Context, ref string) (api.Medium, error) {
	found, err := s.Get(ctx, ref)
	if err != nil {
		return found, err
	}
	for _, user := range found.Users {
		if user.Held != "" {
			return found, problem.New(api.KindBusy, "delete the snapshot first", "release %s: snapshot %s of %s holds it", found.Location, user.Held, user.Name)
		}
	}
	for _, user := range found.Users {
		if err := s.releaseFrom(ctx, user, found.Kind); err != nil {
			return found, fmt.Errorf("release %s: %w", found.Location, err)
		}
	}
	again, err := s.Get(ctx, found.Location)
	if err != nil && problem.Of(err).Kind == api.KindNotFound {
		found.Users = nil
		return found, nil // known only because of those
	}
	return again, err
}

// releaseFrom takes a medium out of one drive: as detach and eject do where the machine runs.
func (s *Media) releaseFrom(ctx context.Context, user api.MediumUse, kind api.DriveKind) (err error) {
	var begun api.Task
	switch running := s.m.running(user.Machine) != nil; {
	case running && kind == api.Disk:
		begun, err = s.m.Detach(ctx, user.Machine, api.DetachRequest{Drive: user.Drive})
	case running:
		begun, err = s.m.Eject(ctx, user.Machine, api.EjectRequest{Drive: user.Drive})
	case kind == api.Disk:
		_, err = s.m.Change(ctx, user.Machine, api.ChangeRequest{Set: []string{"drives." + user.Drive + "=none"}})
		return err
	default:
		_, err = s.m.Change(ctx, user.Machine, api.ChangeRequest{Set: []string{"drives." + user.Drive + ".source="}})
		return err
	}
	if err != nil {
		return err
	}
	return s.m.outcome(ctx, begun.ID)
}

// Change changes what people say about a medium, and its size.
func (s *Media) Change(ctx context.Context, ref string, request api.ChangeMediumRequest) (api.Medium, error) {
	found, err := s.Get(ctx, ref)
	if err != nil {
		return found, err
	}
	if request.Size == 0 && request.Preallocation != "" {
		return found, problem.New(api.KindInvalid, "", "set %s: preallocation goes with a size: it is of what is added", found.Location)
	}
	if request.Size != 0 {
		if err := s.grow(ctx, found, request.Size, request.Preallocation); err != nil {
			return found, fmt.Errorf("set %s: %w", found.Location, err)
		}
	}
	if request.WriteMode != "" {
		if err := s.setWriteMode(ctx, found, request.WriteMode); err != nil {
			return found, fmt.Errorf("set %s: %w", found.Location, err)
		}
	}
	if request.Description != nil {
		if err := s.describe(ctx, found, *request.Description); err != nil {
			return found, err
		}
	}
	return s.Get(ctx, found.Location)
}

// describe stores a description; a medium that was not added is then.
func (s *Media) describe(ctx context.Context, found api.Medium, text string) error {
	if found.Registered {
		_, err := s.records().Modify(ctx, found.UUID, func(r *medium.Record) error { r.Description = text; return nil })
		return err
	}
	record, err := newRecord(found.Location, found.Format, text)
	if err != nil {
		return err
	}
	record.UUID = found.UUID
	_, err = s.records().Create(ctx, record.UUID, record)
	return err
}

// grow makes a disk larger: in the running machine that writes it, or in its file.
func (s *Media) grow(ctx context.Context, found api.Medium, size api.Size, room media.Room) error {
	switch {
	case here(found) != nil:
		return here(found)
	case found.Problem != "":
		return problem.New(api.KindUnreadable, "", "%s", found.Problem)
	case size < found.Size || size%512 != 0:
		return problem.New(api.KindInvalid, "", "its size is %v; it can become larger, by whole sectors of 512 bytes, and not %v", found.Size, size)
	case len(found.Children) > 0:
		return problem.New(api.KindRefused, "", "other media are differences to it, and must not see it change")
	}
	var writers []api.MediumUse
	for _, user := range found.Users {
		if user.Base || user.Held != "" {
			return problem.New(api.KindRefused, "", "machine %s stands on it", user.Name)
		}
		writers = append(writers, user)
	}
	if len(writers) > 1 {
		return problem.New(api.KindBusy, "detach it from the others", "several machines have it attached")
	}
	if len(writers) == 0 {
		return media.Grow(media.Ref{Path: found.Location, Format: found.Format}, int64(size), room)
	}
	return s.growUsed(ctx, found, writers[0], size, room)
}

// growUsed grows a disk of a machine, and notes the size in its spec.
func (s *Media) growUsed(ctx context.Context, found api.Medium, user api.MediumUse, size api.Size, room media.Room) error {
	object, err := s.m.inv.Get(ctx, user.Machine)
	if err != nil {
		return err
	}
	if id := object.Value.Status.Task; id != "" {
		return problem.New(api.KindBusy, "wait for it (panal task wait "+id+")", "task %s is at work on %s", id, user.Name)
	}
	if object.Value.Status.State == api.StateSaved {
		return problem.New(api.KindWrongState, "start it first", "machine %s is saved, and expects the disk as it was", user.Name)
	}
	ref := media.Ref{Path: found.Location, Format: found.Format}
	if run := s.m.running(user.Machine); run != nil {
		err = growRunning(ctx, run, user.Drive, ref, int64(size), room)
	} else {
		err = media.Grow(ref, int64(size), room)
	}
	if err != nil {
		return err
	}
	_, err = s.m.changeTree(ctx, user.Machine, func(record *inventory.Record) error {
		record.Spec.Drives = slices.Clone(record.Spec.Drives)
		if drive := driveNamed(record.Spec.Drives, user.Drive); drive != nil {
			drive.Size = size
		}
		return nil
	})
	return err
}

// growRunning grows a disk under its guest. The room of one that takes up all of its is there before the disk is larger.
func growRunning(ctx context.Context, run *run, drive string, ref media.Ref, size int64, room media.Room) error {
	take := room == api.Falloc
	if room == "" {
		var err error
		if take, err = media.TakesRoom(ref); err != nil {
			return err
		}
	}
	if take {
		if err := media.TakeRoom(ref, size); err != nil {
			return err
		}
	}
	return run.Grow(ctx, drive, size)
}
