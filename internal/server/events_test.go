package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/service"
)

// history is a stream of events: three revisions, of one machine, of a task and
// of two machines at once.
var history = []service.Delivery{
	{Event: api.Event{Revision: 5, Type: api.MachineCreated, Machine: machineOf("m1")}, Last: true},
	{Event: api.Event{Revision: 6, Type: api.TaskCreated, Task: &api.Task{ID: "t1", Machine: "m1", Created: when}}},
	{Event: api.Event{Revision: 6, Type: api.MachineChanged, Machine: machineOf("m1")}, Last: true},
	{Event: api.Event{Revision: 9, Type: api.MachineState, Machine: machineOf("m1"), From: api.StateOff}},
	{Event: api.Event{Revision: 9, Type: api.MachineState, Machine: machineOf("m2")}, Last: true},
}

func machineOf(uuid string) *api.Machine {
	return &api.Machine{Created: when, Spec: api.Spec{UUID: uuid}, Status: api.Status{Since: when}}
}

// replay gives what of the history comes after since, and ends.
func replay(_ context.Context, since int64) iter.Seq2[service.Delivery, error] {
	return func(yield func(service.Delivery, error) bool) {
		if since < 4 {
			yield(service.Delivery{}, problem.New(api.KindGone, "list again", "the events after revision %d are no longer kept", since))
			return
		}
		for _, d := range history {
			if d.Revision > since && !yield(d, nil) {
				return
			}
		}
	}
}

// brief is a stream in few words: a line for each event.
func brief(t *testing.T, stream string) string {
	t.Helper()
	var lines []string
	for block := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		var words []string
		for line := range strings.SplitSeq(block, "\n") {
			data, isData := strings.CutPrefix(line, "data: ")
			if !isData {
				words = append(words, line)
				continue
			}
			var e struct {
				api.Event
				Kind api.Kind `json:"kind"`
			}
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatalf("%v: %s", err, data)
			}
			words = append(words, fmt.Sprint(e.Revision, e.Kind))
		}
		lines = append(lines, strings.Join(words, ", "))
	}
	return strings.Join(lines, "\n")
}

func TestEventStreams(t *testing.T) {
	whole := strings.Join([]string{
		"event: machine.created, 5, id: 5",
		"event: task.created, 6",
		"event: machine.changed, 6, id: 6",
		"event: machine.state, 9",
		"event: machine.state, 9, id: 9",
	}, "\n")
	for _, test := range []struct {
		name, query, last string
		want              string
	}{
		{"all", "?since=4", "", whole},
		{"from the middle", "?since=5", "", whole[strings.Index(whole, "\n")+1:]},
		{"from now on", "", "", "id: 9"},
		{"a negative revision", "?since=-7", "", "id: 9"},
		{"the newest", "?since=9", "", "id: 9"},
		{"resumed", "?since=4", "6", "event: machine.state, 9\nevent: machine.state, 9, id: 9"},
		// Revision 9 ends with an event of another machine: its id comes alone.
		{"one machine", "?since=4&machine=m1", "", whole[:strings.LastIndex(whole, "\n")] + "\nid: 9"},
		{"the other machine", "?since=4&machine=m2", "", "event: machine.state, 9, id: 9"},
		{"one task", "?since=4&task=t1", "", "event: task.created, 6\nid: 6"},
		{"a task of another machine", "?since=4&task=t1&machine=m2", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := New((&fakeServices{revision: 9, events: replay}).services(), Options{})
			r := httptest.NewRequest("GET", "/v1/events"+test.query, nil)
			if test.last != "" {
				r.Header.Set("Last-Event-ID", test.last)
			}
			answer := send(h, r)
			if diff := cmp.Diff(test.want, brief(t, text(t, answer))); diff != "" || answer.StatusCode != 200 {
				t.Errorf("status %d, stream (-want +got):\n%s", answer.StatusCode, diff)
			}
		})
	}
}

func TestEventDataIsTheEvent(t *testing.T) {
	h := New((&fakeServices{revision: 9, events: replay}).services(), Options{})
	want, err := json.Marshal(history[4].Event)
	if err != nil {
		t.Fatal(err)
	}
	body := text(t, do(h, "GET", "/v1/events?since=8&machine=m2", ""))
	if diff := cmp.Diff("event: machine.state\ndata: "+string(want)+"\nid: 9\n\n", body); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEventsThatAreGone(t *testing.T) {
	h := New((&fakeServices{revision: 9, events: replay}).services(), Options{})
	if p := problemOf(t, do(h, "GET", "/v1/events?since=0", "")); p.Kind != api.KindGone || p.Help != "list again" {
		t.Errorf("%+v", p)
	}
	r := httptest.NewRequest("GET", "/v1/events", nil)
	r.Header.Set("Last-Event-ID", "nonsense")
	if p := problemOf(t, send(h, r)); p.Kind != api.KindInvalid || p.Errors[0].Field != "Last-Event-ID" {
		t.Errorf("%+v", p)
	}
}

func TestEventsThatBreakOff(t *testing.T) {
	h := New((&fakeServices{revision: 9, events: func(ctx context.Context, since int64) iter.Seq2[service.Delivery, error] {
		return func(yield func(service.Delivery, error) bool) {
			for d := range replay(ctx, since) {
				yield(d, nil)
			}
			yield(service.Delivery{}, problem.New(api.KindUnavailable, "", "the store has closed"))
		}
	}}).services(), Options{})
	want := "event: machine.state, 9\nevent: machine.state, 9, id: 9\nevent: error, 0unavailable"
	if diff := cmp.Diff(want, brief(t, text(t, do(h, "GET", "/v1/events?since=8", "")))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEventsOfHEAD(t *testing.T) {
	fake := &fakeServices{events: forEver}
	if r := do(New(fake.services(), Options{}), "HEAD", "/v1/events", ""); r.StatusCode != 200 || fake.called() != "info" {
		t.Errorf("status %d", r.StatusCode)
	}
}

// forEver has no events, for as long as it may.
func forEver(ctx context.Context, _ int64) iter.Seq2[service.Delivery, error] {
	return func(func(service.Delivery, error) bool) { <-ctx.Done() }
}

// TestKeepAlive sees 40 seconds of a stream, on a clock of its own, in which
// only events of other machines happen.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New((&fakeServices{revision: 4, events: func(ctx context.Context, _ int64) iter.Seq2[service.Delivery, error] {
			return func(yield func(service.Delivery, error) bool) {
				time.Sleep(20 * time.Second)
				yield(service.Delivery{Event: api.Event{Revision: 5, Machine: machineOf("m2")}, Last: true}, nil)
				<-ctx.Done()
			}
		}}).services(), Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "GET", "/v1/events?machine=m1", nil)
		if got, want := text(t, send(h, r)), "id: 4\n\n:\n\nid: 5\n\n:\n\n"; got != want {
			t.Errorf("stream %q, want %q", got, want)
		}
	})
}

func TestEventsArriveAtOnceAndEndWithTheClient(t *testing.T) {
	steps, left := make(chan service.Delivery), make(chan struct{})
	fake := &fakeServices{revision: 4, events: func(ctx context.Context, _ int64) iter.Seq2[service.Delivery, error] {
		return func(yield func(service.Delivery, error) bool) {
			defer close(left)
			for {
				select {
				case d := <-steps:
					if !yield(d, nil) {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}
	}}
	client, stop := serveUnix(t, New(fake.services(), Options{}))
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", "http://panal/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for _, d := range history {
		steps <- d
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "event: "+string(d.Type)) {
		}
	}
	cancel()
	<-left
}

// stuckWriter is a client that never reads: its connection's deadline passes.
type stuckWriter struct {
	header http.Header
	room   int
}

func (w *stuckWriter) Header() http.Header { return w.header }
func (w *stuckWriter) WriteHeader(int)     {}
func (w *stuckWriter) Write(data []byte) (int, error) {
	if w.room -= len(data); w.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(data), nil
}
func (w *stuckWriter) FlushError() error { return nil }

func TestAClientThatDoesNotReadIsLeft(t *testing.T) {
	given := 0
	fake := &fakeServices{revision: 4, events: func(context.Context, int64) iter.Seq2[service.Delivery, error] {
		return func(yield func(service.Delivery, error) bool) {
			for given = 0; yield(history[0], nil); given++ {
			}
		}
	}}
	h := New(fake.services(), Options{})
	h.ServeHTTP(&stuckWriter{http.Header{}, 10_000}, httptest.NewRequest("GET", "/v1/events", nil))
	if given == 0 || given > 200 {
		t.Errorf("%d events were taken before the client was left", given)
	}
}
