package api

import "time"

// Snapshot is a node of a machine's tree of snapshots: what its disks, its
// hardware, its firmware's variables and its TPM were at one instant, and the
// memory too where that was wanted.
type Snapshot struct {
	ID          string            `json:"id" doc:"eight letters and digits, unique in the machine"`
	Parent      string            `json:"parent,omitempty" doc:"ID of the snapshot that it was taken after; empty for a root"`
	Name        string            `json:"name" doc:"unique in the machine, 1 to 63 characters"`
	Description string            `json:"description,omitempty" doc:"free text, at most 16 KiB"`
	Taken       time.Time         `json:"taken"`
	State       State             `json:"state" enum:"off,saved,running,paused" doc:"what the machine was then"`
	Memory      Size              `json:"memory,omitempty" doc:"bytes that its memory takes up on disk; 0 when it was taken without"`
	Quiesced    bool              `json:"quiesced,omitempty" doc:"the guest's agent had frozen its file systems"`
	Schedule    string            `json:"schedule,omitempty" enum:"hourly,daily,weekly,monthly" doc:"it was taken by the machine's schedule, which removes it in its time"`
	MachineType string            `json:"machineType,omitempty" doc:"the versioned machine type that its memory fits"`
	CPUs        int               `json:"cpus,omitempty" doc:"CPUs that were plugged in, of a machine that ran or was saved; its memory fits no other number"`
	Images      map[string]string `json:"images,omitempty" doc:"by drive, the image that holds its content of that time, relative to the machine's folder"`
	Sources     []string          `json:"sources,omitempty" doc:"images outside of the machine's folder that the content stands on; they must stay as they are"`
	Notes       []string          `json:"notes,omitempty" doc:"what an import could not carry over, or what the schedule missed before it"`
}

// HasMemory tells whether the machine can go on from the snapshot where it was.
func (s Snapshot) HasMemory() bool { return s.Memory > 0 }

// SnapshotTree is a machine's snapshots.
type SnapshotTree struct {
	Revision  int64      `json:"revision"`
	Machine   string     `json:"machine" doc:"UUID"`
	Name      string     `json:"name" doc:"the machine's"`
	Current   string     `json:"current,omitempty" doc:"ID of the snapshot that the machine's present state came after; empty for none"`
	Snapshots []Snapshot `json:"snapshots" doc:"parents before their children, and otherwise oldest first"`
}

// SnapshotDetail is a snapshot with all that it holds.
type SnapshotDetail struct {
	Snapshot
	Machine string          `json:"machine" doc:"UUID"`
	Spec    Spec            `json:"spec" doc:"the machine's spec at that time"`
	Drives  []SnapshotDrive `json:"drives,omitempty"`
}

// SnapshotDrive is a drive's content in a snapshot.
type SnapshotDrive struct {
	Name  string          `json:"name"`
	Size  Size            `json:"size" doc:"virtual size"`
	Chain []SnapshotImage `json:"chain" doc:"the image that holds the content, and those that it stands on"`
}

// SnapshotImage is an image of a chain.
type SnapshotImage struct {
	Path      string `json:"path" doc:"absolute; may name a member of an archive"`
	Format    string `json:"format"`
	Snapshot  string `json:"snapshot,omitempty" doc:"an earlier state that the image holds, if it is that"`
	Alone     bool   `json:"alone,omitempty" doc:"it is read over the next one of the chain, whatever it names itself; the first that is not is read with what it names"`
	Allocated Size   `json:"allocated" doc:"bytes that its own files take up"`
}

// TakeSnapshotRequest asks for a snapshot.
type TakeSnapshotRequest struct {
	Name        string `json:"name,omitempty" doc:"default snapshot1, snapshot2 …"`
	Description string `json:"description,omitempty"`
	Memory      bool   `json:"memory,omitempty" doc:"of a running or paused machine: its memory too. A saved machine's is always part of it"`
	Quiesce     bool   `json:"quiesce,omitempty" doc:"of a running machine: let the guest's agent freeze its file systems for that instant; without an agent it fails"`
}

// ChangeSnapshotRequest changes what people say about a snapshot. What is left
// out stays.
type ChangeSnapshotRequest struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
}

// RestoreSnapshotRequest asks for a machine to become what it was in a snapshot.
// What it is now is lost with it, so one of Keep and Force must be
// given unless nothing would be lost.
type RestoreSnapshotRequest struct {
	Keep     bool   `json:"keep,omitempty" doc:"take a snapshot of the present state first"`
	KeepName string `json:"keepName,omitempty" doc:"that snapshot's name"`
	Force    bool   `json:"force,omitempty" doc:"give the present state up"`
	Paused   bool   `json:"paused,omitempty" doc:"of a snapshot with memory: the guest stands still when it is started from it; a snapshot of a paused machine does so anyway"`
}

// DeleteSnapshotRequest says what goes with a snapshot.
type DeleteSnapshotRequest struct {
	Children bool `json:"children,omitempty" doc:"all that were taken after it too"`
}

// SnapshotDiff is what differs between two states of a machine.
type SnapshotDiff struct {
	From   string       `json:"from" doc:"ID of a snapshot"`
	To     string       `json:"to,omitempty" doc:"ID of a snapshot; empty for the present state"`
	Drives []DriveDiff  `json:"drives,omitempty" doc:"the drives whose content differs, or that only one has"`
	Spec   []SpecChange `json:"spec,omitempty"`
}

// DriveDiff is how the content of a drive differs.
type DriveDiff struct {
	Name  string `json:"name"`
	Only  string `json:"only,omitempty" enum:"from,to" doc:"the only one of the two that has the drive"`
	Bytes int64  `json:"bytes" doc:"how many bytes differ, counted in sectors of 512"`
	Size  Size   `json:"size" doc:"virtual size"`
}

// SpecChange is a value of the spec that differs.
type SpecChange struct {
	Field string `json:"field" doc:"path, such as cpu.count"`
	From  string `json:"from,omitempty" doc:"as JSON; empty where there is none"`
	To    string `json:"to,omitempty"`
}
