package client

import (
	"context"

	"github.com/panalvm/panal/api"
)

// Pools lists the pools, by their names.
func (c *Client) Pools(ctx context.Context) (api.PoolList, error) {
	return call[api.PoolList](ctx, c, request{operation: api.ListPools})
}

// Pool returns a pool.
func (c *Client) Pool(ctx context.Context, name string) (api.Pool, error) {
	return call[api.Pool](ctx, c, request{operation: api.GetPool, reference: name})
}

// AddPool makes a directory a pool.
func (c *Client) AddPool(ctx context.Context, what api.AddPoolRequest) (api.Pool, error) {
	return call[api.Pool](ctx, c, request{operation: api.AddPool, body: what})
}

// RemovePool forgets a pool without machines, and answers with what it was.
func (c *Client) RemovePool(ctx context.Context, name string) (api.Pool, error) {
	return call[api.Pool](ctx, c, request{operation: api.RemovePool, reference: name})
}
