package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/pool"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// A pool's file system can be unmounted while something is made in it. From then on the same paths lead to the directory below
// the mount point, where what was made is not, and what is removed was never; so what is done there at the end is done only where
// the pool is, and what cannot be removed is noted until it is back.

// poolThere fails when a folder is to be in a pool that is not there now.
func (m *Manager) poolThere(ctx context.Context, dir folder.Folder) error {
	stored, _, err := m.Pools().records().List(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return err
	}
	for _, object := range stored {
		if !pool.Holds(object.Value.Path, string(dir)) {
			continue
		}
		if err := usable(object.Key, object.Value); err != nil {
			return fmt.Errorf("pool %s: %w", object.Key, err)
		}
	}
	return nil
}

// allMade checks that a finished machine's images are where they were made.
func allMade(dir folder.Folder, record inventory.Record) error {
	for _, drive := range record.Spec.Drives {
		if drive.File == "" {
			continue
		}
		if _, err := os.Lstat(dir.Path(drive.File)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drive %s: its image %s, just made, is not there any more", drive.Name, dir.Path(drive.File))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// newNote ends the keys of notes of folders that were being made.
const newNote = ".new"

// removeStaging removes the folder that a machine was being made or copied in. Where its pool is away that is noted.
func (m *Manager) removeStaging(ctx context.Context, uuid, final string) error {
	dir := staging(uuid, final)
	if err := dir.Remove(); err != nil {
		return err
	}
	away := m.poolThere(ctx, dir)
	if away == nil {
		return nil
	}
	op, err := m.discardOp(uuid+newNote, dir)
	if err != nil {
		return err
	}
	if _, err := m.Store.Commit(ctx, op); err != nil {
		return err
	}
	return problem.New(problem.Of(away).Kind, "it is removed when the pool is used again",
		"folder %s is left in it: %s", dir, problem.Of(away).Detail)
}

// emptyReturned removes what could not be removed while a pool was away. What cannot be removed now stays noted.
func (m *Manager) emptyReturned(ctx context.Context, directory string) {
	objects, _, err := m.trash().List(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		m.log.Warn("what is to be removed cannot be told", "error", err)
		return
	}
	for _, object := range objects {
		dir := folder.Folder(object.Value.Folder)
		if !strings.HasSuffix(object.Key, newNote) || !pool.Holds(directory, string(dir)) {
			continue
		}
		if err := m.empty(ctx, object.Key, dir); err != nil {
			m.log.Warn("a folder that is needed no more could not be removed", "folder", dir, "error", err)
		}
	}
}

// orAway is the reason why something failed in a directory: that the pool is away, if it is.
func (m *Manager) orAway(ctx context.Context, dir string, err error) error {
	if away := m.poolThere(context.WithoutCancel(ctx), folder.Folder(dir)); away != nil {
		return away
	}
	return err
}
