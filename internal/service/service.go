// Package service holds what the HTTP interface and the parts behind it agree
// on: the services that requests are carried out by. The server calls them, the
// manager of machines and others implement them, and neither imports the other.
package service

import (
	"context"
	"io"
	"iter"
	"net"

	"github.com/panalvm/panal/api"
)

// The server decodes requests, calls one of these services and encodes what
// they answer. Their errors go through problem.Of. A ref is what the user
// typed: a name, a UUID, or a unique prefix of either; one that fits nothing is
// api.KindNotFound, one that fits several api.KindAmbiguous. A revision that is
// no longer the newest is api.KindConflict.

// Machines keeps the machines' specs.
type Machines interface {
	// List is the machines that match, ordered by name.
	List(ctx context.Context, filter Filter) (api.MachineList, error)
	// Get is one machine.
	Get(ctx context.Context, ref string) (api.Machine, error)
	// Create begins to make a machine; the task's Machine is its UUID. What is
	// wrong with the request is said at once, as api.KindInvalid.
	Create(ctx context.Context, request api.CreateRequest) (api.Task, error)
	// PlanImport tells what Import would make, and checks the manifest.
	PlanImport(ctx context.Context, request api.ImportRequest) (api.ImportPlan, error)
	// Import begins to make machines of what another program wrote; the task's
	// Machine is the UUID of the only one. What is wrong with the description is said at once.
	Import(ctx context.Context, request api.ImportRequest) (api.Task, error)
	// Export begins to write machines as an OVF or OVA.
	Export(ctx context.Context, request api.ExportRequest) (api.Task, error)
	// Register makes a machine of a folder that has a machine.json.
	Register(ctx context.Context, request api.RegisterRequest) (api.Machine, error)
	// Replace changes the whole spec.
	Replace(ctx context.Context, ref string, request api.ReplaceRequest) (api.Machine, error)
	// Change changes single values of the spec.
	Change(ctx context.Context, ref string, request api.ChangeRequest) (api.Machine, error)
	// Rename changes the name; the folder stays where it is.
	Rename(ctx context.Context, ref string, request api.RenameRequest) (api.Machine, error)
	// Delete begins to remove a machine; one that is not off is
	// api.KindWrongState unless the request forces it.
	Delete(ctx context.Context, ref string, request api.DeleteRequest) (api.Task, error)
}

// Filter chooses machines. The zero Filter chooses all.
type Filter struct {
	Labels []string // name, or name=value; all must match
	State  api.State
}

// Power moves machines between their states. An operation in the wrong state
// is api.KindWrongState, during another task api.KindBusy.
type Power interface {
	// Start begins to start a machine, or to go on from its saved state.
	Start(ctx context.Context, ref string) (api.Task, error)
	// Stop begins to power a machine off; a saved state is thrown away.
	Stop(ctx context.Context, ref string) (api.Task, error)
	// Shutdown begins to shut the guest down by its power button.
	Shutdown(ctx context.Context, ref string, request api.ShutdownRequest) (api.Task, error)
	// Save begins to write the machine's state to disk and to end its process.
	Save(ctx context.Context, ref string) (api.Task, error)
	// Pause stops the CPUs.
	Pause(ctx context.Context, ref string) (api.Machine, error)
	// Resume lets the CPUs run.
	Resume(ctx context.Context, ref string) (api.Machine, error)
	// Reset resets the machine.
	Reset(ctx context.Context, ref string) (api.Machine, error)
}

// Views look into running machines.
type Views interface {
	// Console attaches to a serial line; an empty name is the first. The
	// console begins with up to scrollback bytes of what was printed before. It
	// ends when the machine does, or when ctx is done.
	Console(ctx context.Context, ref, serial string, scrollback int) (Console, error)
	// Display connects to the VNC server of a running machine.
	Display(ctx context.Context, ref string) (net.Conn, error)
	// Screenshot is the display's content as PNG.
	Screenshot(ctx context.Context, ref string) ([]byte, error)
	// Log is a log of the machine: "qemu" or a serial line's name; tail is how
	// many bytes from its end, 0 for all.
	Log(ctx context.Context, ref, name string, tail int64) (io.ReadCloser, error)
}

// Console is one viewer's connection to a serial line. Read gives what the
// guest prints, io.EOF when the machine ended; Write is what the user types. A
// viewer that reads too slowly loses output rather than hold up the others.
type Console interface {
	io.ReadWriteCloser
	// Resize tells the guest the size of the viewer's window, if it can be told.
	Resize(rows, columns int)
}

// Tasks are the long pieces of work.
type Tasks interface {
	// List is all tasks that are kept, oldest first.
	List(ctx context.Context) (api.TaskList, error)
	// Get is one task, named by its ID or a unique prefix of it.
	Get(ctx context.Context, id string) (api.Task, error)
	// Cancel asks a task to stop and undo; one that has ended is
	// api.KindWrongState.
	Cancel(ctx context.Context, id string) (api.Task, error)
}

// Events is the one ordered stream of changes.
type Events interface {
	// Follow gives every event after revision since, in order, for as long as
	// ctx lasts; a negative since is from now on. Delivery.Last is
	// true for the last event of its revision. It ends with an error, the
	// first when since is too old: api.KindGone.
	Follow(ctx context.Context, since int64) iter.Seq2[Delivery, error]
}

// Delivery is an event on its way to a client.
type Delivery struct {
	api.Event
	Last bool // no further event has this revision
}

// Host tells about the host and the daemon.
type Host interface {
	// Info is who answers.
	Info(ctx context.Context) (api.Info, error)
	// Host is what the host offers.
	Host(ctx context.Context) (api.Host, error)
}

// Services is everything that the server offers to its clients.
type Services struct {
	Machines Machines
	Power    Power
	Views    Views
	Tasks    Tasks
	Events   Events
	Host     Host
}
