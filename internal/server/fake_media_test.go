package server

import (
	"context"

	"github.com/panalvm/panal/api"
)

type fakeMedia struct{ *fakeServices }

func (f fakeMedia) medium(name string, what ...any) (api.Medium, error) {
	return api.Medium{UUID: "u1", Location: "/d", Kind: api.Disk}, f.call(name, what...)
}

func (f fakeMedia) List(context.Context) (api.MediumList, error) {
	return api.MediumList{}, f.call("list-media")
}

func (f fakeMedia) Get(_ context.Context, ref string) (api.Medium, error) {
	return f.medium("medium", ref)
}

func (f fakeMedia) Make(_ context.Context, r api.MakeMediumRequest) (api.Task, error) {
	return f.task("make-medium", r.Path, r.Size)
}

func (f fakeMedia) Add(_ context.Context, r api.AddMediumRequest) (api.Medium, error) {
	return f.medium("add-medium", r.Path)
}

func (f fakeMedia) Change(_ context.Context, ref string, r api.ChangeMediumRequest) (api.Medium, error) {
	return f.medium("change-medium", ref, r.Size)
}

func (f fakeMedia) Move(_ context.Context, ref string, r api.MoveMediumRequest) (api.Medium, error) {
	return f.medium("move-medium", ref, r.Path)
}

func (f fakeMedia) ChangePassphrase(_ context.Context, ref string, r api.MediumPassphraseRequest) (api.MediumPassphrases, error) {
	return api.MediumPassphrases{}, f.call("medium-passphrase", ref, r)
}

func (f fakeMedia) Compact(_ context.Context, ref string) (api.Task, error) {
	return f.task("compact-medium", ref)
}

func (f fakeMedia) Release(_ context.Context, ref string) (api.Medium, error) {
	return f.medium("release-medium", ref)
}

func (f fakeMedia) Remove(_ context.Context, ref string, r api.RemoveMediumRequest) (api.Medium, error) {
	return f.medium("remove-medium", ref, r.DeleteFile)
}

func (f fakeMedia) Prune(_ context.Context, r api.PruneRequest) (api.UnreferencedFiles, error) {
	return api.UnreferencedFiles{}, f.call("prune", r.Delete)
}
