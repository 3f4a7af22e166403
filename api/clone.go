package api

// CloneRequest asks for machines that are like another one, with UUIDs, MAC
// addresses and folders of their own.
type CloneRequest struct {
	Name     string `json:"name" doc:"the new machine's name; of several, the beginning of their names: NAME-1, NAME-2 …"`
	Linked   bool   `json:"linked,omitempty" doc:"make differencing images over the original's, which must be a template or in a snapshot, instead of copying its disks"`
	Snapshot string `json:"snapshot,omitempty" doc:"name or ID of a snapshot of the original, to be like it was then"`
	Running  bool   `json:"running,omitempty" doc:"of a running machine: copy what its disks hold at one instant, while it runs on"`
	Count    int    `json:"count,omitempty" minimum:"0" maximum:"256" doc:"how many; default one, whose name gets no number"`
	Pool     string `json:"pool,omitempty" doc:"the pool that their folders are put into; empty for the default one"`
	KeepTPM  bool   `json:"keepTPM,omitempty" doc:"copy the TPM's state and with it the identity and keys; without, clones get a new TPM"`
}
