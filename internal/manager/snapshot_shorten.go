package manager

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/snapshot"
	"github.com/panalvm/panal/internal/task"
)

// Snapshots that are kept keep their images, and each one that is taken puts another on top. Beyond the host's
// bound (snapshots.depth) the image that is written draws in what the upper ones hold, in the background, and stands on
// a lower one then. Nothing else changes, and so nothing has to be undone: broken off, it stands on
// what it stood on, and holds some of it twice.

// deepen notes that there is something to merge if one of a machine's disks stands on more images than the
// host allows. It looks at them: what cannot be read is left to those who read it. What made the chain longer
// is done by then, and so it is noted even if nobody waits for it any more.
func (m *Manager) deepen(ctx context.Context, record *inventory.Record) {
	settings, err := m.Settings(context.WithoutCancel(ctx))
	if err != nil {
		m.log.Warn("the host's settings cannot be read", "error", err)
		return
	}
	if deepest(record) > settings.Snapshots.Depth {
		record.Merging = true
	}
}

// deepest is how many images of its own the deepest of a machine's disks is made of.
func deepest(record *inventory.Record) int {
	depth := 0
	for _, file := range branchingFiles(record.Spec) {
		if layers, err := media.OwnLayers(record.Folder, file); err == nil {
			depth = max(depth, len(layers))
		}
	}
	return depth
}

// mayDeepen refuses a snapshot whose machine could not be opened any more.
func mayDeepen(record *inventory.Record) error {
	if depth := deepest(record); depth >= media.MaxOwnLayers-1 {
		return problem.New(api.KindRefused, "delete some snapshots, or free space so that they can be merged",
			"take a snapshot of %s: %d images stand one on another already, and no more than %d can be opened", record.Spec.Name, depth, media.MaxOwnLayers)
	}
	return nil
}

// shortenNext makes the chain of one of a machine's disks shorter if one is longer than the host
// allows; it is false when none is.
func (m *Manager) shortenNext(ctx context.Context, r *task.Run, object inventory.Object) (bool, error) {
	settings, err := m.Settings(ctx)
	if err != nil {
		return false, err
	}
	images, _, err := surveyRecord(&object.Value)
	if err != nil {
		return false, err
	}
	if m.running(object.Key) != nil {
		fixServed(images)
	}
	for _, drive := range object.Value.Spec.Drives {
		if !slices.Contains(branchingFiles(object.Value.Spec), drive.File) {
			continue
		}
		short, found := images.Shorten(drive.File, settings.Snapshots.Depth)
		if !found {
			continue
		}
		if err := roomFor(object.Value.Folder, short.Bytes, "that", "free some space"); err != nil {
			return false, m.staysDeep(ctx, object.Key, drive, images.Depth(drive.File), err)
		}
		if err := fault.At(ctx, "merge.shorten"); err != nil {
			return false, err
		}
		if err := m.shorten(ctx, r, object, drive, short); err != nil {
			return false, fmt.Errorf("drive %s: %w", drive.Name, err)
		}
		return true, fault.At(ctx, "merge.shortened")
	}
	return false, nil
}

// shorten draws images into the one that a drive writes: by the machine's process, if it has one.
func (m *Manager) shorten(ctx context.Context, r *task.Run, object inventory.Object, drive api.Drive, short snapshot.Shortening) error {
	dir, count := m.folderOf(object), len(short.Between)
	step := fmt.Sprintf("drawing %d images into %s", count, filepath.Base(short.Top))
	if run := m.running(object.Key); run != nil {
		base, err := belowOf(dir, drive, short.Between[count-1])
		if err != nil {
			return err
		}
		pull := func() error {
			return run.Pull(ctx, drive.Name, base, func(done, total int64) {
				r.Report(api.Progress{Step: step, Done: done, Total: total, Unit: "bytes"})
			})
		}
		err = pull()
		if err == nil || problem.Of(err).Kind != api.KindBusy {
			return err
		}
		// A merge is at work that was begun before the tree became another one.
		if err := run.EndJobs(ctx); err != nil {
			return err
		}
		return pull()
	}
	for i, lower := range short.Between {
		report := func(done, total int64) {
			r.Report(api.Progress{Step: step, Done: int64(i)*total + done, Total: int64(count) * total, Unit: "bytes"})
		}
		if err := media.PullLayer(ctx, string(dir), drive, short.Top, lower, m.driveKeys(object.Key, drive), report); err != nil {
			return err
		}
	}
	return nil
}

// deepWarning begins the warning that a chain is longer than it should be.
const deepWarning = "its disks read slower than they could: "

// staysDeep notes that a chain stays longer than it should be. It is tried again when the next snapshot
// is taken, and when the machine is started.
func (m *Manager) staysDeep(ctx context.Context, uuid string, drive api.Drive, depth int, why error) error {
	_, err := m.inv.Modify(ctx, uuid, func(record *inventory.Record) error {
		record.Status.Warnings = append(without(record.Status.Warnings, deepWarning),
			fmt.Sprintf("%sdrive %s stands on %d images, and they cannot be merged: %s", deepWarning, drive.Name, depth, why))
		return nil
	})
	return err
}
