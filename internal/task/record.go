package task

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/state"
)

// Prefix is where tasks are in the store.
const Prefix = "tasks/"

// Record is a task as it is stored.
type Record struct {
	api.Task
	// Journal is how to undo what the task has begun, oldest first.
	Journal []Undo `json:"journal,omitempty"`
}

// Undo is one journalled step: which [Undoer] takes it back, and with what.
type Undo struct {
	Kind string          `json:"kind"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Undoer takes one journalled step back. The ops it returns are committed with
// the task's end. It is called again after a crash, and must not mind that the
// step was never taken or is undone already.
type Undoer func(ctx context.Context, args json.RawMessage) ([]state.Op, error)

// NewUndo makes a journal entry. Args must be of a type that encodes as JSON.
func NewUndo(kind string, args any) Undo {
	encoded, err := json.Marshal(args)
	if err != nil {
		panic("task: arguments of undo " + kind + ": " + err.Error())
	}
	return Undo{Kind: kind, Args: encoded}
}

// AsTask is the task of a stored object, as clients see it.
func AsTask(object state.Object[Record]) api.Task {
	t := object.Value.Task
	t.Revision = int64(object.Revision)
	return t
}

// NewID makes an ID that is short to type; 8 of 32 letters make a clash among
// the few hundred tasks that are kept a matter of one in a thousand million.
func NewID() string { return strings.ToLower(rand.Text()[:8]) }
