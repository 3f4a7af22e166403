package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/service"
)

// The requests, as huma reads them: it does not look into embedded structs that
// are not exported. A Body that is a pointer may be left out.
type (
	none struct{}

	refInput struct {
		Ref string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
	}
	idInput struct {
		ID string `path:"id" doc:"the task's ID, or a unique prefix of it"`
	}
	listInput struct {
		Labels []string  `query:"label,explode" doc:"name or name=value; may be repeated, and then all must match"`
		State  api.State `query:"state" doc:"only machines in this state"`
	}
	bodyInput[T any] struct {
		Body T
	}
	refBodyInput[T any] struct {
		Ref  string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
		Body T
	}
	refOptionalInput[T any] struct {
		Ref  string `path:"ref" doc:"the machine's name, UUID, or a unique prefix of either"`
		Body *T
	}
)

// request is the body, or the zero request when there was none.
func (in *refOptionalInput[T]) request() T {
	if in.Body == nil {
		var zero T
		return zero
	}
	return *in.Body
}

func (s *server) registerHost(h huma.API) {
	host := s.services.Host
	route(h, s, api.GetInfo, http.StatusOK, func(ctx context.Context, _ *none) (api.Info, error) {
		return host.Info(ctx)
	})
	route(h, s, api.GetHost, http.StatusOK, func(ctx context.Context, _ *none) (api.Host, error) {
		answer, err := host.Host(ctx)
		return wholeHost(answer), err
	})
	route(h, s, api.SetHost, http.StatusOK, func(ctx context.Context, in *bodyInput[api.ChangeHostRequest]) (api.Host, error) {
		answer, err := host.ChangeHost(ctx, in.Body)
		return wholeHost(answer), err
	})
}

// wholeHost has lists where there is nothing to list.
func wholeHost(h api.Host) api.Host {
	h.Architectures, h.Programs = list(h.Architectures), list(h.Programs)
	h.Controls, h.Processors.MachineCPUs = list(h.Controls), list(h.Processors.MachineCPUs)
	return h
}

func (s *server) registerMachines(h huma.API) {
	machines := s.services.Machines
	route(h, s, api.ListMachines, http.StatusOK, func(ctx context.Context, in *listInput) (api.MachineList, error) {
		answer, err := machines.List(ctx, service.Filter{Labels: in.Labels, State: in.State})
		answer.Machines = list(answer.Machines)
		return answer, err
	})
	route(h, s, api.CreateMachine, http.StatusAccepted, func(ctx context.Context, in *bodyInput[api.CreateRequest]) (api.Task, error) {
		return machines.Create(ctx, in.Body)
	})
	route(h, s, api.PlanImport, http.StatusOK, func(ctx context.Context, in *bodyInput[api.ImportRequest]) (api.ImportPlan, error) {
		return machines.PlanImport(ctx, in.Body)
	})
	route(h, s, api.Import, http.StatusAccepted, func(ctx context.Context, in *bodyInput[api.ImportRequest]) (api.Task, error) {
		return machines.Import(ctx, in.Body)
	})
	route(h, s, api.Export, http.StatusAccepted, func(ctx context.Context, in *bodyInput[api.ExportRequest]) (api.Task, error) {
		return machines.Export(ctx, in.Body)
	})
	stream(h, api.ExportStream, http.StatusOK, responses{
		http.StatusOK: {description: "The archive. The header " + api.HeaderTask + " names the task that writes it. An archive that fails ends as a broken connection: " +
			"the task says why. Who goes away cancels it.", mediaType: "application/x-tar"},
	}, s.exportStream)
	route(h, s, api.Register, http.StatusOK, func(ctx context.Context, in *bodyInput[api.RegisterRequest]) (api.Machine, error) {
		return machines.Register(ctx, in.Body)
	})
	route(h, s, api.GetMachine, http.StatusOK, func(ctx context.Context, in *refInput) (api.Machine, error) {
		return machines.Get(ctx, in.Ref)
	})
	route(h, s, api.ReplaceMachine, http.StatusOK, func(ctx context.Context, in *refBodyInput[api.ReplaceRequest]) (api.Machine, error) {
		return machines.Replace(ctx, in.Ref, in.Body)
	})
	route(h, s, api.ChangeMachine, http.StatusOK, func(ctx context.Context, in *refBodyInput[api.ChangeRequest]) (api.Machine, error) {
		return machines.Change(ctx, in.Ref, in.Body)
	})
	route(h, s, api.DeleteMachine, http.StatusAccepted, func(ctx context.Context, in *refOptionalInput[api.DeleteRequest]) (api.Task, error) {
		return machines.Delete(ctx, in.Ref, in.request())
	})
	route(h, s, api.CloneMachine, http.StatusAccepted, func(ctx context.Context, in *refBodyInput[api.CloneRequest]) (api.Task, error) {
		return machines.Clone(ctx, in.Ref, in.Body)
	})
	route(h, s, api.MoveMachine, http.StatusAccepted, func(ctx context.Context, in *refBodyInput[api.MoveRequest]) (api.Task, error) {
		return machines.Move(ctx, in.Ref, in.Body)
	})
	route(h, s, api.StreamMachine, http.StatusAccepted, func(ctx context.Context, in *refInput) (api.Task, error) {
		return machines.Stream(ctx, in.Ref)
	})
	route(h, s, api.AcceptBases, http.StatusOK, func(ctx context.Context, in *refInput) (api.Machine, error) {
		return machines.AcceptBases(ctx, in.Ref)
	})
	route(h, s, api.UnlockMachine, http.StatusOK, func(ctx context.Context, in *refBodyInput[api.UnlockRequest]) (api.Machine, error) {
		return machines.Unlock(ctx, in.Ref, in.Body)
	})
	route(h, s, api.LockMachine, http.StatusOK, func(ctx context.Context, in *refInput) (api.Machine, error) {
		return machines.Lock(ctx, in.Ref)
	})
	route(h, s, api.RenameMachine, http.StatusOK, func(ctx context.Context, in *refBodyInput[api.RenameRequest]) (api.Machine, error) {
		return machines.Rename(ctx, in.Ref, in.Body)
	})
}

func (s *server) registerPower(h huma.API) {
	power := s.services.Power
	begin := func(op api.Operation, call func(context.Context, string) (api.Task, error)) {
		route(h, s, op, http.StatusAccepted, func(ctx context.Context, in *refInput) (api.Task, error) {
			return call(ctx, in.Ref)
		})
	}
	act := func(op api.Operation, call func(context.Context, string) (api.Machine, error)) {
		route(h, s, op, http.StatusOK, func(ctx context.Context, in *refInput) (api.Machine, error) {
			return call(ctx, in.Ref)
		})
	}
	begin(api.StartMachine, power.Start)
	begin(api.StopMachine, power.Stop)
	begin(api.SaveMachine, power.Save)
	act(api.PauseMachine, power.Pause)
	act(api.ResumeMachine, power.Resume)
	act(api.ResetMachine, power.Reset)
	route(h, s, api.ShutdownMachine, http.StatusAccepted, func(ctx context.Context, in *refOptionalInput[api.ShutdownRequest]) (api.Task, error) {
		return power.Shutdown(ctx, in.Ref, in.request())
	})
}

func (s *server) registerDrives(h huma.API) {
	drives := s.services.Drives
	route(h, s, api.AttachDrive, http.StatusAccepted, func(ctx context.Context, in *refBodyInput[api.AttachRequest]) (api.Task, error) {
		return drives.Attach(ctx, in.Ref, in.Body)
	})
	route(h, s, api.DetachDrive, http.StatusAccepted, func(ctx context.Context, in *refBodyInput[api.DetachRequest]) (api.Task, error) {
		return drives.Detach(ctx, in.Ref, in.Body)
	})
	route(h, s, api.EjectMedium, http.StatusAccepted, func(ctx context.Context, in *refBodyInput[api.EjectRequest]) (api.Task, error) {
		return drives.Eject(ctx, in.Ref, in.Body)
	})
	route(h, s, api.InsertMedium, http.StatusAccepted, func(ctx context.Context, in *refBodyInput[api.InsertRequest]) (api.Task, error) {
		return drives.Insert(ctx, in.Ref, in.Body)
	})
}

func (s *server) registerTasks(h huma.API) {
	tasks := s.services.Tasks
	route(h, s, api.ListTasks, http.StatusOK, func(ctx context.Context, _ *none) (api.TaskList, error) {
		answer, err := tasks.List(ctx)
		answer.Tasks = list(answer.Tasks)
		return answer, err
	})
	route(h, s, api.GetTask, http.StatusOK, func(ctx context.Context, in *idInput) (api.Task, error) {
		return tasks.Get(ctx, in.ID)
	})
	route(h, s, api.CancelTask, http.StatusAccepted, func(ctx context.Context, in *idInput) (api.Task, error) {
		return tasks.Cancel(ctx, in.ID)
	})
}

// list makes an empty list of none, so that JSON says [] and never null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
