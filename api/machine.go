package api

import "time"

// State is where a machine is in its life. Package machine draws the moves
// between them.
type State string

// The states.
const (
	StateOff      State = "off"
	StateStarting State = "starting" // QEMU is being started, or a saved state is being read
	StateRunning  State = "running"
	StatePaused   State = "paused"   // in memory, its CPUs stopped
	StateStopping State = "stopping" // asked to shut down, or being ended
	StateSaving   State = "saving"   // its memory is being written to disk
	StateSaved    State = "saved"    // its memory is on disk, no process
)

// Machine is a machine as the daemon knows it.
type Machine struct {
	Revision int64     `json:"revision" doc:"revision of the last change of anything below"`
	Folder   string    `json:"folder" doc:"absolute path of the machine's folder"`
	Created  time.Time `json:"created"`
	Spec     Spec      `json:"spec"`
	Status   Status    `json:"status"`
	// Snapshots are the tree, parents before their children; Snapshot is the ID of
	// the one that the present state came after, empty for none.
	Snapshots []Snapshot `json:"snapshots,omitempty" doc:"the tree of snapshots, parents before their children"`
	Snapshot  string     `json:"snapshot,omitempty" doc:"ID of the snapshot that the present state came after"`
}

// Status is what a machine is doing.
type Status struct {
	State       State         `json:"state" enum:"off,starting,running,paused,stopping,saving,saved"`
	Since       time.Time     `json:"since" doc:"when the state was entered"`
	Task        string        `json:"task,omitempty" doc:"the task that is changing the machine now"`
	PID         int           `json:"pid,omitempty" doc:"QEMU's process"`
	Started     *time.Time    `json:"started,omitempty" doc:"when the running process was started"`
	Accelerator string        `json:"accelerator,omitempty" enum:"kvm,tcg"`
	MachineType string        `json:"machineType,omitempty" doc:"the versioned machine type in use, kept while saved"`
	CPUs        int           `json:"cpus,omitempty" doc:"CPUs that are plugged in, kept while saved; the guest may use fewer"`
	CPUsOnline  int           `json:"cpusOnline,omitempty" doc:"CPUs that the guest uses, as its agent said last; 0 while no agent has said it"`
	Memory      *MemoryStatus `json:"memory,omitempty" doc:"the running guest's memory as it last was moved"`
	Agent       bool          `json:"agent,omitempty" doc:"the guest agent has opened its channel"`
	VNC         string        `json:"vnc,omitempty" doc:"path of the display's Unix socket"`
	LastEnd     *End          `json:"lastEnd,omitempty" doc:"how the last run ended"`
	Restarts    int           `json:"restarts,omitempty" doc:"attempts of the restart policy in a row"`
	NextRestart *time.Time    `json:"nextRestart,omitempty" doc:"when the restart policy tries again"`
	Schedule    *Scheduled    `json:"schedule,omitempty" doc:"where the schedule of snapshots has come to"`
	Resets      int           `json:"resets,omitempty" doc:"resets of the running guest, by itself or by command"`
	Warnings    []string      `json:"warnings,omitempty" doc:"what an administrator should know of, in plain words"`
}

// MemoryStatus is how the memory of a running guest stands. Plugged and Ballooned
// are what the guest has done; what it was asked for may be on its way.
type MemoryStatus struct {
	Assigned  Size        `json:"assigned" doc:"what the guest has: what it booted with, and what was plugged in, without the balloon"`
	Plugged   Size        `json:"plugged,omitempty" doc:"plugged in since it booted (virtio-mem)"`
	Ballooned Size        `json:"ballooned,omitempty" doc:"taken by the balloon"`
	Step      *MemoryStep `json:"step,omitempty" doc:"the last step that was taken, and why"`
}

// MemoryStep is one movement of a machine's memory.
type MemoryStep struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action" enum:"grow,shrink,share,compress,swap" doc:"what was done"`
	From   Size      `json:"from" doc:"bytes before"`
	To     Size      `json:"to" doc:"bytes that were asked for"`
	Reason string    `json:"reason" doc:"why, in plain words"`
}

// EndReason is why a machine's process ended.
type EndReason string

// The reasons.
const (
	EndGuestShutdown EndReason = "guest-shutdown" // the guest powered itself off
	EndGuestPanic    EndReason = "guest-panic"    // the guest reported a panic (pvpanic)
	EndStopped       EndReason = "stopped"        // a command powered it off
	EndSaved         EndReason = "saved"          // a command saved it
	EndKilled        EndReason = "killed"         // a signal from outside ended QEMU
	EndFailed        EndReason = "failed"         // QEMU ended with an error, or could not start
	EndHostRestart   EndReason = "host-restart"   // the host was restarted or lost power
)

// End is how and when a run of a machine ended.
type End struct {
	Reason EndReason `json:"reason" enum:"guest-shutdown,guest-panic,stopped,saved,killed,failed,host-restart"`
	Time   time.Time `json:"time" doc:"when it was noticed"`
	Detail string    `json:"detail,omitempty" doc:"QEMU's last words, the signal, or what the guest reported"`
}

// Summary is a row of a list of machines.
type Summary struct {
	UUID         string            `json:"uuid"`
	Name         string            `json:"name"`
	Revision     int64             `json:"revision"`
	State        State             `json:"state"`
	Since        time.Time         `json:"since"`
	Architecture Architecture      `json:"architecture"`
	CPUs         int               `json:"cpus"`
	Memory       Size              `json:"memory"`
	Autostart    bool              `json:"autostart,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Description  string            `json:"description,omitempty" doc:"first line"`
}

// MachineList is a list of machines, ordered by name.
type MachineList struct {
	Revision int64     `json:"revision" doc:"follow the list with the events after this revision"`
	Machines []Summary `json:"machines"`
}

// CreateRequest asks for a new machine.
type CreateRequest struct {
	Spec  Spec         `json:"spec,omitzero" doc:"may be empty but for what cannot be guessed"`
	Disks []DiskSource `json:"disks,omitempty" doc:"images to attach as drives, on controllers chosen by the daemon"`
	Set   []string     `json:"set,omitempty" doc:"key=value changes applied to the spec, as in ChangeRequest"`
	Pool  string       `json:"pool,omitempty" doc:"the pool that its folder is put into; empty for the default one"`

	Encrypt    bool   `json:"encrypt,omitempty" doc:"encrypt all disk images that are made, by LUKS"`
	Passphrase string `json:"passphrase,omitempty" doc:"of the disks that are to be encrypted, or are; kept in the daemon's memory, as by UnlockRequest"`
}

// UnlockRequest gives the daemon the passphrases of a machine's encrypted disks. It keeps them
// in memory only: until the machine is locked, or the daemon ends.
type UnlockRequest struct {
	Passphrase string `json:"passphrase" doc:"of all the encrypted drives, or of one"`
	Drive      string `json:"drive,omitempty" doc:"the drive's name; empty for all that are encrypted"`
}

// DiskSource is an image to make a drive of.
type DiskSource struct {
	Path     string    `json:"path" doc:"absolute path of the image"`
	Mode     DriveMode `json:"mode,omitempty" enum:"overlay,own,readonly,attach" doc:"default overlay; readonly for an ISO image"`
	Format   string    `json:"format,omitempty" doc:"found by the file's content when left out"`
	Snapshot string    `json:"snapshot,omitempty" doc:"an earlier state that the image holds, instead of its present one"`

	WriteMode WriteMode `json:"writeMode,omitempty" enum:"normal,writethrough,shareable,immutable,multiattach,readonly" doc:"as in Drive"`
	AutoReset *bool     `json:"autoReset,omitempty" doc:"as in Drive"`
}

// ChangeRequest changes single values of a spec.
type ChangeRequest struct {
	Revision int64    `json:"revision,omitempty" doc:"the revision the client saw; 0 takes whatever is there"`
	Set      []string `json:"set" doc:"key=value with the spec's field path as the key (cpu.count=4, labels.site=here, drives.disk0.serial=x), or an alias (cpus, memory, name …); an empty value returns a field to its default"`
}

// ReplaceRequest replaces a machine's whole spec.
type ReplaceRequest struct {
	Revision int64 `json:"revision" doc:"the revision the client saw"`
	Spec     Spec  `json:"spec"`
}

// RegisterRequest makes a machine known by its folder alone, or takes in (or
// throws away) changes made to a known machine's machine.json by hand.
type RegisterRequest struct {
	Folder  string `json:"folder" doc:"absolute path of the folder that holds machine.json"`
	NewUUID bool   `json:"newUUID,omitempty" doc:"give the machine a UUID of its own: for a copied folder"`
	Name    string `json:"name,omitempty" doc:"another name than the file's"`
	Discard bool   `json:"discard,omitempty" doc:"write machine.json again from what the daemon knows"`
}

// ShutdownRequest asks the guest to shut down.
type ShutdownRequest struct {
	Timeout int  `json:"timeout,omitempty" minimum:"0" doc:"seconds to wait, default 60"`
	Force   bool `json:"force,omitempty" doc:"power off when the guest has not shut down in time"`
}

// DeleteRequest says what becomes of a deleted machine.
type DeleteRequest struct {
	Force     bool `json:"force,omitempty" doc:"power a running machine off first"`
	KeepFiles bool `json:"keepFiles,omitempty" doc:"forget the machine but leave its folder"`
}

// RenameRequest gives a machine another name.
type RenameRequest struct {
	Name string `json:"name"`
}
