package server

import (
	"context"

	"github.com/panalvm/panal/api"
)

type fakePools struct{ *fakeServices }

func (f fakePools) pool(name string, what ...any) (api.Pool, error) {
	return api.Pool{Name: "fast", Kind: api.PoolDirectory, Machines: []string{}}, f.call(name, what...)
}

func (f fakePools) List(context.Context) (api.PoolList, error) {
	return api.PoolList{}, f.call("list-pools")
}

func (f fakePools) Get(_ context.Context, name string) (api.Pool, error) {
	return f.pool("pool", name)
}

func (f fakePools) Add(_ context.Context, r api.AddPoolRequest) (api.Pool, error) {
	return f.pool("add-pool", r.Name, r.Path)
}

func (f fakePools) Remove(_ context.Context, name string) (api.Pool, error) {
	return f.pool("remove-pool", name)
}
