package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
)

// The requests that name a snapshot, as huma reads them.
type (
	snapshotInput struct {
		Ref      string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
		Snapshot string `path:"snapshot" doc:"the snapshot's name, ID, or a unique prefix of that"`
	}
	snapshotBodyInput[T any] struct {
		Ref      string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
		Snapshot string `path:"snapshot" doc:"the snapshot's name, ID, or a unique prefix of that"`
		Body     T
	}
	snapshotOptionalInput[T any] struct {
		Ref      string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
		Snapshot string `path:"snapshot" doc:"the snapshot's name, ID, or a unique prefix of that"`
		Body     *T
	}
	diffInput struct {
		Ref      string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
		Snapshot string `path:"snapshot" doc:"the snapshot's name, ID, or a unique prefix of that"`
		To       string `query:"to" doc:"the other snapshot; the present state when left out"`
	}
)

// request is the body, or the zero request when there was none.
func (in *snapshotOptionalInput[T]) request() T {
	if in.Body == nil {
		var zero T
		return zero
	}
	return *in.Body
}

func (s *server) registerSnapshots(h huma.API) {
	snapshots := s.services.Snapshots
	route(h, s, api.ListSnapshots, http.StatusOK, func(ctx context.Context, in *refInput) (api.SnapshotTree, error) {
		answer, err := snapshots.List(ctx, in.Ref)
		answer.Snapshots = list(answer.Snapshots)
		return answer, err
	})
	route(h, s, api.TakeSnapshot, http.StatusAccepted, func(ctx context.Context, in *refOptionalInput[api.TakeSnapshotRequest]) (api.Task, error) {
		return snapshots.Take(ctx, in.Ref, in.request())
	})
	route(h, s, api.GetSnapshot, http.StatusOK, func(ctx context.Context, in *snapshotInput) (api.SnapshotDetail, error) {
		return snapshots.Get(ctx, in.Ref, in.Snapshot)
	})
	route(h, s, api.ChangeSnapshot, http.StatusOK, func(ctx context.Context, in *snapshotBodyInput[api.ChangeSnapshotRequest]) (api.Snapshot, error) {
		return snapshots.Change(ctx, in.Ref, in.Snapshot, in.Body)
	})
	route(h, s, api.RestoreSnapshot, http.StatusAccepted, func(ctx context.Context, in *snapshotOptionalInput[api.RestoreSnapshotRequest]) (api.Task, error) {
		return snapshots.Restore(ctx, in.Ref, in.Snapshot, in.request())
	})
	route(h, s, api.DeleteSnapshot, http.StatusAccepted, func(ctx context.Context, in *snapshotOptionalInput[api.DeleteSnapshotRequest]) (api.Task, error) {
		return snapshots.Delete(ctx, in.Ref, in.Snapshot, in.request())
	})
	route(h, s, api.DiffSnapshot, http.StatusOK, func(ctx context.Context, in *diffInput) (api.SnapshotDiff, error) {
		return snapshots.Diff(ctx, in.Ref, in.Snapshot, in.To)
	})
}
