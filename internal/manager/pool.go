package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/pool"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// poolsPrefix is where the store holds the pools, but for the default one, which is the daemon's own.
const poolsPrefix = "pools/"

// Pools are the places that machines' folders are put into.
type Pools struct{ m *Manager }

// Pools are the manager's pools.
func (m *Manager) Pools() *Pools { return &Pools{m} }

func (p *Pools) records() *state.Collection[pool.Record] {
	return state.NewCollection[pool.Record](p.m.Store, poolsPrefix)
}

// List is all pools, by their names.
func (p *Pools) List(ctx context.Context) (api.PoolList, error) {
	stored, _, err := p.records().List(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return api.PoolList{}, err
	}
	folders, err := p.folders(ctx)
	if err != nil {
		return api.PoolList{}, err
	}
	answer := api.PoolList{Pools: []api.Pool{view(pool.Default, pool.Record{Path: p.m.machinesDir()}, folders)}}
	for _, object := range stored {
		answer.Pools = append(answer.Pools, view(object.Key, object.Value, folders))
	}
	slices.SortFunc(answer.Pools, func(a, b api.Pool) int { return strings.Compare(a.Name, b.Name) })
	return answer, nil
}

// folders are the folders of all machines, with the machines' names.
func (p *Pools) folders(ctx context.Context) (map[string]string, error) {
	objects, _, err := p.m.inv.All(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return nil, err
	}
	folders := map[string]string{}
	for _, object := range objects {
		folders[object.Value.Folder] = object.Value.Spec.Name
	}
	return folders, nil
}

// view is how a pool is shown.
func view(name string, record pool.Record, folders map[string]string) api.Pool {
	shown := api.Pool{Name: name, Kind: api.PoolDirectory, Path: record.Path, Machines: []string{}}
	for folder, machine := range folders {
		if pool.Holds(record.Path, folder) {
			shown.Machines = append(shown.Machines, machine)
		}
	}
	slices.Sort(shown.Machines)
	err := usable(name, record)
	if err == nil {
		shown.Free, shown.Size, err = media.Space(record.Path)
	}
	if err != nil {
		shown.Problem = problem.Of(err).Detail
	}
	return shown
}

// usable fails when a pool cannot be used now.
func usable(name string, record pool.Record) error {
	if name == pool.Default {
		return nil
	}
	return pool.Check(record.Path, record.ID)
}

// Get is one pool.
func (p *Pools) Get(ctx context.Context, name string) (api.Pool, error) {
	list, err := p.List(ctx)
	if err != nil {
		return api.Pool{}, err
	}
	if at := slices.IndexFunc(list.Pools, func(pool api.Pool) bool { return pool.Name == name }); at >= 0 {
		return list.Pools[at], nil
	}
	return api.Pool{}, noPool(name)
}

func noPool(name string) error {
	return problem.New(api.KindNotFound, "`panal pool list` shows them, and `panal pool add` makes a directory one", "there is no pool %q", name)
}

// directory is where the folders of machines in a pool are, which can be used now; the empty name is the default one's.
func (p *Pools) directory(ctx context.Context, name string) (string, error) {
	if name == "" || name == pool.Default {
		return p.m.machinesDir(), nil
	}
	object, err := p.records().Get(ctx, name)
	if errors.Is(err, state.ErrNotFound) {
		return "", noPool(name)
	}
	if err != nil {
		return "", err
	}
	if err := usable(name, object.Value); err != nil {
		return "", fmt.Errorf("pool %s: %w", name, err)
	}
	p.m.emptyReturned(ctx, object.Value.Path)
	return object.Value.Path, nil
}

// Add makes a directory a pool.
func (p *Pools) Add(ctx context.Context, request api.AddPoolRequest) (api.Pool, error) {
	if err := p.addable(ctx, request); err != nil {
		return api.Pool{}, fmt.Errorf("add pool %s: %w", request.Name, err)
	}
	path := filepath.Clean(request.Path)
	id, err := pool.Mark(path)
	if err != nil {
		return api.Pool{}, fmt.Errorf("add pool %s: %w", request.Name, err)
	}
	if _, err := p.records().Create(ctx, request.Name, pool.Record{Path: path, ID: id}); err != nil {
		return api.Pool{}, err
	}
	return p.Get(ctx, request.Name)
}

// addable checks that neither a name nor a directory is another pool's, and that the directory is in no machine's folder.
func (p *Pools) addable(ctx context.Context, request api.AddPoolRequest) error {
	if err := pool.CheckName(request.Name); err != nil {
		return err
	}
	if !filepath.IsAbs(request.Path) {
		return problem.New(api.KindInvalid, "", "the path %q must be absolute", request.Path)
	}
	list, err := p.List(ctx)
	if err != nil {
		return err
	}
	path := resolved(filepath.Clean(request.Path))
	for _, other := range list.Pools {
		switch {
		case other.Name == request.Name:
			return problem.New(api.KindExists, "choose another name", "there is a pool of that name, %s", other.Path)
		case pool.Overlaps(path, resolved(other.Path)):
			return problem.New(api.KindExists, "choose another directory", "%s is, is in, or holds %s, the pool %s", request.Path, other.Path, other.Name)
		}
	}
	folders, err := p.folders(ctx)
	if err != nil {
		return err
	}
	for folder, machine := range folders {
		if pool.Within(path, resolved(folder)) {
			return problem.New(api.KindExists, "choose another directory", "%s is in the folder of machine %s", request.Path, machine)
		}
	}
	return nil
}

// resolved is a path without symbolic links, as far as it can be told.
func resolved(path string) string {
	if path, err := filepath.EvalSymlinks(path); err == nil {
		return path
	}
	return path
}

// Remove forgets a pool without machines. Its directory stays, as it is.
func (p *Pools) Remove(ctx context.Context, name string) (api.Pool, error) {
	found, err := p.Get(ctx, name)
	if err != nil {
		return found, err
	}
	if name == pool.Default {
		return found, problem.New(api.KindRefused, "", "remove pool %s: it is the daemon's own, and always there", name)
	}
	if len(found.Machines) > 0 {
		return found, problem.New(api.KindBusy, "`panal move MACHINE --pool POOL` moves them", "remove pool %s: machines are in it: %s", name, strings.Join(found.Machines, ", "))
	}
	object, err := p.records().Get(ctx, name)
	if err != nil {
		return found, err
	}
	if err := p.records().Delete(ctx, name, object.Revision); err != nil {
		return found, err
	}
	return found, pool.Unmark(object.Value.Path, object.Value.ID)
}
