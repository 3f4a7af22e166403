// Package events turns the store's changes into the one ordered stream of
// events that clients follow.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/server"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// Stream is the events of a store.
type Stream struct{ store state.Store }

// New makes the stream of a store's events.
func New(store state.Store) *Stream { return &Stream{store} }

// Follow gives the events after a revision; a negative one is from now on. See
// server.Events.
func (s *Stream) Follow(ctx context.Context, since int64) iter.Seq2[server.Delivery, error] {
	return func(yield func(server.Delivery, error) bool) {
		from := state.Revision(since)
		if since < 0 {
			now, err := s.store.Revision(ctx)
			if err != nil {
				yield(server.Delivery{}, err)
				return
			}
			from = now
		}
		s.follow(ctx, from, yield)
	}
}

// follow holds each event back until the next change shows whether it was the
// last of its revision, or the store says so itself.
func (s *Stream) follow(ctx context.Context, from state.Revision, yield func(server.Delivery, error) bool) {
	var waiting *api.Event
	for change, err := range s.store.Watch(ctx, "", from) {
		if err != nil {
			yield(server.Delivery{}, explain(err, from))
			return
		}
		event, told := eventOf(change)
		if told {
			if waiting != nil && !yield(server.Delivery{Event: *waiting}, nil) {
				return
			}
			waiting = &event
		}
		if change.Last && waiting != nil {
			if !yield(server.Delivery{Event: *waiting, Last: true}, nil) {
				return
			}
			waiting = nil
		}
	}
}

func explain(err error, from state.Revision) error {
	if errors.Is(err, state.ErrCompacted) || errors.Is(err, state.ErrFuture) {
		return problem.New(api.KindGone, "list the objects again and follow from there",
			"the events since revision %d are not kept", from)
	}
	return err
}

// eventOf makes the event of a change; some changes are nobody's business.
func eventOf(change state.Change) (api.Event, bool) {
	switch key := change.Entry.Key; {
	case strings.HasPrefix(key, inventory.Prefix):
		return machineEvent(change)
	case strings.HasPrefix(key, task.Prefix):
		return taskEvent(change)
	}
	return api.Event{}, false
}

func machineEvent(change state.Change) (api.Event, bool) {
	event := api.Event{Revision: int64(change.Entry.Revision)}
	before, had := decode[inventory.Record](change.Previous)
	if change.Kind == state.KindDeleted {
		event.Type = api.MachineDeleted
		if had {
			machine := inventory.AsMachine(before)
			event.Machine = &machine
		}
		return event, had
	}
	after, readable := decode[inventory.Record](&change.Entry)
	if !readable {
		return event, false
	}
	machine := inventory.AsMachine(after)
	event.Machine = &machine
	switch {
	case change.Entry.Created == change.Entry.Revision:
		event.Type = api.MachineCreated
	case had && before.Value.Status.State != machine.Status.State:
		event.Type, event.From = api.MachineState, before.Value.Status.State
	default:
		event.Type = api.MachineChanged
	}
	return event, true
}

func taskEvent(change state.Change) (api.Event, bool) {
	if change.Kind == state.KindDeleted {
		return api.Event{}, false // an old one was forgotten
	}
	object, readable := decode[task.Record](&change.Entry)
	if !readable {
		return api.Event{}, false
	}
	shown := task.AsTask(object)
	event := api.Event{Revision: int64(change.Entry.Revision), Type: api.TaskProgress, Task: &shown}
	switch {
	case shown.State.Ended():
		event.Type = api.TaskEnded
	case change.Entry.Created == change.Entry.Revision:
		event.Type = api.TaskCreated
	}
	return event, true
}

func decode[T any](entry *state.Entry) (state.Object[T], bool) {
	if entry == nil {
		return state.Object[T]{}, false
	}
	object := state.Object[T]{Key: entry.Key, Revision: entry.Revision}
	return object, json.Unmarshal(entry.Value, &object.Value) == nil
}
