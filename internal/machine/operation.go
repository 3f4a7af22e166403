package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// Operation is what a person asks of a machine.
type Operation string

// The operations on a machine that exists.
const (
	OpStart    Operation = "start"
	OpStop     Operation = "stop"
	OpShutdown Operation = "shutdown"
	OpPause    Operation = "pause"
	OpResume   Operation = "resume"
	OpReset    Operation = "reset"
	OpSave     Operation = "save"
	OpDelete   Operation = "delete"
	OpSet      Operation = "set"
	OpRename   Operation = "rename"
	OpExport   Operation = "export"
	OpClone    Operation = "clone"
	// OpCloneRunning copies the disks of a machine whose guest is in memory.
	OpCloneRunning Operation = "clone --running"
	OpMove         Operation = "move"
	OpSnapshot     Operation = "snapshot"
	OpAttach       Operation = "attach"
	OpDetach       Operation = "detach"
	OpEject        Operation = "eject"
	OpInsert       Operation = "insert"
	OpStream       Operation = "stream"
	OpCompact      Operation = "compact"
	OpConsole      Operation = "console"
	OpDisplay      Operation = "display"
	OpScreenshot   Operation = "screenshot"
)

// StateError says that an operation is not possible in the state that the
// machine is in.
type StateError struct {
	Operation Operation
	State     api.State
	Needs     []api.State // the states in which it is possible
	Help      string      // what would help, in plain words
}

// Error names the state, what the operation needs, and what would help.
func (e *StateError) Error() string {
	text := fmt.Sprintf("machine is %s; %s needs it %s", e.State, e.Operation, either(e.Needs))
	if e.Help != "" {
		text += "; " + e.Help
	}
	return text
}

var (
	withProcess = []api.State{api.StateStarting, api.StateRunning, api.StatePaused, api.StateStopping, api.StateSaving}
	inMemory    = []api.State{api.StateRunning, api.StatePaused}
	settled     = []api.State{api.StateOff, api.StateRunning, api.StatePaused}
	anyState    = append([]api.State{api.StateOff, api.StateSaved}, withProcess...)
)

// possible says in which states each operation is possible.
var possible = map[Operation][]api.State{
	OpStart:        {api.StateOff, api.StateSaved},
	OpStop:         {api.StateStarting, api.StateRunning, api.StatePaused, api.StateStopping, api.StateSaved},
	OpShutdown:     {api.StateRunning},
	OpPause:        {api.StateRunning},
	OpResume:       {api.StatePaused},
	OpReset:        inMemory,
	OpSave:         inMemory,
	OpDelete:       {api.StateOff, api.StateSaved},
	OpSet:          anyState,
	OpRename:       anyState,
	OpExport:       {api.StateOff, api.StateSaved, api.StateRunning, api.StatePaused},
	OpClone:        {api.StateOff, api.StateSaved},
	OpCloneRunning: inMemory,
	OpMove:         {api.StateOff, api.StateSaved, api.StateRunning, api.StatePaused},
	OpSnapshot:     {api.StateOff, api.StateSaved, api.StateRunning, api.StatePaused},
	OpAttach:       settled,
	OpDetach:       settled,
	OpEject:        settled,
	OpInsert:       settled,
	OpStream:       {api.StateOff, api.StateSaved, api.StateRunning, api.StatePaused},
	OpCompact:      {api.StateOff, api.StateSaved, api.StateRunning},
	OpConsole:      withProcess,
	OpDisplay:      withProcess,
	OpScreenshot:   inMemory,
}

// Allowed returns nil when the operation is possible in the state, and a
// *StateError otherwise.
func Allowed(op Operation, state api.State) error {
	states, known := possible[op]
	if !known {
		return fmt.Errorf("unknown operation %q on a machine", op)
	}
	if slices.Contains(states, state) {
		return nil
	}
	return &StateError{Operation: op, State: state, Needs: slices.Clone(states), Help: help(op, state)}
}

// help says how to come from a state to one in which the operation is
// possible, or why it is pointless.
func help(op Operation, state api.State) string {
	if already[op] == state {
		return "nothing is to be done"
	}
	switch state {
	case api.StateOff:
		return "`panal start` starts it"
	case api.StateSaved:
		return "`panal start` goes on where it was saved"
	case api.StateStarting:
		return "wait until it runs, or `panal stop` ends it"
	case api.StateSaving:
		return "wait until it is saved, or `panal task cancel` lets it run on"
	case api.StateStopping:
		return "wait until it is off, or `panal stop` ends it at once"
	case api.StatePaused:
		return helpPaused(op)
	case api.StateRunning:
		return helpRunning(op)
	}
	return ""
}

// already holds the state that an operation would lead to.
var already = map[Operation]api.State{
	OpStart:  api.StateRunning,
	OpStop:   api.StateOff,
	OpPause:  api.StatePaused,
	OpResume: api.StateRunning,
	OpSave:   api.StateSaved,
}

func helpPaused(op Operation) string {
	switch op {
	case OpDelete:
		return "`panal stop` powers it off first, or delete with --force"
	default:
		return "`panal resume` lets it run"
	}
}

func helpRunning(op Operation) string {
	switch op {
	case OpDelete:
		return "`panal shutdown` or `panal stop` ends it first, or delete with --force"
	default:
		return ""
	}
}

// either joins states as a sentence does: "off or saved".
func either(states []api.State) string {
	words := make([]string, len(states))
	for i, state := range states {
		words[i] = string(state)
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
