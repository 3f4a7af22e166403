package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
)

type poolInput struct {
	Name string `path:"name" doc:"the pool's name"`
}

func (s *server) registerPools(h huma.API) {
	pools := s.services.Pools
	route(h, s, api.ListPools, http.StatusOK, func(ctx context.Context, _ *none) (api.PoolList, error) {
		answer, err := pools.List(ctx)
		answer.Pools = list(answer.Pools)
		return answer, err
	})
	route(h, s, api.AddPool, http.StatusOK, func(ctx context.Context, in *bodyInput[api.AddPoolRequest]) (api.Pool, error) {
		return pools.Add(ctx, in.Body)
	})
	route(h, s, api.GetPool, http.StatusOK, func(ctx context.Context, in *poolInput) (api.Pool, error) {
		return pools.Get(ctx, in.Name)
	})
	route(h, s, api.RemovePool, http.StatusOK, func(ctx context.Context, in *poolInput) (api.Pool, error) {
		return pools.Remove(ctx, in.Name)
	})
}
