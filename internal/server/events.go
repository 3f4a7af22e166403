package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/service"
)

const (
	// keepAlive is how often a stream of events says that it still stands.
	keepAlive = 15 * time.Second
	// startPatience is how long a stream whose first event is due at once waits
	// for it before it answers that all is well.
	startPatience = time.Second
)

type eventsInput struct {
	Since     int64  `query:"since" default:"-1" doc:"the last revision seen whole: the stream begins after it. Left out or negative: from now on"`
	Machine   string `query:"machine" doc:"only events of this machine and of its tasks: its UUID"`
	Task      string `query:"task" doc:"only events of this task: its ID"`
	LastEvent string `header:"Last-Event-ID" doc:"the last id that the stream gave, which a client sends when it connects again; it counts before since"`
}

func (s *server) registerEvents(h huma.API) {
	stream(h, api.ReadEvents, http.StatusOK, responses{
		http.StatusOK: {
			description: "Server-sent events without end. The event field is the type, data the event as JSON. The id field, on the last event of " +
				"a revision or by itself, is a revision after which the stream can be taken up again. An event of the type error carries a " +
				"problem, and ends the stream.",
			mediaType: "text/event-stream",
			object:    reflect.TypeFor[api.Event](),
		},
	}, s.events)
}

// since is the revision after which the stream begins; the newest when the
// client named none, so that it misses nothing from the answer's header on.
func (s *server) since(ctx context.Context, in *eventsInput) (after, newest int64, err error) {
	info, err := s.services.Host.Info(ctx)
	if err != nil {
		return 0, 0, err
	}
	after = in.Since
	if in.LastEvent != "" {
		if after, err = strconv.ParseInt(in.LastEvent, 10, 64); err != nil || after < 0 {
			return 0, 0, problem.Invalid([]api.FieldError{{Field: "Last-Event-ID", Message: "expected a revision that the stream gave"}},
				"the request is not valid")
		}
	}
	if after < 0 {
		after = info.Revision
	}
	return after, info.Revision, nil
}

// events follows the events for one client.
func (s *server) events(w http.ResponseWriter, r *http.Request, in *eventsInput) {
	ctx, end := endless(r.Context())
	defer end()
	after, newest, err := s.since(ctx, in)
	if err != nil {
		s.refuse(w, r, api.ReadEvents.ID, err)
		return
	}
	if r.Method == http.MethodHead {
		writeEventHeader(w)
		return
	}
	deliveries, stop := s.follow(ctx, after)
	defer stop()
	stream := eventStream{w: w, filter: in}
	if after != newest { // an event, or why there are none, is to come at once
		select {
		case <-ctx.Done():
		case first, more := <-deliveries:
			if !more {
				break
			}
			if first.err != nil {
				s.refuse(w, r, api.ReadEvents.ID, first.err)
				return
			}
			stream.take(first.Delivery)
		case <-time.After(startPatience):
		}
	} else {
		stream.done(after)
	}
	s.pass(ctx, &stream, deliveries)
}

// pass gives the client what comes, until either side has had enough.
func (s *server) pass(ctx context.Context, stream *eventStream, deliveries <-chan delivery) {
	writeEventHeader(stream.w)
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for stream.flush() == nil {
		select {
		case <-ctx.Done():
			if stopping(ctx) {
				stream.fail(problem.New(api.KindUnavailable, "connect again", "the daemon is stopping"))
			}
			return
		case next, more := <-deliveries:
			if !more {
				deliveries = nil // either ctx is done, or the service has ended it
				if ctx.Err() == nil {
					return
				}
				break
			}
			if next.err != nil {
				stream.fail(s.fail(ctx, api.ReadEvents.ID, next.err).Problem)
				return
			}
			stream.take(next.Delivery)
		case <-alive.C:
			stream.keepAlive()
		}
	}
}

// delivery is an event, or why there are no more.
type delivery struct {
	service.Delivery
	err error
}

// follow turns the service's events into a channel, which can be waited for
// together with the time. It closes when there are no more; stop ends it.
func (s *server) follow(ctx context.Context, after int64) (<-chan delivery, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	deliveries := make(chan delivery)
	give := func(d service.Delivery, err error) bool {
		select {
		case deliveries <- delivery{d, err}:
			return err == nil
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(deliveries)
		defer s.catch(ctx, api.ReadEvents.ID, func(err error) { give(service.Delivery{}, err) })
		s.services.Events.Follow(ctx, after)(give)
	}()
	return deliveries, func() {
		cancel()
		for range deliveries { // until it has ended
		}
	}
}

func writeEventHeader(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // for a proxy on the way
	w.WriteHeader(http.StatusOK)
}

// eventStream writes server-sent events for one client.
type eventStream struct {
	w       http.ResponseWriter
	filter  *eventsInput
	text    []byte // not yet flushed
	partial bool   // events of a revision went out, its last one has not
	whole   int64  // the newest revision that is whole
	given   int64  // the newest id that went out
}

// take writes an event if the client wants it. The id goes with the last event
// of a revision; when that one is not wanted, by itself.
func (s *eventStream) take(d service.Delivery) {
	wanted := s.filter.wants(&d.Event)
	if wanted {
		s.write(string(d.Type), d.Event)
		s.partial = true
	}
	if !d.Last {
		s.end(wanted)
		return
	}
	s.whole = d.Revision
	if s.partial {
		s.id()
	}
	s.end(wanted || s.partial)
	s.partial = false
}

// done notes that the client has everything up to a revision.
func (s *eventStream) done(revision int64) {
	s.whole = revision
	s.id()
	s.end(true)
}

// keepAlive says how far the stream is if the client has not been told, else
// nothing.
func (s *eventStream) keepAlive() {
	if s.whole > s.given {
		s.id()
		s.end(true)
		return
	}
	s.text = append(s.text, ":\n\n"...)
}

// fail writes why the stream ends.
func (s *eventStream) fail(p *api.Problem) {
	s.write("error", p)
	s.end(true)
	_ = s.flush() // it ends either way
}

func (s *eventStream) write(kind string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("write an event: %v", err)) // times of the far future, which Panal does not make
	}
	s.text = append(append(append(s.text, "event: "...), kind...), "\ndata: "...)
	s.text = append(append(s.text, text...), '\n')
}

func (s *eventStream) id() {
	s.text = strconv.AppendInt(append(s.text, "id: "...), s.whole, 10)
	s.text = append(s.text, '\n')
	s.given = s.whole
}

// end ends an event if one was begun.
func (s *eventStream) end(begun bool) {
	if begun {
		s.text = append(s.text, '\n')
	}
}

// flush sends what was written; a client that does not take it in time is an
// error.
func (s *eventStream) flush() error {
	extendWrite(s.w)
	if _, err := s.w.Write(s.text); err != nil {
		return err
	}
	s.text = s.text[:0]
	return http.NewResponseController(s.w).Flush()
}

// wants reports whether the client asked for the event.
func (in *eventsInput) wants(e *api.Event) bool {
	if in.Task != "" && (e.Task == nil || e.Task.ID != in.Task) {
		return false
	}
	if in.Machine == "" {
		return true
	}
	return e.Machine != nil && e.Machine.Spec.UUID == in.Machine || e.Task != nil && e.Task.Machine == in.Machine
}
