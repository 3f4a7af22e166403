package manager

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/state"
)

// trashPrefix is where in the store the folders are noted that are to be
// removed: they can lie anywhere, so that no daemon would find them again.
const trashPrefix = "trash/"

// discarded is a folder that is nobody's any more.
type discarded struct {
	Folder string `json:"folder"`
}

func (m *Manager) trash() *state.Collection[discarded] {
	return state.NewCollection[discarded](m.Store, trashPrefix)
}

// discardOp notes a folder to be removed, in the commit that makes it nobody's.
func (m *Manager) discardOp(uuid string, dir folder.Folder) (state.Op, error) {
	op, err := m.trash().CreateOp(uuid, discarded{string(dir)})
	return state.Put(op.Key, op.Value), err
}

// empty removes a folder that is noted, and then the note, if its pool is there.
func (m *Manager) empty(ctx context.Context, uuid string, dir folder.Folder) error {
	if err := m.poolThere(ctx, dir); err != nil {
		return err
	}
	if err := dir.Remove(); err != nil {
		return err
	}
	if _, err := os.Lstat(string(dir)); err == nil {
		return fmt.Errorf("folder %s: it holds files that are not the machine's", dir)
	}
	return m.trash().Delete(ctx, uuid, 0)
}

// emptyAll removes what an earlier daemon could not.
func (m *Manager) emptyAll(ctx context.Context) error {
	objects, _, err := m.trash().List(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return err
	}
	for _, object := range objects {
		if err := m.empty(ctx, object.Key, folder.Folder(object.Value.Folder)); err != nil {
			m.log.Warn("a folder that is needed no more could not be removed", "folder", object.Value.Folder, "error", err)
		}
	}
	return nil
}
