// Package service holds what the HTTP interface and the parts behind it agree
// on: the services that requests are carried out by. The server calls them, the
// manager of machines and others implement them, and neither imports the other.
package service

import (
	"context"
	"io"
	"iter"
	"net"
	"time"

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
	// PlanImportStream is PlanImport of what content gives, of which no more is read
	// than the description needs.
	PlanImportStream(ctx context.Context, request api.ImportRequest, content io.Reader) (api.ImportPlan, error)
	// ImportStream makes machines of what content gives, and returns when they are
	// made, or nothing is. Close ends a Read of content that waits.
	ImportStream(ctx context.Context, request api.ImportRequest, content io.ReadCloser) (api.ImportResult, error)
	// Export begins to write machines as an OVF or OVA.
	Export(ctx context.Context, request api.ExportRequest) (api.Task, error)
	// ExportStream begins to write machines as an OVA, for the caller to read and
	// to close. The request has no destination.
	ExportStream(ctx context.Context, request api.ExportRequest) (Archive, error)
	// Register makes a machine of a folder that has a machine.json.
	Register(ctx context.Context, request api.RegisterRequest) (api.Machine, error)
	// Replace changes the whole spec.
	Replace(ctx context.Context, ref string, request api.ReplaceRequest) (api.Machine, error)
	// Change changes single values of the spec.
	Change(ctx context.Context, ref string, request api.ChangeRequest) (api.Machine, error)
	// Rename changes the name; the folder stays where it is.
	Rename(ctx context.Context, ref string, request api.RenameRequest) (api.Machine, error)
	// Clone begins to make machines that are like another one, or like it was in a
	// snapshot. A linked clone stands on what never changes: a snapshot's disks, or
	// a template's (api.KindRefused else). The task's Machine is the UUID of the
	// only one. The original is busy meanwhile, unless the clones are linked.
	Clone(ctx context.Context, ref string, request api.CloneRequest) (api.Task, error)
	// Move begins to move the folder of a machine into another directory; one that others stand on is
	// api.KindRefused. The guest of one that runs goes on there: it stands still for as long as the result of the task says. One
	// whose state cannot be saved is api.KindUnsupported then, and one that there is no room for api.KindNoSpace.
	Move(ctx context.Context, ref string, request api.MoveRequest) (api.Task, error)
	// Stream begins to draw into a machine's own disks what they stand on, whether it
	// runs or not; then the originals are needed no more. It gives way to whatever else is
	// asked of the machine and goes on by itself, until it is done or cancelled. A machine
	// with snapshots is api.KindRefused, one that stands on nothing api.KindWrongState.
	Stream(ctx context.Context, ref string) (api.Task, error)
	// AcceptBases lets a machine that is off or saved start on the images that it stands
	// on as they are now. Without, Start is api.KindRefused when they have changed since
	// the machine stands on them; one that is not there is api.KindUnreadable in both.
	AcceptBases(ctx context.Context, ref string) (api.Machine, error)
	// Unlock keeps a passphrase of a machine's encrypted drives in memory, for all that is
	// done with them from then on. One that does not open a drive that it is for is
	// api.KindRefused, and nothing is kept; a machine without such drives api.KindWrongState. Without a
	// passphrase, what needs what is on an encrypted drive is api.KindLocked.
	Unlock(ctx context.Context, ref string, request api.UnlockRequest) (api.Machine, error)
	// Lock forgets all passphrases of a machine's drives. A machine that runs goes on.
	Lock(ctx context.Context, ref string) (api.Machine, error)
	// Delete begins to remove a machine; one that is not off is
	// api.KindWrongState unless the request forces it.
	Delete(ctx context.Context, ref string, request api.DeleteRequest) (api.Task, error)
}

// Archive is an OVA while it is written. Read ends with io.EOF when it is whole
// and its task is done, and with the task's error otherwise.
type Archive interface {
	// Close gives up what was not read: the task is cancelled.
	io.ReadCloser
	// Task is the task that writes it, as it was when it began.
	Task() api.Task
	// Broken is closed when the task has failed or was cancelled: nobody needs
	// to wait for the delivery of what was read.
	Broken() <-chan struct{}
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

// Snapshots keep former states of machines. A snapshot is named by its name, its
// ID, or a unique prefix of that; one that fits nothing is api.KindNotFound. What takes
// long is a task, which claims the machine: a second one is
// api.KindBusy meanwhile.
type Snapshots interface {
	// List is the whole tree, parents before their children.
	List(ctx context.Context, ref string) (api.SnapshotTree, error)
	// Get is one snapshot with the spec and the images that it holds.
	Get(ctx context.Context, ref, snapshot string) (api.SnapshotDetail, error)
	// Take begins to take a snapshot of a machine that is off, saved, paused or
	// running: of all drives that take part in snapshots, at one instant. The
	// task's result has its ID. A name that is taken is api.KindExists; --memory or
	// quiescing of a machine without a process is api.KindWrongState, and a guest
	// without an agent fails the task.
	Take(ctx context.Context, ref string, request api.TakeSnapshotRequest) (api.Task, error)
	// Change changes a snapshot's name or description.
	Change(ctx context.Context, ref, snapshot string, request api.ChangeSnapshotRequest) (api.Snapshot, error)
	// Restore begins to make the machine what it was in a snapshot; a run is
	// ended first. The machine is off afterwards, or saved where the snapshot has
	// memory: starting it goes on from there. What would be lost must be kept or
	// given up by the request, else it is api.KindRefused.
	Restore(ctx context.Context, ref, snapshot string, request api.RestoreSnapshotRequest) (api.Task, error)
	// Delete begins to remove a snapshot, in any state of the machine. Those taken
	// after it stay whole, unless the request takes them along, and what they need
	// of it is merged into them. Cut off in the merging, it is done: the
	// daemon merges on by itself.
	Delete(ctx context.Context, ref, snapshot string, request api.DeleteSnapshotRequest) (api.Task, error)
	// Diff compares a snapshot with another one, or, where to is empty, with the
	// present state of a machine without a process (api.KindWrongState with one).
	Diff(ctx context.Context, ref, from, to string) (api.SnapshotDiff, error)
}

// Drives comes and goes with drives and media, also while machines run. A
// machine that is saved is api.KindWrongState, one that a task is at work on api.KindBusy.
// What the drive's controller cannot do while the machine runs is
// api.KindUnsupported, a guest that does not do its part in time api.KindTimeout;
// then nothing has changed.
type Drives interface {
	// Attach begins to attach a drive.
	Attach(ctx context.Context, ref string, request api.AttachRequest) (api.Task, error)
	// Detach begins to detach a drive; its image stays.
	Detach(ctx context.Context, ref string, request api.DetachRequest) (api.Task, error)
	// Eject begins to empty an optical or floppy drive; one that is empty stays so.
	Eject(ctx context.Context, ref string, request api.EjectRequest) (api.Task, error)
	// Insert begins to put a medium into an optical or floppy drive.
	Insert(ctx context.Context, ref string, request api.InsertRequest) (api.Task, error)
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
	// ChangeHost changes the host's settings and tells what the host offers then. What is wrong with them is
	// api.KindInvalid, and changes nothing.
	ChangeHost(ctx context.Context, request api.ChangeHostRequest) (api.Host, error)
}

// Media is the registry of media: the images that were added to it, and those that
// machines use. One is named by its UUID, a unique prefix of that, or its path.
type Media interface {
	// List is all media, by their locations, with what their files say now.
	List(ctx context.Context) (api.MediumList, error)
	// Get is one medium.
	Get(ctx context.Context, ref string) (api.Medium, error)
	// Make begins to make an image and to add it. A file that is there already is
	// api.KindExists.
	Make(ctx context.Context, request api.MakeMediumRequest) (api.Task, error)
	// Add makes a file known. One that carries the UUID of another that is known
	// is api.KindExists, unless the request wants a new one.
	Add(ctx context.Context, request api.AddMediumRequest) (api.Medium, error)
	// Change changes a description, or makes a disk larger, also while a guest runs
	// on it; one that others stand on is api.KindRefused.
	Change(ctx context.Context, ref string, request api.ChangeMediumRequest) (api.Medium, error)
	// Move moves the file of a medium, also while one running machine writes it where it lies; one
	// that is used otherwise is api.KindBusy.
	Move(ctx context.Context, ref string, request api.MoveMediumRequest) (api.Medium, error)
	// ChangePassphrase changes the passphrases of an encrypted medium and of all images that
	// have its header: its differences, snapshots and linked clones. While a task is at work on a machine
	// that uses one, or a machine runs and the passphrase is to go without another, it is api.KindBusy.
	ChangePassphrase(ctx context.Context, ref string, request api.MediumPassphraseRequest) (api.MediumPassphrases, error)
	// Compact begins to give back the room that a medium's content does not need: in its file, or, where a machine
	// runs on it, by asking the guest's agent to discard what file systems do not use. One that others stand on
	// is api.KindRefused, one whose guest cannot do that api.KindUnsupported, or api.KindWrongState while it is paused.
	Compact(ctx context.Context, ref string) (api.Task, error)
	// Release takes a medium out of all drives, of machines that allow it now.
	Release(ctx context.Context, ref string) (api.Medium, error)
	// Remove forgets a medium; one that is used is api.KindBusy.
	Remove(ctx context.Context, ref string, request api.RemoveMediumRequest) (api.Medium, error)
	// Prune lists the files that nothing refers to, and removes them if asked to.
	Prune(ctx context.Context, request api.PruneRequest) (api.UnreferencedFiles, error)
}

// Pools are the places that machines' folders are put into. One is named by its name.
type Pools interface {
	// List is all pools, by their names.
	List(ctx context.Context) (api.PoolList, error)
	// Get is one pool.
	Get(ctx context.Context, name string) (api.Pool, error)
	// Add makes a directory a pool. A name that is taken, and a directory that is, is in, or holds, that of another
	// pool, is api.KindExists.
	Add(ctx context.Context, request api.AddPoolRequest) (api.Pool, error)
	// Remove forgets a pool; its directory stays, as it is. One with machines is api.KindBusy.
	Remove(ctx context.Context, name string) (api.Pool, error)
}

// Stats tell what machines use. A machine that does not run is api.KindWrongState.
type Stats interface {
	// Stats is what one machine uses now.
	Stats(ctx context.Context, ref string) (api.Stats, error)
	// History is what one machine, running or not, has used since a time; the zero time
	// is as far back as it is kept.
	History(ctx context.Context, ref string, since time.Time) (api.StatsHistory, error)
	// All is what all running machines use now, and how the host stands.
	All(ctx context.Context) (api.StatsList, error)
}

// Services is everything that the server offers to its clients.
type Services struct {
	Machines  Machines
	Power     Power
	Drives    Drives
	Snapshots Snapshots
	Media     Media
	Pools     Pools
	Views     Views
	Stats     Stats
	Tasks     Tasks
	Events    Events
	Host      Host
}
