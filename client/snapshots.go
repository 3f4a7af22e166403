package client

import (
	"context"
	"net/url"

	"github.com/panalvm/panal/api"
)

// Snapshots lists a machine's snapshots, parents before their children.
func (c *Client) Snapshots(ctx context.Context, machine string) (api.SnapshotTree, error) {
	return call[api.SnapshotTree](ctx, c, request{operation: api.ListSnapshots, reference: machine})
}

// Snapshot shows the snapshot that a reference names: a name, an ID, or a unique
// prefix of that. The same references are taken by all methods below.
func (c *Client) Snapshot(ctx context.Context, machine, snapshot string) (api.SnapshotDetail, error) {
	return call[api.SnapshotDetail](ctx, c, request{operation: api.GetSnapshot, reference: machine, part: snapshot})
}

// TakeSnapshot begins to take a snapshot of a machine; the task's result has its ID.
func (c *Client) TakeSnapshot(ctx context.Context, machine string, how api.TakeSnapshotRequest) (api.Task, error) {
	return c.task(ctx, api.TakeSnapshot, machine, how)
}

// ChangeSnapshot changes a snapshot's name or description.
func (c *Client) ChangeSnapshot(ctx context.Context, machine, snapshot string, change api.ChangeSnapshotRequest) (api.Snapshot, error) {
	return call[api.Snapshot](ctx, c, request{operation: api.ChangeSnapshot, reference: machine, part: snapshot, body: change})
}

// RestoreSnapshot begins to make a machine what it was in a snapshot.
func (c *Client) RestoreSnapshot(ctx context.Context, machine, snapshot string, how api.RestoreSnapshotRequest) (api.Task, error) {
	return call[api.Task](ctx, c, request{operation: api.RestoreSnapshot, reference: machine, part: snapshot, body: how})
}

// DeleteSnapshot begins to delete a snapshot.
func (c *Client) DeleteSnapshot(ctx context.Context, machine, snapshot string, how api.DeleteSnapshotRequest) (api.Task, error) {
	return call[api.Task](ctx, c, request{operation: api.DeleteSnapshot, reference: machine, part: snapshot, body: how})
}

// DiffSnapshot tells what differs between a snapshot and another one, or the
// present state where to is empty.
func (c *Client) DiffSnapshot(ctx context.Context, machine, from, to string) (api.SnapshotDiff, error) {
	query := url.Values{}
	if to != "" {
		query.Set(api.QueryTo, to)
	}
	return call[api.SnapshotDiff](ctx, c, request{operation: api.DiffSnapshot, reference: machine, part: from, query: query})
}
