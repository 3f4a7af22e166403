package client

import (
	"context"
	"net/url"
	"time"

	"github.com/panalvm/panal/api"
)

// Stats tells what a running machine uses.
func (c *Client) Stats(ctx context.Context, ref string) (api.Stats, error) {
	return call[api.Stats](ctx, c, request{operation: api.GetStats, reference: ref})
}

// StatsHistory tells what a machine has used after a time; the zero time is as far back as
// is kept.
func (c *Client) StatsHistory(ctx context.Context, ref string, after time.Time) (api.StatsHistory, error) {
	query := url.Values{}
	if !after.IsZero() {
		query.Set(api.QueryAfter, after.Format(time.RFC3339Nano))
	}
	return call[api.StatsHistory](ctx, c, request{operation: api.GetStatsHistory, reference: ref, query: query})
}

// AllStats tells what all running machines use, and how the host stands.
func (c *Client) AllStats(ctx context.Context) (api.StatsList, error) {
	return call[api.StatsList](ctx, c, request{operation: api.ListStats})
}
