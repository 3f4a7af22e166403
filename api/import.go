package api

// ImportRequest asks for machines to be made of what another program wrote:
// an OVF or OVA, an XVA, a folder of VirtualBox, VMware, Hyper-V or Parallels, a
// libvirt domain, or a bare disk.
type ImportRequest struct {
	Source     string            `json:"source" doc:"absolute path of the file or folder; of what is sent along with the request, what it is called in messages, such as -"`
	Name       string            `json:"name,omitempty" doc:"the machine's name; with several machines the beginning of their names"`
	Pool       string            `json:"pool,omitempty" doc:"the pool that the machines' folders are put into; empty for the default one"`
	CPUs       int               `json:"cpus,omitempty" minimum:"0" doc:"instead of what the description says"`
	Memory     Size              `json:"memory,omitempty" doc:"instead of what the description says"`
	Set        []string          `json:"set,omitempty" doc:"key=value changes applied to the spec of each machine, as in ChangeRequest"`
	Networks   map[string]string `json:"networks,omitempty" doc:"which network takes the place of one of the description: user or none, by its name there"`
	Properties map[string]string `json:"properties,omitempty" doc:"values of the appliance's properties, by key"`
	Deployment string            `json:"deployment,omitempty" doc:"the configuration to take, of those that the description offers; default its own default"`
	Locale     string            `json:"locale,omitempty" doc:"language of the texts, such as de-DE, where there are several"`
	AcceptEULA bool              `json:"acceptEULA,omitempty" doc:"the user agrees to the licences"`
	Allow      []string          `json:"allow,omitempty" doc:"absolute directories that disks may lie in, besides beside the description"`
	InPlace    bool              `json:"inPlace,omitempty" doc:"leave the disks where they are and write differencing images over them"`
	Remote     bool              `json:"remote,omitempty" doc:"fetch disks over HTTP or HTTPS that the description says lie elsewhere"`
	Adapt      bool              `json:"adapt,omitempty" doc:"give machines the hardware that their guests are faster with, where they are known to start with it"`
	Stream     bool              `json:"stream,omitempty" doc:"with inPlace, draw the content into the machine's own disks in the background, after which the original is needed no more"`
	Trust      string            `json:"trust,omitempty" doc:"PEM certificates of authorities: what is not signed by one whom they vouch for is refused; without them the system's are asked, and what they say is only told"`
	Passphrase string            `json:"passphrase,omitempty" doc:"what the appliance was encrypted by"`
	NewUUID    bool              `json:"newUUID,omitempty" doc:"give every machine a UUID of its own, even where the description's is free"`
	Unverified bool              `json:"unverified,omitempty" doc:"of a plan: compare nothing with the manifest, which reads all there is; an import always does"`
	Resume     bool              `json:"resume,omitempty" doc:"keep what is copied of disks when the import fails, is cancelled or cut off, and go on with what an earlier import of the same source kept"`
}

// ImportPlan is what an import would make.
type ImportPlan struct {
	Kind        string             `json:"kind" doc:"ovf, xva, virtualbox, vmware, hyperv, parallels, libvirt or disk"`
	Producer    string             `json:"producer,omitempty" doc:"the program that wrote it, as far as it says"`
	Name        string             `json:"name"`
	Machines    []PlannedMachine   `json:"machines" doc:"in the order in which they start"`
	Licences    []Licence          `json:"licences,omitempty" doc:"to be agreed to"`
	Properties  []ImportProperty   `json:"properties,omitempty"`
	Deployments []DeploymentOption `json:"deployments,omitempty"`
	Deployment  string             `json:"deployment,omitempty" doc:"the one that is taken"`
	Encrypted   bool               `json:"encrypted,omitempty" doc:"disks are encrypted: importing it takes the passphrase"`
	Integrity   string             `json:"integrity" doc:"what is known of manifest and signature, in words"`
	Notes       []string           `json:"notes,omitempty" doc:"what is not carried over, or not as it was"`
}

// ImportResult is what an import made of what was sent along with the request.
type ImportResult struct {
	Task Task       `json:"task" doc:"the task, which has ended"`
	Plan ImportPlan `json:"plan" doc:"what was made"`
}

// PlannedMachine is a machine that an import would make.
type PlannedMachine struct {
	Spec      Spec              `json:"spec"`
	Disks     []PlannedDisk     `json:"disks,omitempty"`
	Networks  map[string]string `json:"networks,omitempty" doc:"by the adapter's name, the network that it was connected to"`
	Snapshots []Snapshot        `json:"snapshots,omitempty" doc:"the tree of snapshots that come along, parents before their children"`
	Snapshot  string            `json:"snapshot,omitempty" doc:"ID of the snapshot that the present state came after"`
	Start     *PlannedStart     `json:"start,omitempty" doc:"when it starts among the machines of a collection"`
	Notes     []string          `json:"notes,omitempty" doc:"what is not carried over, or not as it was"`
}

// PlannedStart is when a machine starts among the machines of a collection.
type PlannedStart struct {
	Step    int  `json:"step" doc:"from 0; machines of one step start together"`
	Seconds int  `json:"seconds,omitempty" doc:"how long the next step waits, in seconds"`
	Guest   bool `json:"guest,omitempty" doc:"the next step waits only until the guest is up, and for seconds at most"`
	Never   bool `json:"never,omitempty" doc:"it is not started with the others"`
}

// PlannedDisk is where the content of a drive comes from.
type PlannedDisk struct {
	Drive  string `json:"drive"`
	File   string `json:"file" doc:"relative to the source"`
	Format string `json:"format"`
	Size   Size   `json:"size" doc:"what the guest sees"`
	// Problem is why the disk cannot be had, and what to do; the import is refused then.
	Problem string `json:"problem,omitempty" doc:"why it cannot be had, with what to do; the import is refused then"`
}

// Licence is a text that must be agreed to.
type Licence struct {
	Machine string `json:"machine,omitempty" doc:"the machine it is for, as the description calls it; empty for all"`
	Text    string `json:"text"`
}

// ImportProperty is a value that the user may give to an appliance.
type ImportProperty struct {
	Key         string `json:"key"`
	Label       string `json:"label,omitempty"`
	Description string `json:"description,omitempty"`
	Type        string `json:"type,omitempty"`
	Value       string `json:"value" doc:"empty for what is secret"`
	Required    bool   `json:"required,omitempty"`
	Secret      bool   `json:"secret,omitempty"`
	Fixed       bool   `json:"fixed,omitempty" doc:"not for the user to set"`
}

// DeploymentOption is a configuration to choose from.
type DeploymentOption struct {
	ID          string `json:"id"`
	Label       string `json:"label,omitempty"`
	Description string `json:"description,omitempty"`
	Default     bool   `json:"default,omitempty"`
}
