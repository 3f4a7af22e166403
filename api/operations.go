package api

import "strings"

// Operation is one thing that the daemon does when asked over HTTP. The server
// registers these and the client calls them, so that the two cannot disagree;
// the OpenAPI description at /openapi.json says what each takes and gives.
type Operation struct {
	ID      string // OpenAPI's operationId
	Method  string
	Path    string // with {ref} for a machine (name, UUID or unique prefix), {snapshot} for one of it, or {id} for a task
	Summary string
}

// For returns the operation's path with what it is about named in it: the machine or
// task, and what further places there are. The
// references must be escaped for a path already where they can hold a slash.
func (o Operation) For(references ...string) string {
	path, rest := "", o.Path
	for _, reference := range references {
		open, end := strings.IndexByte(rest, '{'), strings.IndexByte(rest, '}')
		if open < 0 || end < open {
			break
		}
		path, rest = path+rest[:open]+reference, rest[end+1:]
	}
	return path + rest
}

// The operations. Those said to answer with a task answer 202 and go on; the
// task's end is an event.
var (
	GetInfo = Operation{"get-info", "GET", "/v1", "Tell who answers"}
	GetHost = Operation{"get-host", "GET", "/v1/host", "Show the host: processors, memory, accelerators and why"}
	SetHost = Operation{"change-host", "PATCH", "/v1/host", "Change the host's settings"}

	ListMachines  = Operation{"list-machines", "GET", "/v1/machines", "List machines, ordered by name"}
	CreateMachine = Operation{"create-machine", "POST", "/v1/machines", "Create a machine (a task)"}
	Register      = Operation{"register-machine", "POST", "/v1/machines:register", "Make a machine's folder known, or settle changes made to it by hand"}

	PlanImport       = Operation{"plan-import", "POST", "/v1/imports:plan", "Tell what an import would make"}
	Import           = Operation{"import", "POST", "/v1/imports", "Make machines of what another program wrote (a task)"}
	PlanImportStream = Operation{"plan-import-stream", "POST", "/v1/imports:plan-stream", "Tell what an import of what is sent along would make; no more is read than needed"}
	ImportStream     = Operation{"import-stream", "POST", "/v1/imports:stream", "Make machines of what is sent along, and answer when that is done"}
	Export           = Operation{"export", "POST", "/v1/exports", "Write machines in a form that other programs take (a task)"}
	ExportStream     = Operation{"export-stream", "POST", "/v1/exports:stream", "Write machines as an OVA into the answer (a task)"}

	GetMachine     = Operation{"get-machine", "GET", "/v1/machines/{ref}", "Show a machine"}
	ReplaceMachine = Operation{"replace-machine", "PUT", "/v1/machines/{ref}", "Replace a machine's spec"}
	ChangeMachine  = Operation{"change-machine", "PATCH", "/v1/machines/{ref}", "Change values of a machine's spec"}
	DeleteMachine  = Operation{"delete-machine", "POST", "/v1/machines/{ref}/delete", "Delete a machine and its files (a task)"}
	CloneMachine   = Operation{"clone-machine", "POST", "/v1/machines/{ref}/clone", "Make machines that are like another one (a task)"}
	MoveMachine    = Operation{"move-machine", "POST", "/v1/machines/{ref}/move", "Move a machine's folder into another directory (a task)"}
	StreamMachine  = Operation{"stream-machine", "POST", "/v1/machines/{ref}/stream", "Draw into a machine's own disks what they stand on (a task)"}
	AcceptBases    = Operation{"accept-bases", "POST", "/v1/machines/{ref}/accept-bases", "Let a machine start on the images that it stands on as they are now"}
	UnlockMachine  = Operation{"unlock-machine", "POST", "/v1/machines/{ref}/unlock", "Give the passphrase of a machine's encrypted disks, to be kept in memory"}
	LockMachine    = Operation{"lock-machine", "POST", "/v1/machines/{ref}/lock", "Forget the passphrases of a machine's disks"}
	RenameMachine  = Operation{"rename-machine", "POST", "/v1/machines/{ref}/rename", "Give a machine another name"}

	StartMachine    = Operation{"start-machine", "POST", "/v1/machines/{ref}/start", "Start a machine, or go on where it was saved (a task)"}
	StopMachine     = Operation{"stop-machine", "POST", "/v1/machines/{ref}/stop", "Power a machine off at once; a saved state is thrown away (a task)"}
	ShutdownMachine = Operation{"shutdown-machine", "POST", "/v1/machines/{ref}/shutdown", "Ask the guest to shut down, and wait (a task)"}
	SaveMachine     = Operation{"save-machine", "POST", "/v1/machines/{ref}/save", "Save the running state to disk and end the process (a task)"}
	PauseMachine    = Operation{"pause-machine", "POST", "/v1/machines/{ref}/pause", "Stop a machine's CPUs"}
	ResumeMachine   = Operation{"resume-machine", "POST", "/v1/machines/{ref}/resume", "Let a paused machine's CPUs run"}
	ResetMachine    = Operation{"reset-machine", "POST", "/v1/machines/{ref}/reset", "Reset a machine, as its reset button would"}

	ListSnapshots   = Operation{"list-snapshots", "GET", "/v1/machines/{ref}/snapshots", "List a machine's snapshots, parents before their children"}
	TakeSnapshot    = Operation{"take-snapshot", "POST", "/v1/machines/{ref}/snapshots", "Take a snapshot of a machine (a task)"}
	GetSnapshot     = Operation{"get-snapshot", "GET", "/v1/machines/{ref}/snapshots/{snapshot}", "Show a snapshot with all that it holds"}
	ChangeSnapshot  = Operation{"change-snapshot", "PATCH", "/v1/machines/{ref}/snapshots/{snapshot}", "Change a snapshot's name or description"}
	RestoreSnapshot = Operation{"restore-snapshot", "POST", "/v1/machines/{ref}/snapshots/{snapshot}/restore", "Make a machine what it was in a snapshot (a task)"}
	DeleteSnapshot  = Operation{"delete-snapshot", "POST", "/v1/machines/{ref}/snapshots/{snapshot}/delete", "Delete a snapshot and merge what others need of it (a task)"}
	DiffSnapshot    = Operation{"diff-snapshot", "GET", "/v1/machines/{ref}/snapshots/{snapshot}/diff", "Tell what differs between a snapshot and another, or the present state"}

	AttachDrive  = Operation{"attach-drive", "POST", "/v1/machines/{ref}/attach", "Attach a drive, also to a running machine (a task)"}
	DetachDrive  = Operation{"detach-drive", "POST", "/v1/machines/{ref}/detach", "Detach a drive, also from a running machine (a task)"}
	EjectMedium  = Operation{"eject-medium", "POST", "/v1/machines/{ref}/eject", "Take the medium out of an optical or floppy drive (a task)"}
	InsertMedium = Operation{"insert-medium", "POST", "/v1/machines/{ref}/insert", "Put a medium into an optical or floppy drive, in the place of what is in it (a task)"}

	AttachConsole  = Operation{"attach-console", "GET", "/v1/machines/{ref}/console", "Attach to a serial line (WebSocket)"}
	AttachDisplay  = Operation{"attach-display", "GET", "/v1/machines/{ref}/display", "Attach to the display (WebSocket carrying RFB)"}
	TakeScreenshot = Operation{"take-screenshot", "GET", "/v1/machines/{ref}/screenshot", "Take a picture of the display as PNG"}
	ReadLog        = Operation{"read-log", "GET", "/v1/machines/{ref}/log", "Read a log: QEMU's, or what a serial line printed"}

	GetStats        = Operation{"get-stats", "GET", "/v1/machines/{ref}/stats", "Tell what a running machine uses"}
	GetStatsHistory = Operation{"get-stats-history", "GET", "/v1/machines/{ref}/stats/history", "Tell what a machine has used in the last day"}
	ListStats       = Operation{"list-stats", "GET", "/v1/stats", "Tell what all running machines use, and how the host stands"}
	ReadMetrics     = Operation{"read-metrics", "GET", "/metrics", "Read the figures of all running machines for Prometheus"}

	ListMedia        = Operation{"list-media", "GET", "/v1/media", "List the media: what was added, and what machines use"}
	MakeMedium       = Operation{"make-medium", "POST", "/v1/media", "Make an image, empty or a copy of another (a task)"}
	AddMedium        = Operation{"add-medium", "POST", "/v1/media:add", "Make a file known as a medium"}
	PruneMedia       = Operation{"prune-media", "POST", "/v1/media:prune", "List files that nothing refers to, or remove them"}
	GetMedium        = Operation{"get-medium", "GET", "/v1/media/{id}", "Show a medium"}
	ChangeMedium     = Operation{"change-medium", "PATCH", "/v1/media/{id}", "Change a medium's description, or make it larger"}
	MoveMedium       = Operation{"move-medium", "POST", "/v1/media/{id}/move", "Move the file of a medium that nothing uses, or that a running machine writes where it lies"}
	CompactMedium    = Operation{"compact-medium", "POST", "/v1/media/{id}/compact", "Give back the room that a medium's content does not need, by its guest's agent where a machine runs on it (a task)"}
	ReleaseMedium    = Operation{"release-medium", "POST", "/v1/media/{id}/release", "Take a medium out of all drives"}
	MediumPassphrase = Operation{"medium-passphrase", "POST", "/v1/media/{id}/passphrase", "Add, change or take away a passphrase of an encrypted medium"}
	RemoveMedium     = Operation{"remove-medium", "POST", "/v1/media/{id}/remove", "Forget a medium, and remove its file if that is wanted"}

	ListPools  = Operation{"list-pools", "GET", "/v1/pools", "List the pools, which machines' folders are put into"}
	AddPool    = Operation{"add-pool", "POST", "/v1/pools", "Make a directory a pool"}
	GetPool    = Operation{"get-pool", "GET", "/v1/pools/{name}", "Show a pool"}
	RemovePool = Operation{"remove-pool", "POST", "/v1/pools/{name}/remove", "Make a pool without machines a directory like any other"}

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
	QueryAfter      = "after"      // GetStatsHistory: samples after this time (RFC 3339) only
	QueryMachine    = "machine"    // ReadEvents: this machine's UUID only
	QueryTask       = "task"       // ReadEvents: this task's ID only
	QueryLabel      = "label"      // ListMachines: name or name=value, may be repeated
	QueryState      = "state"      // ListMachines: a state
	QueryTo         = "to"         // DiffSnapshot: the other snapshot, default the present state
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
