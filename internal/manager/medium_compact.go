package manager

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/guest"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/task"
)

// trimWithin bounds how long a guest may discard: the largest disks take minutes.
const trimWithin = time.Hour

// compaction is a medium that is to take up less room.
//
//	nobody runs on it    claimed ─► zeros and what nothing uses leave the file ─► released
//	a machine does       claimed ─► the guest's file systems discard, QEMU makes holes ─► released
//
// Neither changes what the disk holds, so there is nothing to undo wherever it is cut off.
type compaction struct {
	found   api.Medium
	objects []inventory.Object // the machines that it is in
	drive   *api.Drive         // in which it is; nil if in none
	run     *run               // of the machine that runs on it; nil if none does
}

// Compact begins to give back the room that a medium's content does not need.
func (s *Media) Compact(ctx context.Context, ref string) (api.Task, error) {
	found, err := s.Get(ctx, ref)
	if err != nil {
		return api.Task{}, err
	}
	begun, err := s.beginCompacting(ctx, found)
	if err != nil {
		return begun, fmt.Errorf("compact %s: %w", found.Location, err)
	}
	return begun, nil
}

func (s *Media) beginCompacting(ctx context.Context, found api.Medium) (begun api.Task, err error) {
	if err := compactable(found); err != nil {
		return begun, err
	}
	c := compaction{found: found}
	for _, user := range found.Users {
		if err := s.compactUnder(ctx, &c, user); err != nil {
			return begun, err
		}
	}
	order := task.Order{ID: task.NewID(), Kind: "medium.compact", Name: filepath.Base(found.Location)}
	for _, object := range c.objects {
		if err := s.m.claimAlso(ctx, &order, object); err != nil {
			return begun, err
		}
	}
	begun, err = s.m.tasks.Begin(ctx, order, func(ctx context.Context, r *task.Run) error {
		if err := s.compact(ctx, r, c); err != nil {
			return fmt.Errorf("compact %s: %w", found.Location, err)
		}
		return s.m.release(ctx, r, c.objects)
	})
	if isConflict(err) {
		err = problem.New(api.KindConflict, "try again", "a machine that uses it was changed meanwhile")
	}
	return begun, err
}

// compactable refuses a medium that others count on staying as it is, or that nobody can look into.
func compactable(found api.Medium) error {
	switch {
	case here(found) != nil:
		return here(found)
	case found.Problem != "":
		return problem.New(api.KindUnreadable, "", "%s", found.Problem)
	case found.Kind != api.Disk:
		return problem.New(api.KindUnsupported, "", "it is no disk")
	}
	for _, user := range found.Users {
		switch {
		case user.Held != "":
			return problem.New(api.KindRefused, "delete the snapshot first", "snapshot %s of %s holds it", user.Held, user.Name)
		case user.Base:
			return problem.New(api.KindRefused, "compact the image that the machine writes: `panal medium tree` shows it", "machine %s stands on it, and does not write it", user.Name)
		}
	}
	if len(found.Children) > 0 {
		return problem.New(api.KindRefused, "compact those, or delete them first", "other media are differences to it, and must not see it change")
	}
	return nil
}

// compactUnder adds a machine that a medium is in.
func (s *Media) compactUnder(ctx context.Context, c *compaction, user api.MediumUse) error {
	object, err := s.m.allowed(ctx, user.Machine, machine.OpCompact)
	if err != nil {
		return err
	}
	drive := driveNamed(object.Value.Spec.Drives, user.Drive)
	if drive == nil {
		return noDrive(object.Value.Spec, user.Drive)
	}
	run := s.m.running(object.Key)
	switch {
	case run != nil && c.run != nil:
		return problem.New(api.KindBusy, "shut all but one of them down", "several machines run on it")
	case run != nil:
		if err := discards(object.Value.Spec.Name, *drive); err != nil {
			return err
		}
		c.run, c.drive = run, drive
	case c.drive == nil:
		c.drive = drive
	}
	c.objects = append(c.objects, object)
	return nil
}

// discards refuses a drive from which no discard of a guest's comes to the image.
func discards(name string, drive api.Drive) error {
	off := fmt.Sprintf("shut %s down, then either compact it, or `panal set %[1]s drives.%s.discard=on` for the guest to do it while it runs", name, drive.Name)
	switch {
	case drive.Discard == "off":
		return problem.New(api.KindRefused, off, "drive %s of %s has discard off, so that what the guest discards stays", drive.Name, name)
	case machine.Differs(drive):
		return problem.New(api.KindRefused, "shut it down, and compact it then", "what %s writes on drive %s goes to another image, which is thrown away", name, drive.Name)
	case machine.WriteModeOf(drive) == api.WriteNothing || drive.Mode == api.ReadOnly:
		return problem.New(api.KindRefused, "shut it down, and compact it then", "drive %s of %s is read-only", drive.Name, name)
	}
	return nil
}

func (s *Media) compact(ctx context.Context, r *task.Run, c compaction) error {
	if err := fault.At(ctx, "compact.begun"); err != nil {
		return err
	}
	ref := media.Ref{Path: c.found.Location, Format: c.found.Format}
	outcome := api.Compaction{Before: lookAtFile(ref).Actual}
	var err error
	if c.run != nil {
		outcome.Trimmed, err = trim(ctx, r, c.run)
	} else {
		var keys disk.Keys
		if c.drive != nil {
			keys = s.m.driveKeys(c.objects[0].Key, *c.drive)
		}
		// An image in a machine's folder need not name what it stands on; the machine's spec does.
		alone := c.drive != nil && c.drive.File != ""
		err = media.Compact(ctx, ref, alone, keys, func(done, total int64) {
			r.Report(api.Progress{Step: "looking for what is not needed", Done: done, Total: total, Unit: "bytes"})
		})
	}
	if err != nil {
		return err
	}
	outcome.After = lookAtFile(ref).Actual
	r.Result(func(result *api.TaskResult) { result.Compaction = &outcome })
	return fault.At(ctx, "compact.done")
}

// trim has a guest discard what it does not use, and tells how much it says that was.
func trim(ctx context.Context, r *task.Run, run *run) (api.Size, error) {
	r.Step("the guest discards what its file systems do not use")
	asking, cancel := context.WithTimeout(ctx, trimWithin)
	defer cancel()
	done, err := run.Trim(asking)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil:
		return 0, problem.New(api.KindUnsupported, "install and start qemu-guest-agent in the guest; or run `fstrim -a` in it yourself, or compact the medium while the machine is off",
			"the guest's agent does not discard what is unused: %s", err)
	}
	trimmed, refusals := tellTrimmed(done)
	if len(refusals) == len(done) {
		if len(refusals) == 0 {
			refusals = []string{"none that its agent knows is mounted"}
		}
		return 0, problem.New(api.KindRefused, "the guest's system must be able to discard on the disk's controller (virtio and SCSI can); or compact the medium while the machine is off",
			"no file system of the guest could discard: %s", strings.Join(refusals, "; "))
	}
	for _, refusal := range refusals {
		r.Warn("a file system of the guest could not discard: " + refusal)
	}
	return trimmed, nil
}

// tellTrimmed adds up what a guest says that it discarded, and lists what it could not, of which no more than a few: a
// guest can say anything.
func tellTrimmed(done []guest.Trimmed) (trimmed api.Size, refusals []string) {
	for _, one := range done {
		switch {
		case one.Error != "":
			refusals = append(refusals, fmt.Sprintf("%.100s: %.200s", one.Path, one.Error))
		case one.Bytes > 0 && trimmed+api.Size(one.Bytes) > trimmed:
			trimmed += api.Size(one.Bytes)
		}
	}
	return trimmed, refusals
}
