// Package events turns the store's changes into the one ordered stream of
// events that clients follow.
package events

import (
	"encoding/json"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/resource"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// eventOf makes the event of a change; some changes are nobody's business.
func eventOf(change state.Change) (api.Event, bool) {
	switch key := change.Entry.Key; {
	case strings.HasPrefix(key, inventory.Prefix):
		return machineEvent(change)
	case strings.HasPrefix(key, task.Prefix):
		return taskEvent(change)
	case strings.HasPrefix(key, resource.StagePrefix):
		return memoryEvent(change)
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
	if now := stepOf(machine.Status); had && now != nil && (stepOf(before.Value.Status) == nil || *now != *stepOf(before.Value.Status)) {
		event.Step = now
	}
	return event, true
}

func stepOf(status api.Status) *api.MemoryStep {
	if status.Memory == nil {
		return nil
	}
	return status.Memory.Step
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

func memoryEvent(change state.Change) (api.Event, bool) {
	object, readable := decode[api.HostMemory](&change.Entry)
	if change.Kind == state.KindDeleted || !readable {
		return api.Event{}, false
	}
	return api.Event{Revision: int64(change.Entry.Revision), Type: api.HostMadeRoom, Memory: &object.Value}, true
}

func decode[T any](entry *state.Entry) (state.Object[T], bool) {
	if entry == nil {
		return state.Object[T]{}, false
	}
	object := state.Object[T]{Key: entry.Key, Revision: entry.Revision}
	return object, json.Unmarshal(entry.Value, &object.Value) == nil
}
