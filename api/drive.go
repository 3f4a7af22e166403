package api

// AttachRequest is a drive to attach to a machine. What the drive leaves out is
// filled in; of a machine that runs, its place must be one that drives can come to.
type AttachRequest struct {
	Drive Drive    `json:"drive"`
	Set   []string `json:"set,omitempty" doc:"fields of the drive as KEY=VALUE, such as iops=500"`

	Encrypt    bool   `json:"encrypt,omitempty" doc:"encrypt the image that is made, by LUKS"`
	Passphrase string `json:"passphrase,omitempty" doc:"of a drive that is encrypted; kept in the daemon's memory, as by UnlockRequest"`
}

// DetachRequest is a drive to detach. Its image stays.
type DetachRequest struct {
	Drive   string `json:"drive" doc:"the drive's name"`
	Timeout int    `json:"timeout,omitempty" minimum:"0" maximum:"3600" doc:"seconds to wait for a running guest to give the drive up, default 30"`
}

// EjectRequest is a drive to take the medium out of.
type EjectRequest struct {
	Drive   string `json:"drive" doc:"the drive's name"`
	Force   bool   `json:"force,omitempty" doc:"also when the guest has locked the drive, because it uses the medium"`
	Timeout int    `json:"timeout,omitempty" minimum:"0" maximum:"3600" doc:"seconds to wait for a running guest to unlock the drive, default 30"`
}

// InsertRequest is a medium for a drive.
type InsertRequest struct {
	Drive    string `json:"drive" doc:"the drive's name"`
	Source   string `json:"source" doc:"absolute path of the image"`
	Format   string `json:"format,omitempty" enum:"raw,qcow2,vdi,vmdk,vhd,vpc,vhdx,parallels,xva,qcow" doc:"found by the content when left out"`
	Snapshot string `json:"snapshot,omitempty" doc:"an earlier state that the image holds"`
	Write    bool   `json:"write,omitempty" doc:"let the guest write a diskette, where it lies"`
	Force    bool   `json:"force,omitempty" doc:"as of eject, when there is a medium in the drive"`
	Timeout  int    `json:"timeout,omitempty" minimum:"0" maximum:"3600" doc:"as of eject"`
}
