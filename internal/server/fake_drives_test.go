package server

import (
	"context"

	"github.com/panalvm/panal/api"
)

type fakeDrives struct{ *fakeServices }

func (f fakeDrives) Attach(_ context.Context, ref string, r api.AttachRequest) (api.Task, error) {
	return f.task("attach", ref, r.Drive.Source, r.Drive.Controller)
}

func (f fakeDrives) Detach(_ context.Context, ref string, r api.DetachRequest) (api.Task, error) {
	return f.task("detach", ref, r)
}

func (f fakeDrives) Eject(_ context.Context, ref string, r api.EjectRequest) (api.Task, error) {
	return f.task("eject", ref, r)
}

func (f fakeDrives) Insert(_ context.Context, ref string, r api.InsertRequest) (api.Task, error) {
	return f.task("insert", ref, r)
}
