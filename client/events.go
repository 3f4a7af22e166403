package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/panalvm/panal/api"
)

// FromNow as the revision of [Client.Events] asks for what happens from now on.
const FromNow int64 = -1

// EventFilter narrows a stream of events. The zero value takes all.
type EventFilter struct {
	Machine string // only events of the machine with this UUID, its tasks' included
	Task    string // only events of the task with this ID
}

// Events follows the events after a revision, in their order, until the
// context ends or the caller leaves the loop. When the connection is lost, it
// is made again and the stream goes on where it was: every event comes once.
//
// The iteration ends with the first error: [api.KindGone] when the events since
// that revision are no longer kept (list again, and follow from there);
// [api.KindUnavailable] when the daemon could not be reached, at first or for
// the time of [Options.Patience] later; the context's error at its end.
func (c *Client) Events(ctx context.Context, since int64, filter EventFilter) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		if since < 0 {
			info, err := c.Info(ctx)
			if err != nil {
				yield(api.Event{}, err)
				return
			}
			since = info.Revision
		}
		follower := follower{client: c, filter: filter, position: position{whole: since}, yield: yield}
		if err := follower.run(ctx); err != nil {
			yield(api.Event{}, err)
		}
	}
}

// position is how far a stream has been read.
type position struct {
	whole   int64 // the last revision all of whose events were seen
	partial int64 // the revision after it, of which some were seen
	seen    int   // how many
	skip    int   // how many of them come again after a reconnection
}

// fresh takes note of an event and reports whether it is a new one.
func (p *position) fresh(revision int64) bool {
	if revision <= p.whole {
		return false
	}
	if revision != p.partial {
		p.partial, p.seen, p.skip = revision, 0, 0
	}
	if p.skip > 0 {
		p.skip--
		return false
	}
	p.seen++
	return true
}

// completed takes note of a revision whose events have all come.
func (p *position) completed(revision int64) {
	if revision > p.whole {
		p.whole = revision
	}
}

// reconnected expects the events of the revision that was cut off again.
func (p *position) reconnected() { p.skip = p.seen }

// follower follows one stream over as many connections as it takes.
type follower struct {
	client   *Client
	filter   EventFilter
	position position
	retry    time.Duration // what the daemon asked for, 0 if nothing
	yield    func(api.Event, error) bool
	left     bool // the caller has left its loop
}

// run reads until the caller leaves (nil) or there is an error to tell it.
func (f *follower) run(ctx context.Context) error {
	body, err := f.open(ctx)
	for err == nil {
		err = f.read(ctx, body)
		body.Close()
		if f.left {
			return nil
		}
		if err == nil {
			f.position.reconnected()
			body, err = f.reopen(ctx)
		}
	}
	return err
}

// open connects, to go on after the last whole revision.
func (f *follower) open(ctx context.Context) (io.ReadCloser, error) {
	query := url.Values{api.QuerySince: {strconv.FormatInt(f.position.whole, 10)}}
	if f.filter.Machine != "" {
		query.Set(api.QueryMachine, f.filter.Machine)
	}
	if f.filter.Task != "" {
		query.Set(api.QueryTask, f.filter.Task)
	}
	return f.client.open(ctx, request{operation: api.ReadEvents, query: query, accept: "text/event-stream"})
}

// reopen connects again, with growing pauses, while the daemon is away.
func (f *follower) reopen(ctx context.Context) (io.ReadCloser, error) {
	const longest = 2 * time.Second
	pause, told := max(f.retry, 50*time.Millisecond), false
	for deadline := time.Now().Add(f.client.options.Patience); ; pause = min(2*pause, longest) {
		body, err := f.open(ctx)
		if err == nil || KindOf(err) != api.KindUnavailable || time.Now().Add(pause).After(deadline) {
			return body, err
		}
		if told = told || f.client.options.Lost == nil; !told {
			f.client.options.Lost(time.Until(deadline).Round(time.Second))
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// read gives the caller the events of one connection. It returns nil when the
// connection is lost or the caller has left.
func (f *follower) read(ctx context.Context, body io.Reader) error {
	frames := newFrames(body)
	for {
		frame, err := frames.next()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == errFrame {
			return f.client.broken(ctx, api.ReadEvents, err)
		}
		if err != nil {
			return nil
		}
		if err := f.take(frame); err != nil {
			return f.client.broken(ctx, api.ReadEvents, err)
		}
		if f.left {
			return nil
		}
	}
}

// take handles one frame: its event if it has one, then its ID, which says that
// the events of that revision have all come.
func (f *follower) take(frame frame) error {
	if frame.retry > 0 {
		f.retry = frame.retry
	}
	if len(frame.data) > 0 {
		var event api.Event
		if err := json.Unmarshal(frame.data, &event); err != nil {
			return fmt.Errorf("an event is not what the interface promises: %w", err)
		}
		if f.position.fresh(event.Revision) && !f.yield(event, nil) {
			f.left = true
		}
	}
	if frame.hasID {
		revision, err := strconv.ParseInt(frame.id, 10, 64)
		if err != nil {
			return fmt.Errorf("an event's ID %q is not a revision", frame.id)
		}
		f.position.completed(revision)
	}
	return nil
}
