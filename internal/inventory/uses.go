package inventory

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// uses is which machines name which images that are not their own.
type uses struct {
	paths map[string][]string            // by the machine's UUID
	users map[string]map[string]struct{} // UUIDs by the image's path
}

func newUses() uses {
	return uses{map[string][]string{}, map[string]map[string]struct{}{}}
}

// add notes what a machine's drives are made from and stand on, and what they
// stood on in its snapshots.
func (u uses) add(m api.Machine) {
	for _, drive := range m.Spec.Drives {
		u.note(m.Spec.UUID, drive.Source)
		for _, under := range drive.Under {
			u.note(m.Spec.UUID, under.Source)
		}
	}
	for _, held := range m.Snapshots {
		for _, source := range held.Sources {
			u.note(m.Spec.UUID, source)
		}
	}
}

func (u uses) note(uuid, path string) {
	if path == "" {
		return
	}
	path = filepath.Clean(path)
	if u.users[path] == nil {
		u.users[path] = map[string]struct{}{}
	}
	u.users[path][uuid] = struct{}{}
	u.paths[uuid] = append(u.paths[uuid], path)
}

func (u uses) forget(uuid string) {
	for _, path := range u.paths[uuid] {
		delete(u.users[path], uuid)
		if len(u.users[path]) == 0 {
			delete(u.users, path)
		}
	}
	delete(u.paths, uuid)
}

// UsersOf lists the UUIDs of the machines with a drive that is made from an
// image, by its absolute path, or stands on it, now or in a snapshot. A machine's own images, in its
// folder, it does not name so.
func (inv *Inventory) UsersOf(ctx context.Context, path string) ([]string, error) {
	if err := inv.catchUp(ctx); err != nil {
		return nil, err
	}
	inv.list.mu.Lock()
	defer inv.list.mu.Unlock()
	return slices.Sorted(maps.Keys(inv.list.uses.users[filepath.Clean(path)])), nil
}

// UsersBelow lists the images below a directory that machines name as UsersOf
// has it, and which machines do.
func (inv *Inventory) UsersBelow(ctx context.Context, dir string) (map[string][]string, error) {
	if err := inv.catchUp(ctx); err != nil {
		return nil, err
	}
	inv.list.mu.Lock()
	defer inv.list.mu.Unlock()
	found := map[string][]string{}
	for path, users := range inv.list.uses.users {
		if strings.HasPrefix(path, filepath.Clean(dir)+"/") {
			found[path] = slices.Sorted(maps.Keys(users))
		}
	}
	return found, nil
}
