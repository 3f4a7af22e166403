package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/testenv"
)

// connection is what the scripted stream sends on one connection, and then it
// hangs up.
type connection struct {
	since string // what the client must ask for
	sends string
	fail  *api.Problem
}

// script serves the connections in their order.
func script(t *testing.T, connections ...connection) http.Handler {
	next := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, api.Info{Revision: 40}) })
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		if next == len(connections) {
			answer(w, 410, api.Problem{Kind: api.KindGone, Detail: "the script is over"})
			return
		}
		c := connections[next]
		next++
		if since := r.URL.Query().Get(api.QuerySince); since != c.since {
			t.Errorf("connection %d asks for events since %s, want %s", next, since, c.since)
		}
		if c.fail != nil {
			answer(w, c.fail.Status, c.fail)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, c.sends)
	})
	return mux
}

// event is an event on the wire. The last one of a revision has an ID.
func event(revision int64, kind api.EventType, last bool) string {
	text := fmt.Sprintf("data: {\"revision\":%d,\"type\":%q}\n\n", revision, kind)
	if last {
		text = "id: " + strconv.FormatInt(revision, 10) + "\n" + text
	}
	return text
}

func TestEventsGoOnAfterALostConnection(t *testing.T) {
	c := serve(t, script(t,
		connection{since: "10", sends: ": hello\n\n" + event(11, "a", true) + event(12, "b", false)},
		connection{since: "11", sends: event(12, "b", false) + event(12, "c", true) + "data: {\"revision\":13"},
		connection{since: "12", sends: "retry: 60\n\n"},
		connection{since: "12", sends: "id: 20\n\n"},
		connection{since: "20", sends: event(21, "d", true)},
	))
	var got []string
	var last error
	for event, err := range c.Events(context.Background(), 10, client.EventFilter{}) {
		if err != nil {
			last = err
			break
		}
		got = append(got, fmt.Sprintf("%d%s", event.Revision, event.Type))
	}
	if diff := cmp.Diff([]string{"11a", "12b", "12c", "21d"}, got); diff != "" {
		t.Error(diff)
	}
	if client.KindOf(last) != api.KindGone {
		t.Errorf("the stream ended with %v, want gone", last)
	}
}

func TestEventsFromNow(t *testing.T) {
	c := serve(t, script(t, connection{since: "40", sends: event(41, "a", true)}))
	for event, err := range c.Events(context.Background(), client.FromNow, client.EventFilter{}) {
		if err != nil || event.Revision != 41 {
			t.Errorf("%v %v", event, err)
		}
		break
	}
}

func TestEventsErrors(t *testing.T) {
	busy := &api.Problem{Kind: api.KindRefused, Status: 403, Detail: "no"}
	tests := []struct {
		name        string
		connections []connection
		kind        api.Kind
	}{
		{"refused", []connection{{since: "1", fail: busy}}, api.KindRefused},
		{"refused later", []connection{{since: "1", sends: event(2, "a", true)}, {since: "2", fail: busy}}, api.KindRefused},
		{"not JSON", []connection{{since: "1", sends: "data: {\n\n"}}, api.KindUnavailable},
		{"not a revision", []connection{{since: "1", sends: "id: x\n\n"}}, api.KindUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t, script(t, test.connections...))
			var last error
			for _, err := range c.Events(context.Background(), 1, client.EventFilter{}) {
				last = err
			}
			if client.KindOf(last) != test.kind {
				t.Errorf("%v, want %s", last, test.kind)
			}
		})
	}
}

func TestEventsGiveUp(t *testing.T) {
	socket := filepath.Join(testenv.SocketDir(t), "s")
	server := listen(t, socket, script(t, connection{since: "1", sends: event(2, "a", true)}))
	told := 0
	c := client.New(socket, client.Options{Patience: 200 * time.Millisecond, Lost: func(time.Duration) { told++ }})
	defer c.Close()
	var last error
	for _, err := range c.Events(context.Background(), 1, client.EventFilter{}) {
		if last = err; err == nil {
			server.Close()
		}
	}
	if client.KindOf(last) != api.KindUnavailable {
		t.Errorf("%v, want that the daemon cannot be reached", last)
	}
	if told != 1 {
		t.Errorf("it was told %d times that the daemon is waited for", told)
	}
}

func TestEventsEndWithTheContext(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, event(2, "a", true))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	for _, err := range c.Events(ctx, 1, client.EventFilter{}) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("%v, want the context's error", last)
	}
}

// taskEvent is an event of a task on the wire.
func taskEvent(revision int64, id string, state api.TaskState) string {
	return fmt.Sprintf("id: %d\ndata: {\"revision\":%[1]d,\"type\":\"task.progress\",\"task\":{\"id\":%q,\"state\":%q,\"revision\":%[1]d}}\n\n", revision, id, state)
}

func TestWaitTask(t *testing.T) {
	c := serve(t, script(t,
		connection{since: "5", sends: taskEvent(6, "t1", api.TaskRunning) + taskEvent(7, "other", api.TaskDone)},
		connection{since: "7", sends: taskEvent(8, "t1", api.TaskFailed)},
	))
	var states []api.TaskState
	task, err := c.WaitTask(context.Background(), api.Task{ID: "t1", Revision: 5, State: api.TaskRunning}, func(task api.Task) {
		states = append(states, task.State)
	})
	if task.State != api.TaskFailed || client.KindOf(err) != api.KindInternal {
		t.Errorf("%+v %v", task, err)
	}
	if diff := cmp.Diff([]api.TaskState{api.TaskRunning, api.TaskFailed}, states); diff != "" {
		t.Error(diff)
	}
}

func TestWaitTaskThatHasEnded(t *testing.T) {
	c := client.New("/nowhere", client.Options{})
	if _, err := c.WaitTask(context.Background(), api.Task{State: api.TaskDone}, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.WaitTask(context.Background(), api.Task{State: api.TaskCancelled}, nil); client.KindOf(err) != api.KindCancelled {
		t.Error(err)
	}
	failed := api.Task{State: api.TaskFailed, Error: &api.Problem{Kind: api.KindNoSpace}}
	if _, err := c.WaitTask(context.Background(), failed, nil); client.KindOf(err) != api.KindNoSpace {
		t.Error(err)
	}
}

func TestWaitTaskWhoseEventsAreGone(t *testing.T) {
	gone := &api.Problem{Kind: api.KindGone, Status: 410}
	events := script(t, connection{since: "5", fail: gone}, connection{since: "40", sends: taskEvent(41, "t1", api.TaskDone)})
	mux := http.NewServeMux()
	mux.Handle("/", events)
	mux.HandleFunc("GET /v1/tasks/t1", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, api.Task{ID: "t1", State: api.TaskRunning, Revision: 5})
	})
	task, err := serve(t, mux).WaitTask(context.Background(), api.Task{ID: "t1", Revision: 5, State: api.TaskRunning}, nil)
	if err != nil || task.State != api.TaskDone {
		t.Errorf("%+v %v", task, err)
	}
}
