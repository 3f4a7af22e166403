package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// do sends one request to a handler.
func do(h http.Handler, method, target, body string) *http.Response {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// problemOf is the problem that an answer must be.
func problemOf(t *testing.T, r *http.Response) api.Problem {
	t.Helper()
	body := text(t, r)
	if got := r.Header.Get("Content-Type"); got != problemType {
		t.Fatalf("status %d has the content type %q: %s", r.StatusCode, got, body)
	}
	var p api.Problem
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("not a problem: %v\n%s", err, body)
	}
	if p.Status != r.StatusCode || p.Title == "" || p.Type != "urn:panal:problem:"+string(p.Kind) || p.Detail == "" {
		t.Fatalf("status %d: an incomplete problem: %s", r.StatusCode, body)
	}
	return p
}

type operationCase struct {
	op           api.Operation
	target, body string
	status       int
	call         string
}

// operations is a good request for each operation that answers to plain HTTP,
// and the call it makes.
var operations = []operationCase{
	{api.GetInfo, "/v1", "", 200, "info"},
	{api.GetHost, "/v1/host", "", 200, "host"},
	{api.ListMachines, "/v1/machines", "", 200, "list {Labels:[] State:}"},
	{api.ListMachines, "/v1/machines?label=a&label=b%3Dc%2Cd&state=running", "", 200, "list {Labels:[a b=c,d] State:running}"},
	{api.CreateMachine, "/v1/machines", `{"spec":{"name":"web","memory":{"size":"1.5G"}},"disks":[{"path":"/d"}],"set":["cpus=2"]}`, 202, "create web 1536M [{Path:/d Mode: Format: Snapshot:}] [cpus=2]"},
	{api.CreateMachine, "/v1/machines", `{"spec":{"memory":{"size":4096}}}`, 202, "create  4K [] []"},
	{api.PlanImport, "/v1/imports:plan", `{"source":"/a.ova","properties":{"a":"b"}}`, 200, "plan-import /a.ova map[a:b]"},
	{api.Import, "/v1/imports", `{"source":"/a.ova","networks":{"LAN":"none"}}`, 202, "import /a.ova map[LAN:none]"},
	{api.Export, "/v1/exports", `{"machines":["web"],"destination":"/a.ova"}`, 202, "export /a.ova [web]"},
	{api.Register, "/v1/machines:register", `{"folder":"/m","newUUID":true}`, 200, "register {Folder:/m NewUUID:true Name: Discard:false}"},
	{api.GetMachine, "/v1/machines/web", "", 200, "get web"},
	{api.GetMachine, "/v1/machines/my%20web%2Fx", "", 200, "get my web/x"},
	{api.ReplaceMachine, "/v1/machines/web", `{"revision":3,"spec":{"name":"web","drives":[{"name":"disk0","file":"disks/disk0.qcow2"}]}}`, 200, "replace web 3 web"},
	{api.ChangeMachine, "/v1/machines/web", `{"revision":3,"set":["a=b"]}`, 200, "change web {Revision:3 Set:[a=b]}"},
	{api.DeleteMachine, "/v1/machines/web/delete", "", 202, "delete web {Force:false KeepFiles:false}"},
	{api.DeleteMachine, "/v1/machines/web/delete", `{"force":true}`, 202, "delete web {Force:true KeepFiles:false}"},
	{api.RenameMachine, "/v1/machines/web/rename", `{"name":"mail"}`, 200, "rename web {Name:mail}"},
	{api.StartMachine, "/v1/machines/web/start", "", 202, "start web"},
	{api.StopMachine, "/v1/machines/web/stop", "", 202, "stop web"},
	{api.ShutdownMachine, "/v1/machines/web/shutdown", "", 202, "shutdown web {Timeout:0 Force:false}"},
	{api.ShutdownMachine, "/v1/machines/web/shutdown", `{"timeout":5,"force":true}`, 202, "shutdown web {Timeout:5 Force:true}"},
	{api.SaveMachine, "/v1/machines/web/save", "", 202, "save web"},
	{api.PauseMachine, "/v1/machines/web/pause", "", 200, "pause web"},
	{api.ResumeMachine, "/v1/machines/web/resume", "", 200, "resume web"},
	{api.ResetMachine, "/v1/machines/web/reset", "", 200, "reset web"},
	{api.TakeScreenshot, "/v1/machines/web/screenshot", "", 200, "screenshot web"},
	{api.ReadLog, "/v1/machines/web/log", "", 200, "log web qemu 0"},
	{api.ReadLog, "/v1/machines/web/log?name=serial0&tail=100", "", 200, "log web serial0 100"},
	{api.ListTasks, "/v1/tasks", "", 200, "tasks"},
	{api.GetTask, "/v1/tasks/t1", "", 200, "task t1"},
	{api.CancelTask, "/v1/tasks/t1/cancel", "", 202, "cancel t1"},
	{api.ReadEvents, "/v1/events", "", 200, "info\nfollow 0"},
}

func TestOperations(t *testing.T) {
	fake := &fakeServices{}
	h := New(fake.services(), Options{})
	for _, test := range operations {
		t.Run(test.op.Method+" "+test.target, func(t *testing.T) {
			r := do(h, test.op.Method, test.target, test.body)
			if body := text(t, r); r.StatusCode != test.status {
				t.Errorf("status %d, want %d: %s", r.StatusCode, test.status, body)
			}
			if diff := cmp.Diff(test.call, fake.called()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	fake := &fakeServices{}
	h := New(fake.services(), Options{})
	for target, want := range map[string]struct{ mediaType, body string }{
		"/v1":                         {"application/json", `{"version":"1.2.3","pid":1,"data":"","runtime":"","revision":0}` + "\n"},
		"/v1/machines":                {"application/json", `{"revision":0,"machines":[]}` + "\n"},
		"/v1/tasks":                   {"application/json", `{"revision":0,"tasks":[]}` + "\n"},
		"/v1/tasks/t1":                {"application/json", `{"id":"t1","revision":7,"kind":"task","state":"running","created":"2026-02-03T04:05:06.000000789Z"}` + "\n"},
		"/v1/machines/web/screenshot": {"image/png", "\x89PNG picture"},
		"/v1/machines/web/log":        {"text/plain; charset=utf-8", "line\n"},
		"/v1/events":                  {"text/event-stream", "id: 0\n\n"},
	} {
		r := do(h, "GET", target, "")
		if got := r.Header.Get("Content-Type"); got != want.mediaType {
			t.Errorf("%s: content type %q, want %q", target, got, want.mediaType)
		}
		if diff := cmp.Diff(want.body, text(t, r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
}

func TestServiceErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		kind api.Kind
	}{
		{problem.New(api.KindNotFound, "", "there is no machine"), api.KindNotFound},
		{fmt.Errorf("start: %w", problem.New(api.KindBusy, "wait", "a task is at work")), api.KindBusy},
		{errOdd, api.KindInternal},
		{&api.Problem{Kind: "unheard-of", Detail: "odd"}, api.KindInternal},
	} {
		fake := &fakeServices{err: test.err}
		h := New(fake.services(), Options{})
		for _, op := range operations {
			p := problemOf(t, do(h, op.op.Method, op.target, op.body))
			if p.Kind != test.kind || p.Status != problem.Status(test.kind) {
				t.Errorf("%s with %v: kind %s, status %d", op.target, test.err, p.Kind, p.Status)
			}
		}
	}
}
