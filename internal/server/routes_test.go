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
	{api.SetHost, "/v1/host", `{"set":["cpu.ratio=4"]}`, 200, "change-host [cpu.ratio=4]"},
	{api.GetStats, "/v1/machines/web/stats", "", 200, "stats web"},
	{api.GetStatsHistory, "/v1/machines/web/stats/history?after=2026-01-02T03:04:05Z", "", 200, "history web 1767323045"},
	{api.ListStats, "/v1/stats", "", 200, "all stats"},
	{api.ReadMetrics, "/metrics", "", 200, "all stats"},
	{api.ListMachines, "/v1/machines", "", 200, "list {Labels:[] State:}"},
	{api.ListMachines, "/v1/machines?label=a&label=b%3Dc%2Cd&state=running", "", 200, "list {Labels:[a b=c,d] State:running}"},
	{api.CreateMachine, "/v1/machines", `{"spec":{"name":"web","memory":{"size":"1.5G"}},"disks":[{"path":"/d"}],"set":["cpus=2"]}`, 202, "create web 1536M [{Path:/d Mode: Format: Snapshot: WriteMode: AutoReset:<nil>}] [cpus=2]"},
	{api.CreateMachine, "/v1/machines", `{"spec":{"memory":{"size":4096}}}`, 202, "create  4K [] []"},
	{api.PlanImport, "/v1/imports:plan", `{"source":"/a.ova","properties":{"a":"b"}}`, 200, "plan-import /a.ova map[a:b]"},
	{api.Import, "/v1/imports", `{"source":"/a.ova","networks":{"LAN":"none"}}`, 202, "import /a.ova map[LAN:none]"},
	{api.Export, "/v1/exports", `{"machines":["web"],"destination":"/a.ova"}`, 202, "export /a.ova [web]"},
	{api.ExportStream, "/v1/exports:stream", `{"machines":["web"]}`, 200, "export to a stream [web]"},
	{api.Register, "/v1/machines:register", `{"folder":"/m","newUUID":true}`, 200, "register {Folder:/m NewUUID:true Name: Discard:false}"},
	{api.GetMachine, "/v1/machines/web", "", 200, "get web"},
	{api.GetMachine, "/v1/machines/my%20web%2Fx", "", 200, "get my web/x"},
	{api.ReplaceMachine, "/v1/machines/web", `{"revision":3,"spec":{"name":"web","drives":[{"name":"disk0","file":"disks/disk0.qcow2"}]}}`, 200, "replace web 3 web"},
	{api.ChangeMachine, "/v1/machines/web", `{"revision":3,"set":["a=b"]}`, 200, "change web {Revision:3 Set:[a=b]}"},
	{api.DeleteMachine, "/v1/machines/web/delete", "", 202, "delete web {Force:false KeepFiles:false}"},
	{api.DeleteMachine, "/v1/machines/web/delete", `{"force":true}`, 202, "delete web {Force:true KeepFiles:false}"},
	{api.ListMedia, "/v1/media", "", 200, "list-media"},
	{api.MakeMedium, "/v1/media", `{"path":"/d","size":"1G"}`, 202, "make-medium /d 1G"},
	{api.AddMedium, "/v1/media:add", `{"path":"/d"}`, 200, "add-medium /d"},
	{api.PruneMedia, "/v1/media:prune", `{}`, 200, "prune false"},
	{api.GetMedium, "/v1/media/%2Fsrv%2Fd.vdi", "", 200, "medium /srv/d.vdi"},
	{api.ChangeMedium, "/v1/media/u1", `{"size":"2G"}`, 200, "change-medium u1 2G"},
	{api.MoveMedium, "/v1/media/u1/move", `{"path":"/e"}`, 200, "move-medium u1 /e"},
	{api.MediumPassphrase, "/v1/media/u1/passphrase", `{"passphrase":"a","add":"b","remove":true}`, 200, "medium-passphrase u1 {Passphrase:a Add:b Remove:true}"},
	{api.CompactMedium, "/v1/media/u1/compact", "", 202, "compact-medium u1"},
	{api.ReleaseMedium, "/v1/media/u1/release", "", 200, "release-medium u1"},
	{api.RemoveMedium, "/v1/media/u1/remove", `{"deleteFile":true}`, 200, "remove-medium u1 true"},
	{api.ListPools, "/v1/pools", "", 200, "list-pools"},
	{api.AddPool, "/v1/pools", `{"name":"fast","path":"/p"}`, 200, "add-pool fast /p"},
	{api.GetPool, "/v1/pools/fast", "", 200, "pool fast"},
	{api.RemovePool, "/v1/pools/fast/remove", "", 200, "remove-pool fast"},
	{api.ListSnapshots, "/v1/machines/web/snapshots", "", 200, "list-snapshots web"},
	{api.TakeSnapshot, "/v1/machines/web/snapshots", `{"name":"a","memory":true}`, 202, "take web {Name:a Description: Memory:true Quiesce:false}"},
	{api.TakeSnapshot, "/v1/machines/web/snapshots", "", 202, "take web {Name: Description: Memory:false Quiesce:false}"},
	{api.GetSnapshot, "/v1/machines/web/snapshots/a%2Fb", "", 200, "get-snapshot web a/b"},
	{api.ChangeSnapshot, "/v1/machines/web/snapshots/a", `{"name":"b"}`, 200, "change-snapshot web a b"},
	{api.RestoreSnapshot, "/v1/machines/web/snapshots/a/restore", `{"keep":true}`, 202, "restore web a {Keep:true KeepName: Force:false Paused:false}"},
	{api.DeleteSnapshot, "/v1/machines/web/snapshots/a/delete", "", 202, "delete-snapshot web a {Children:false}"},
	{api.DiffSnapshot, "/v1/machines/web/snapshots/a/diff?to=b", "", 200, "diff web a b"},
	{api.CloneMachine, "/v1/machines/web/clone", `{"name":"mail","linked":true,"count":2}`, 202, "clone web {Name:mail Linked:true Snapshot: Running:false Count:2 Pool: KeepTPM:false}"},
	{api.MoveMachine, "/v1/machines/web/move", `{"directory":"/srv"}`, 202, "move web {Directory:/srv Pool:}"},
	{api.StreamMachine, "/v1/machines/web/stream", ``, 202, "stream web"},
	{api.AcceptBases, "/v1/machines/web/accept-bases", "", 200, "accept-bases web"},
	{api.UnlockMachine, "/v1/machines/web/unlock", `{"passphrase":"a","drive":"disk0"}`, 200, "unlock web {Passphrase:a Drive:disk0}"},
	{api.LockMachine, "/v1/machines/web/lock", "", 200, "lock web"},
	{api.RenameMachine, "/v1/machines/web/rename", `{"name":"mail"}`, 200, "rename web {Name:mail}"},
	{api.StartMachine, "/v1/machines/web/start", "", 202, "start web"},
	{api.StopMachine, "/v1/machines/web/stop", "", 202, "stop web"},
	{api.ShutdownMachine, "/v1/machines/web/shutdown", "", 202, "shutdown web {Timeout:0 Force:false}"},
	{api.ShutdownMachine, "/v1/machines/web/shutdown", `{"timeout":5,"force":true}`, 202, "shutdown web {Timeout:5 Force:true}"},
	{api.AttachDrive, "/v1/machines/web/attach", `{"drive":{"source":"/d","controller":"scsi0"}}`, 202, "attach web /d scsi0"},
	{api.DetachDrive, "/v1/machines/web/detach", `{"drive":"disk1","timeout":5}`, 202, "detach web {Drive:disk1 Timeout:5}"},
	{api.EjectMedium, "/v1/machines/web/eject", `{"drive":"cd","force":true}`, 202, "eject web {Drive:cd Force:true Timeout:0}"},
	{api.InsertMedium, "/v1/machines/web/insert", `{"drive":"cd","source":"/c.iso"}`, 202, "insert web {Drive:cd Source:/c.iso Format: Snapshot: Write:false Force:false Timeout:0}"},
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
