package manager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/snapshot"
)

// reserve is how much of the file system with the machines' folders is left to the machines
// by what is only kept for a while.
const reserve = 256 * api.MiB

// room fails when no more should be kept for a while below a directory.
func room(dir string) error {
	free, _, err := media.Space(dir)
	if err != nil {
		return err
	}
	if free < reserve {
		return noRoom(free)
	}
	return nil
}

// roomToDraw fails when what a drive stands on has no room in the machine's folder: it would fill
// the disk that machines, and the store, write to.
func (m *Manager) roomToDraw(ctx context.Context, object inventory.Object, drive api.Drive) error {
	dir := string(m.folderOf(object))
	most, err := media.ToDraw(ctx, dir, drive, m.driveKeys(object.Key, drive))
	if err != nil {
		return err
	}
	return roomFor(dir, most, "drawing in "+drive.Source, "free some space, and then panal stream "+object.Value.Spec.Name)
}

// roomFor fails when work that writes so many bytes below a directory would leave too little of its file system
// to the machines that write there.
func roomFor(dir string, bytes int64, work, help string) error {
	free, all, err := media.Space(dir)
	if err != nil {
		return err
	}
	if need := api.Size(bytes) + min(reserve, all/4); free < need {
		return problem.New(api.KindNoSpace, help, "%s takes up to %s, with what is left to others, and %s are free", work, whole(int64(need)+1<<20-1), whole(int64(free)))
	}
	return nil
}

// mergeMargin is what merging images takes beside what they hold: tables of images, and machine.json.
const mergeMargin = 1 << 20

// roomToMerge fails when merging two images would fill the file system that guests write to. It looks at what both hold only
// where what one of them takes would not fit: as most of it may be in both.
func roomToMerge(ctx context.Context, dir folder.Folder, step snapshot.Step) error {
	from, to := step.Upper, step.Lower
	if step.Way != snapshot.Commit {
		from, to = to, from
	}
	info, err := os.Stat(dir.Path(from))
	if err != nil {
		return err
	}
	free, _, err := media.Space(string(dir))
	if err != nil {
		return err
	}
	need := media.Allocated(info)
	if int64(free) >= need+mergeMargin {
		return nil
	}
	if exact, err := media.ToMerge(ctx, string(dir), from, to); err == nil {
		need = min(need, exact)
	}
	if need == 0 || int64(free) >= need+mergeMargin {
		return nil
	}
	return problem.New(api.KindNoSpace, "free some space; it is tried again by itself",
		"merging %s and %s takes up to %s, and %s are free", filepath.Base(step.Upper), filepath.Base(step.Lower), whole(need+mergeMargin+1<<20-1), whole(int64(free)))
}

func noRoom(free api.Size) error {
	return problem.New(api.KindNoSpace, "free some space, or save it to a file elsewhere first and import that",
		"it has to be put together in the pool first, and of that %s are left", free)
}

// full makes a problem of an error of writing to a disk that is full.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return problem.New(api.KindNoSpace, "free some space, or save it to a file elsewhere first and import that", "%s", err)
	}
	return err
}
