package api

import "strings"

// Operation is one thing that the daemon does when asked over HTTP. The server
// registers these and the client calls them, so that the two cannot disagree;
// the OpenAPI description at /openapi.json says what each takes and gives.
type Operation struct {
	ID      string // OpenAPI's operationId
	Method  string
	Path    string // with {ref} for a machine (name, UUID or unique prefix) or {id} for a task
	Summary string
}

// For returns the operation's path with the machine or task named in it. The
// reference must be escaped for a path already where it can hold a slash.
func (o Operation) For(reference string) string {
	open, end := strings.IndexByte(o.Path, '{'), strings.IndexByte(o.Path, '}')
	if open < 0 || end < open {
		return o.Path
	}
	return o.Path[:open] + reference + o.Path[end+1:]
}

// The operations. Those said to answer with a task answer 202 and go on; the
// task's end is an event.
var (
	GetInfo = Operation{"get-info", "GET", "/v1", "Tell who answers"}
	GetHost = Operation{"get-host", "GET", "/v1/host", "Show the host: processors, memory, accelerators and why"}

	ListMachines  = Operation{"list-machines", "GET", "/v1/machines", "List machines, ordered by name"}
	CreateMachine = Operation{"create-machine", "POST", "/v1/machines", "Create a machine (a task)"}
	Register      = Operation{"register-machine", "POST", "/v1/machines:register", "Make a machine's folder known, or settle changes made to it by hand"}

	PlanImport = Operation{"plan-import", "POST", "/v1/imports:plan", "Tell what an import would make"}
	Import     = Operation{"import", "POST", "/v1/imports", "Make machines of what another program wrote (a task)"}
	Export     = Operation{"export", "POST", "/v1/exports", "Write machines in a form that other programs take (a task)"}

	GetMachine     = Operation{"get-machine", "GET", "/v1/machines/{ref}", "Show a machine"}
	ReplaceMachine = Operation{"replace-machine", "PUT", "/v1/machines/{ref}", "Replace a machine's spec"}
	ChangeMachine  = Operation{"change-machine", "PATCH", "/v1/machines/{ref}", "Change values of a machine's spec"}
	DeleteMachine  = Operation{"delete-machine", "POST", "/v1/machines/{ref}/delete", "Delete a machine and its files (a task)"}
	RenameMachine  = Operation{"rename-machine", "POST", "/v1/machines/{ref}/rename", "Give a machine another name"}

	StartMachine    = Operation{"start-machine", "POST", "/v1/machines/{ref}/start", "Start a machine, or go on where it was saved (a task)"}
	StopMachine     = Operation{"stop-machine", "POST", "/v1/machines/{ref}/stop", "Power a machine off at once; a saved state is thrown away (a task)"}
	ShutdownMachine = Operation{"shutdown-machine", "POST", "/v1/machines/{ref}/shutdown", "Ask the guest to shut down, and wait (a task)"}
	SaveMachine     = Operation{"save-machine", "POST", "/v1/machines/{ref}/save", "Save the running state to disk and end the process (a task)"}
	PauseMachine    = Operation{"pause-machine", "POST", "/v1/machines/{ref}/pause", "Stop a machine's CPUs"}
	ResumeMachine   = Operation{"resume-machine", "POST", "/v1/machines/{ref}/resume", "Let a paused machine's CPUs run"}
	ResetMachine    = Operation{"reset-machine", "POST", "/v1/machines/{ref}/reset", "Reset a machine, as its reset button would"}

	AttachConsole  = Operation{"attach-console", "GET", "/v1/machines/{ref}/console", "Attach to a serial line (WebSocket)"}
	AttachDisplay  = Operation{"attach-display", "GET", "/v1/machines/{ref}/display", "Attach to the display (WebSocket carrying RFB)"}
	TakeScreenshot = Operation{"take-screenshot", "GET", "/v1/machines/{ref}/screenshot", "Take a picture of the display as PNG"}
	ReadLog        = Operation{"read-log", "GET", "/v1/machines/{ref}/log", "Read a log: QEMU's, or what a serial line printed"}

	ListTasks  = Operation{"list-tasks", "GET", "/v1/tasks", "List tasks, oldest first"}
	GetTask    = Operation{"get-task", "GET", "/v1/tasks/{id}", "Show a task"}
	CancelTask = Operation{"cancel-task", "POST", "/v1/tasks/{id}/cancel", "Cancel a task and undo what it had begun"}

	ReadEvents = Operation{"read-events", "GET", "/v1/events", "Follow the events (server-sent events)"}
)

// The query parameters of the operations that take some.
const (
	QuerySerial     = "serial"     // AttachConsole: the serial line's name, default the first
	QueryScrollback = "scrollback" // AttachConsole: bytes of earlier output to send first, default 64 KiB
	QueryName       = "name"       // ReadLog: qemu (the default) or a serial line's name
	QueryTail       = "tail"       // ReadLog: bytes from the end, default all
	QuerySince      = "since"      // ReadEvents: the last revision seen whole, default from now on
	QueryMachine    = "machine"    // ReadEvents: this machine's UUID only
	QueryTask       = "task"       // ReadEvents: this task's ID only
	QueryLabel      = "label"      // ListMachines: name or name=value, may be repeated
	QueryState      = "state"      // ListMachines: a state
)

// ConsoleControl is what a client sends on a console in a text message. Binary
// messages, both ways, are the bytes of the serial line.
//
// A serial line has no notion of a window's size. When the guest agent runs,
// the daemon tells the guest's terminal of it; otherwise it is ignored.
type ConsoleControl struct {
	Rows    int `json:"rows,omitempty"`
	Columns int `json:"columns,omitempty"`
}
