package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/service"
)

// when is a time that JSON gives back as it was.
var when = time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)

// fakeServices answer from what a test has put into them, and write down how
// they were called.
type fakeServices struct {
	err      error // what everything answers, if set
	panic    any   // what everything panics with, if set
	list     api.MachineList
	tasks    api.TaskList
	revision int64
	events   func(ctx context.Context, since int64) iter.Seq2[service.Delivery, error]
	console  func(ctx context.Context) service.Console
	display  func() net.Conn
	log      io.ReadCloser

	mu    sync.Mutex // guards what is below
	calls []string
}

func (f *fakeServices) services() service.Services {
	return service.Services{
		Machines: fakeMachines{f}, Power: fakePower{f}, Drives: fakeDrives{f}, Snapshots: fakeSnapshots{f}, Media: fakeMedia{f}, Pools: fakePools{f}, Views: fakeViews{f}, Stats: fakeStats{f},
		Tasks: fakeTasks{f}, Events: fakeEvents{f}, Host: fakeHost{f},
	}
}

func (f *fakeServices) call(name string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	line := name
	for _, arg := range args {
		line += fmt.Sprintf(" %+v", arg)
	}
	f.calls = append(f.calls, line)
	if f.panic != nil {
		panic(f.panic)
	}
	return f.err
}

// called is every call since the last time.
func (f *fakeServices) called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := strings.Join(f.calls, "\n")
	f.calls = nil
	return lines
}

func (f *fakeServices) task(name string, args ...any) (api.Task, error) {
	return api.Task{ID: "t1", Revision: 7, Kind: name, State: api.TaskRunning, Created: when}, f.call(name, args...)
}

func (f *fakeServices) machine(name string, args ...any) (api.Machine, error) {
	return api.Machine{Revision: 7, Created: when, Spec: api.Spec{Name: "web"}, Status: api.Status{State: api.StateOff, Since: when}}, f.call(name, args...)
}

type fakeMachines struct{ *fakeServices }

func (f fakeMachines) List(_ context.Context, filter service.Filter) (api.MachineList, error) {
	return f.list, f.call("list", filter)
}

func (f fakeMachines) Get(_ context.Context, ref string) (api.Machine, error) {
	return f.machine("get", ref)
}

func (f fakeMachines) Create(_ context.Context, r api.CreateRequest) (api.Task, error) {
	return f.task("create", r.Spec.Name, r.Spec.Memory.Size, r.Disks, r.Set)
}

func (f fakeMachines) PlanImport(_ context.Context, r api.ImportRequest) (api.ImportPlan, error) {
	_, err := f.task("plan-import", r.Source, r.Properties)
	return api.ImportPlan{Machines: []api.PlannedMachine{}}, err
}

func (f fakeMachines) Import(_ context.Context, r api.ImportRequest) (api.Task, error) {
	return f.task("import", r.Source, r.Networks)
}

// fakeArchive is an archive that is there already.
type fakeArchive struct {
	io.ReadCloser
	task api.Task
}

func (a fakeArchive) Task() api.Task          { return a.task }
func (a fakeArchive) Broken() <-chan struct{} { return nil }

func (f fakeMachines) ExportStream(_ context.Context, r api.ExportRequest) (service.Archive, error) {
	task, err := f.task("export to a stream", r.Machines)
	if err != nil {
		return nil, err
	}
	return fakeArchive{io.NopCloser(strings.NewReader("an archive")), task}, nil
}

func (f fakeMachines) PlanImportStream(_ context.Context, r api.ImportRequest, content io.Reader) (api.ImportPlan, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(content, head); err != nil {
		return api.ImportPlan{}, err
	}
	_, err := f.task("plan-import-stream", r.Source, string(head))
	return api.ImportPlan{Machines: []api.PlannedMachine{}}, err
}

func (f fakeMachines) ImportStream(_ context.Context, r api.ImportRequest, content io.ReadCloser) (api.ImportResult, error) {
	n, err := io.Copy(io.Discard, content)
	if err != nil {
		return api.ImportResult{}, err
	}
	made, err := f.task("import-stream", r.Source, n)
	return api.ImportResult{Task: made}, err
}

func (f fakeMachines) Export(_ context.Context, r api.ExportRequest) (api.Task, error) {
	return f.task("export", r.Destination, r.Machines)
}

func (f fakeMachines) Register(_ context.Context, r api.RegisterRequest) (api.Machine, error) {
	return f.machine("register", r)
}

func (f fakeMachines) Replace(_ context.Context, ref string, r api.ReplaceRequest) (api.Machine, error) {
	return f.machine("replace", ref, r.Revision, r.Spec.Name)
}

func (f fakeMachines) Change(_ context.Context, ref string, r api.ChangeRequest) (api.Machine, error) {
	return f.machine("change", ref, r)
}

func (f fakeMachines) Clone(_ context.Context, ref string, r api.CloneRequest) (api.Task, error) {
	return f.task("clone", ref, r)
}

func (f fakeMachines) Move(_ context.Context, ref string, r api.MoveRequest) (api.Task, error) {
	return f.task("move", ref, r)
}

func (f fakeMachines) Stream(_ context.Context, ref string) (api.Task, error) {
	return f.task("stream", ref)
}

func (f fakeMachines) AcceptBases(_ context.Context, ref string) (api.Machine, error) {
	return f.machine("accept-bases", ref)
}

func (f fakeMachines) Unlock(_ context.Context, ref string, r api.UnlockRequest) (api.Machine, error) {
	return f.machine("unlock", ref, r)
}

func (f fakeMachines) Lock(_ context.Context, ref string) (api.Machine, error) {
	return f.machine("lock", ref)
}

func (f fakeMachines) Rename(_ context.Context, ref string, r api.RenameRequest) (api.Machine, error) {
	return f.machine("rename", ref, r)
}

func (f fakeMachines) Delete(_ context.Context, ref string, r api.DeleteRequest) (api.Task, error) {
	return f.task("delete", ref, r)
}

type fakePower struct{ *fakeServices }

func (f fakePower) Start(_ context.Context, ref string) (api.Task, error) {
	return f.task("start", ref)
}

func (f fakePower) Stop(_ context.Context, ref string) (api.Task, error) { return f.task("stop", ref) }

func (f fakePower) Save(_ context.Context, ref string) (api.Task, error) { return f.task("save", ref) }

func (f fakePower) Shutdown(_ context.Context, ref string, r api.ShutdownRequest) (api.Task, error) {
	return f.task("shutdown", ref, r)
}

func (f fakePower) Pause(_ context.Context, ref string) (api.Machine, error) {
	return f.machine("pause", ref)
}

func (f fakePower) Resume(_ context.Context, ref string) (api.Machine, error) {
	return f.machine("resume", ref)
}

func (f fakePower) Reset(_ context.Context, ref string) (api.Machine, error) {
	return f.machine("reset", ref)
}

type fakeViews struct{ *fakeServices }

func (f fakeViews) Console(ctx context.Context, ref, serial string, scrollback int) (service.Console, error) {
	if err := f.call("console", ref, serial, scrollback); err != nil {
		return nil, err
	}
	if f.console == nil {
		return nil, problem.New(api.KindWrongState, "start it", "machine %q is off", ref)
	}
	return f.console(ctx), nil
}

func (f fakeViews) Display(_ context.Context, ref string) (net.Conn, error) {
	if err := f.call("display", ref); err != nil {
		return nil, err
	}
	if f.display == nil {
		return nil, problem.New(api.KindWrongState, "start it", "machine %q is off", ref)
	}
	return f.display(), nil
}

func (f fakeViews) Screenshot(_ context.Context, ref string) ([]byte, error) {
	return []byte("\x89PNG picture"), f.call("screenshot", ref)
}

func (f fakeViews) Log(_ context.Context, ref, name string, tail int64) (io.ReadCloser, error) {
	if err := f.call("log", ref, name, tail); err != nil {
		return nil, err
	}
	if f.log != nil {
		return f.log, nil
	}
	return io.NopCloser(strings.NewReader("line\n")), nil
}

type fakeTasks struct{ *fakeServices }

func (f fakeTasks) List(context.Context) (api.TaskList, error) { return f.tasks, f.call("tasks") }
func (f fakeTasks) Get(_ context.Context, id string) (api.Task, error) {
	return f.task("task", id)
}

func (f fakeTasks) Cancel(_ context.Context, id string) (api.Task, error) {
	return f.task("cancel", id)
}

type fakeEvents struct{ *fakeServices }

func (f fakeEvents) Follow(ctx context.Context, since int64) iter.Seq2[service.Delivery, error] {
	if err := f.call("follow", since); err != nil {
		return func(yield func(service.Delivery, error) bool) { yield(service.Delivery{}, err) }
	}
	if f.events == nil {
		return func(func(service.Delivery, error) bool) {}
	}
	return f.events(ctx, since)
}

type fakeHost struct{ *fakeServices }

func (f fakeHost) Info(context.Context) (api.Info, error) {
	return api.Info{Version: "1.2.3", PID: 1, Revision: f.revision}, f.call("info")
}

func (f fakeHost) Host(context.Context) (api.Host, error) {
	return api.Host{Name: "here", Memory: api.GiB}, f.call("host")
}

func (f fakeHost) ChangeHost(_ context.Context, request api.ChangeHostRequest) (api.Host, error) {
	return api.Host{Name: "here"}, f.call("change-host", request.Set)
}

// errOdd is an error that nobody expected.
var errOdd = errors.New("something odd")
