package server

import (
	"context"

	"github.com/panalvm/panal/api"
)

type fakeSnapshots struct{ *fakeServices }

func (f fakeSnapshots) List(_ context.Context, ref string) (api.SnapshotTree, error) {
	return api.SnapshotTree{Revision: 7, Name: "web"}, f.call("list-snapshots", ref)
}

func (f fakeSnapshots) Get(_ context.Context, ref, snapshot string) (api.SnapshotDetail, error) {
	return api.SnapshotDetail{Snapshot: api.Snapshot{ID: "s1", Taken: when, State: api.StateOff}}, f.call("get-snapshot", ref, snapshot)
}

func (f fakeSnapshots) Take(_ context.Context, ref string, r api.TakeSnapshotRequest) (api.Task, error) {
	return f.task("take", ref, r)
}

func (f fakeSnapshots) Change(_ context.Context, ref, snapshot string, r api.ChangeSnapshotRequest) (api.Snapshot, error) {
	return api.Snapshot{ID: "s1", Taken: when, State: api.StateOff}, f.call("change-snapshot", ref, snapshot, *r.Name)
}

func (f fakeSnapshots) Restore(_ context.Context, ref, snapshot string, r api.RestoreSnapshotRequest) (api.Task, error) {
	return f.task("restore", ref, snapshot, r)
}

func (f fakeSnapshots) Delete(_ context.Context, ref, snapshot string, r api.DeleteSnapshotRequest) (api.Task, error) {
	return f.task("delete-snapshot", ref, snapshot, r)
}

func (f fakeSnapshots) Diff(_ context.Context, ref, from, to string) (api.SnapshotDiff, error) {
	return api.SnapshotDiff{From: from, To: to}, f.call("diff", ref, from, to)
}
