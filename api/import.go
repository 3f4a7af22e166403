package api

// ImportRequest asks for machines to be made of what another program wrote:
// an OVF or OVA, an XVA, a folder of VirtualBox, VMware, Hyper-V or Parallels, a
// libvirt domain, or a bare disk.
type ImportRequest struct {
	Source     string            `json:"source" doc:"absolute path of the file or folder"`
	Name       string            `json:"name,omitempty" doc:"the machine's name; with several machines the beginning of their names"`
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
	Trust      string            `json:"trust,omitempty" doc:"PEM certificates of authorities whose signatures count; default those of the system"`
	NewUUID    bool              `json:"newUUID,omitempty" doc:"give every machine a UUID of its own, even where the description's is free"`
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
	Integrity   string             `json:"integrity" doc:"what is known of manifest and signature, in words"`
	Notes       []string           `json:"notes,omitempty" doc:"what is not carried over, or not as it was"`
}

// PlannedMachine is a machine that an import would make.
type PlannedMachine struct {
	Spec      Spec              `json:"spec"`
	Disks     []PlannedDisk     `json:"disks,omitempty"`
	Networks  map[string]string `json:"networks,omitempty" doc:"by the adapter's name, the network that it was connected to"`
	Snapshots []string          `json:"snapshots,omitempty" doc:"names of the snapshots that the source has"`
	Notes     []string          `json:"notes,omitempty" doc:"what is not carried over, or not as it was"`
}

// PlannedDisk is where the content of a drive comes from.
type PlannedDisk struct {
	Drive  string `json:"drive"`
	File   string `json:"file" doc:"relative to the source"`
	Format string `json:"format"`
	Size   Size   `json:"size" doc:"what the guest sees"`
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
