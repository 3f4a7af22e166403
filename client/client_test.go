package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers on a Unix socket as the test says, and returns a client of it.
func serve(t *testing.T, handler http.Handler) *client.Client {
	t.Helper()
	socket := filepath.Join(testenv.SocketDir(t), "s")
	server := listen(t, socket, handler)
	c := client.New(socket, client.Options{})
	t.Cleanup(func() { c.Close(); server.Close() })
	return c
}

// listen starts a server on a Unix socket.
func listen(t *testing.T, socket string, handler http.Handler) *httptest.Server {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	return server
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func TestRequests(t *testing.T) {
	const odd = "a b/c+d@(e)"
	machine, task := api.Machine{Revision: 5, Spec: api.Spec{Name: "web"}}, api.Task{ID: "t1", State: api.TaskRunning}
	ctx := context.Background()
	tests := []struct {
		name, pattern string
		call          func(c *client.Client) (any, error)
		answer        any
		query, body   string
	}{
		{"info", "GET /v1", func(c *client.Client) (any, error) { return c.Info(ctx) }, api.Info{PID: 7}, "", ""},
		{"host", "GET /v1/host", func(c *client.Client) (any, error) { return c.Host(ctx) }, api.Host{Name: "h"}, "", ""},
		{"list", "GET /v1/machines", func(c *client.Client) (any, error) {
			return c.ListMachines(ctx, client.ListFilter{State: api.StateOff, Labels: []string{"a=b c", "d"}})
		}, api.MachineList{Revision: 9}, "label=a%3Db+c&label=d&state=off", ""},
		{"create", "POST /v1/machines", func(c *client.Client) (any, error) {
			return c.Create(ctx, api.CreateRequest{Disks: []api.DiskSource{{Path: "/d"}}})
		}, task, "", `{"disks":[{"path":"/d"}]}`},
		{"register", "POST /v1/machines:register", func(c *client.Client) (any, error) {
			return c.Register(ctx, api.RegisterRequest{Folder: "/f"})
		}, machine, "", `{"folder":"/f"}`},
		{"get", "GET /v1/machines/{ref}", func(c *client.Client) (any, error) { return c.Get(ctx, odd) }, machine, "", ""},
		{"replace", "PUT /v1/machines/{ref}", func(c *client.Client) (any, error) {
			return c.Replace(ctx, odd, api.ReplaceRequest{Revision: 3})
		}, machine, "", `{"revision":3,"spec":{}}`},
		{"change", "PATCH /v1/machines/{ref}", func(c *client.Client) (any, error) {
			return c.Change(ctx, odd, api.ChangeRequest{Revision: 3, Set: []string{"cpus=2"}})
		}, machine, "", `{"revision":3,"set":["cpus=2"]}`},
		{"rename", "POST /v1/machines/{ref}/rename", func(c *client.Client) (any, error) { return c.Rename(ctx, odd, "n") }, machine, "", `{"name":"n"}`},
		{"delete", "POST /v1/machines/{ref}/delete", func(c *client.Client) (any, error) {
			return c.Delete(ctx, odd, api.DeleteRequest{Force: true})
		}, task, "", `{"force":true}`},
		{"start", "POST /v1/machines/{ref}/start", func(c *client.Client) (any, error) { return c.Start(ctx, odd) }, task, "", ""},
		{"stop", "POST /v1/machines/{ref}/stop", func(c *client.Client) (any, error) { return c.Stop(ctx, odd) }, task, "", ""},
		{"shutdown", "POST /v1/machines/{ref}/shutdown", func(c *client.Client) (any, error) {
			return c.Shutdown(ctx, odd, api.ShutdownRequest{Timeout: 5})
		}, task, "", `{"timeout":5}`},
		{"save", "POST /v1/machines/{ref}/save", func(c *client.Client) (any, error) { return c.Save(ctx, odd) }, task, "", ""},
		{"pause", "POST /v1/machines/{ref}/pause", func(c *client.Client) (any, error) { return c.Pause(ctx, odd) }, machine, "", ""},
		{"resume", "POST /v1/machines/{ref}/resume", func(c *client.Client) (any, error) { return c.Resume(ctx, odd) }, machine, "", ""},
		{"reset", "POST /v1/machines/{ref}/reset", func(c *client.Client) (any, error) { return c.Reset(ctx, odd) }, machine, "", ""},
		{"tasks", "GET /v1/tasks", func(c *client.Client) (any, error) { return c.Tasks(ctx) }, api.TaskList{Tasks: []api.Task{task}}, "", ""},
		{"task", "GET /v1/tasks/{ref}", func(c *client.Client) (any, error) { return c.Task(ctx, odd) }, task, "", ""},
		{"cancel", "POST /v1/tasks/{ref}/cancel", func(c *client.Client) (any, error) { return c.CancelTask(ctx, odd) }, task, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc(test.pattern, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(test.pattern, "{ref}") && r.PathValue("ref") != odd {
					t.Errorf("reference %q, want %q", r.PathValue("ref"), odd)
				}
				body, _ := io.ReadAll(r.Body)
				if r.URL.RawQuery != test.query || string(body) != test.body {
					t.Errorf("query %q body %q, want %q and %q", r.URL.RawQuery, body, test.query, test.body)
				}
				answer(w, http.StatusAccepted, test.answer)
			})
			got, err := test.call(serve(t, mux))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.answer, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name, contentType, body string
		status                  int
		kind                    api.Kind
		message                 string
	}{
		{"the daemon's", "application/problem+json", `{"kind":"busy","detail":"start web: a task is at work","help":"wait"}`, 409, api.KindBusy, "start web: a task is at work (wait)"},
		{"without kind", "application/problem+json", `{"detail":"no such thing"}`, 404, api.KindNotFound, "no such thing"},
		{"plain text", "text/plain", "404 page not found\nmore", 404, api.KindNotFound, "404 page not found"},
		{"nothing", "text/plain", "", 503, api.KindUnavailable, "Service Unavailable"},
		{"a page", "text/html", strings.Repeat("ü", 5000), 500, api.KindInternal, "üü…"},
		{"an odd status", "text/plain", "teapot", 418, api.KindInternal, "418: teapot"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.contentType)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			_, err := c.Get(context.Background(), "web")
			if client.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.message) {
				t.Errorf("%q (%s), want %q (%s)", err, client.KindOf(err), test.message, test.kind)
			}
		})
	}
}

func TestNoDaemon(t *testing.T) {
	socket := filepath.Join(testenv.SocketDir(t), "none")
	c := client.New(socket, client.Options{})
	_, err := c.Info(context.Background())
	if client.KindOf(err) != api.KindUnavailable || !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "panal daemon") {
		t.Errorf("%v, want a problem that names the socket and what to do", err)
	}
	_, err = c.Console(context.Background(), "web", client.ConsoleOptions{})
	if client.KindOf(err) != api.KindUnavailable || !strings.Contains(err.Error(), socket) {
		t.Errorf("console: %v, want a problem that names the socket", err)
	}
}

func TestReferencesThatWouldLeaveThePath(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked for", r.URL.Path)
	}))
	for _, reference := range []string{"", ".", ".."} {
		if _, err := c.Get(context.Background(), reference); client.KindOf(err) != api.KindNotFound {
			t.Errorf("%q: %v, want not found", reference, err)
		}
	}
}

func TestBounds(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Error("a request beyond the bound was sent")
		}
		block := strings.Repeat(" ", 1<<20)
		for range 65 {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	}))
	if _, err := c.Get(context.Background(), "web"); err == nil || !strings.Contains(err.Error(), "more than 67108864 bytes") {
		t.Errorf("an endless answer: %v", err)
	}
	_, err := c.Create(context.Background(), api.CreateRequest{Spec: api.Spec{Description: strings.Repeat("x", 2<<20)}})
	if client.KindOf(err) != api.KindTooLarge {
		t.Errorf("an endless request: %v", err)
	}
}

func TestAnswerCutOff(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"revision":1`)
	}))
	if _, err := c.Get(context.Background(), "web"); client.KindOf(err) != api.KindUnavailable {
		t.Errorf("%v, want a problem", err)
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	if _, err := c.Get(ctx, "web"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var connections atomic.Int32
	socket := filepath.Join(testenv.SocketDir(t), "s")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, api.Info{}) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	c := client.New(socket, client.Options{})
	defer c.Close()
	for i := range 10 {
		if _, err := c.Info(context.Background()); err != nil {
			t.Fatal(fmt.Errorf("request %d: %w", i, err))
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 10 requests, want 1", n)
	}
}
