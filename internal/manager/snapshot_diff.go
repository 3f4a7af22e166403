package manager

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/snapshot"
)

// Diff compares a snapshot with another one, or with the present state.
func (s *Snapshots) Diff(ctx context.Context, ref, from, to string) (api.SnapshotDiff, error) {
	object, one, err := s.find(ctx, ref, from)
	if err != nil {
		return api.SnapshotDiff{}, err
	}
	diff, dir, other := api.SnapshotDiff{From: one.ID}, s.m.folderOf(object), object.Value.Spec
	before, err := heldSpec(dir, one)
	if err != nil {
		return diff, err
	}
	if to == "" {
		if s.m.running(object.Key) != nil {
			return diff, problem.New(api.KindWrongState, "take a snapshot, and compare with that",
				"compare %s: it is %s, and its disks change", object.Value.Spec.Name, object.Value.Status.State)
		}
	} else {
		two, err := snapshotNamed(object, to)
		if err != nil {
			return diff, err
		}
		if other, err = heldSpec(dir, two); err != nil {
			return diff, err
		}
		diff.To = two.ID
	}
	diff.Spec = snapshot.SpecChanges(before, other)
	diff.Drives, err = driveDiffs(ctx, string(dir), before, other, s.m.keysFor(object.Key))
	if err != nil {
		return diff, fmt.Errorf("compare %s: %w", object.Value.Spec.Name, err)
	}
	return diff, nil
}

// driveDiffs compares the drives of two specs that take part in snapshots.
func driveDiffs(ctx context.Context, dir string, before, after api.Spec, keys func(api.Drive) disk.Keys) ([]api.DriveDiff, error) {
	var diffs []api.DriveDiff
	for _, drive := range before.Drives {
		if !machine.InSnapshots(drive) {
			continue
		}
		other := driveNamed(after.Drives, drive.Name)
		if other == nil || !machine.InSnapshots(*other) {
			diffs = append(diffs, api.DriveDiff{Name: drive.Name, Only: "from", Size: drive.Size})
			continue
		}
		n, err := media.DifferingBytes(ctx, dir, drive, *other, keys(drive))
		if err != nil {
			return nil, fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		if n > 0 {
			diffs = append(diffs, api.DriveDiff{Name: drive.Name, Bytes: n, Size: max(drive.Size, other.Size)})
		}
	}
	for _, drive := range after.Drives {
		if was := driveNamed(before.Drives, drive.Name); machine.InSnapshots(drive) && (was == nil || !machine.InSnapshots(*was)) {
			diffs = append(diffs, api.DriveDiff{Name: drive.Name, Only: "to", Size: drive.Size})
		}
	}
	return diffs, nil
}
