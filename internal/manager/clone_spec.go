package manager

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
)

// maxClones is how many machines one request may ask for: all of them are made
// known in one commit.
const maxClones = 256

// cloneNames are the names of the machines that a request asks for.
func cloneNames(request api.CloneRequest) []string {
	if request.Count < 2 {
		return []string{request.Name}
	}
	names := make([]string, request.Count)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", request.Name, i+1)
	}
	return names
}

// cloneRecord is a new machine that is like spec says: with a UUID and MAC
// addresses of its own, and neither a template nor started with the host.
func (m *Manager) cloneRecord(spec api.Spec, name string) inventory.Record {
	spec = machine.Clone(spec)
	spec.Name, spec.UUID = name, uuid.NewString()
	spec.Template, spec.Autostart, spec.Snapshots = false, api.Autostart{}, api.SnapshotSchedule{}
	for i := range spec.Adapters {
		spec.Adapters[i].MAC = ""
	}
	record := inventory.Record{Machine: api.Machine{Created: time.Now().UTC(), Spec: machine.Complete(spec, m.defaults())}}
	m.enter(&record, api.StateOff)
	return record
}

// linked is a clone's drive over the original's, whose folder is dir; made
// tells that it gets a differencing image.
func linked(dir folder.Folder, drive api.Drive) (clone api.Drive, made bool) {
	if !ofItsOwn(drive) {
		return drive, false
	}
	clone = drive
	clone.Mode, clone.File = api.Overlay, ""
	if drive.File == "" {
		return clone, true
	}
	clone.Source, clone.Snapshot, clone.Under = dir.Path(drive.File), "", nil
	clone.Format = media.LayerFormat(drive.File)
	if machine.Layered(drive) {
		below := api.Underlay{Source: drive.Source, Format: drive.Format, Snapshot: drive.Snapshot}
		clone.Under = append([]api.Underlay{below}, drive.Under...)
	}
	return clone, true
}

// copied is a clone's drive with a copy of what the original's holds; made
// tells that there is something to be copied.
func copied(drive api.Drive) (clone api.Drive, made bool) {
	if !ofItsOwn(drive) {
		return drive, false
	}
	clone = drive
	clone.Mode, clone.File, clone.Source, clone.Snapshot, clone.Under = api.Own, "", "", "", nil
	if clone.WriteMode == api.Multiattach {
		clone.WriteMode = api.Normal // it has a base of its own now
	}
	clone.Format = "qcow2"
	return clone, true
}

// ofItsOwn tells whether a clone needs content of its own for a drive: not for
// what nobody writes, or all share.
func ofItsOwn(drive api.Drive) bool {
	mode := machine.WriteModeOf(drive)
	return mode != api.Shareable && drive.Mode != api.ReadOnly && (drive.File != "" || drive.Source != "")
}

// sharedForwards are the host's ports that a machine and its clones would both
// listen on.
func sharedForwards(spec api.Spec) []int {
	var ports []int
	for _, adapter := range spec.Adapters {
		for _, forward := range adapter.Forwards {
			ports = append(ports, forward.HostPort)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}
