package inventory

import (
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/state"
)

// The prefixes in the store.
const (
	Prefix      = "machines/"
	namesPrefix = "names/"
)

// Record is a machine as it is stored.
type Record struct {
	api.Machine
	// Digest is the SHA-256 of machine.json as the daemon wrote it last; another
	// one in the folder means that somebody edited the file.
	Digest string `json:"digest,omitempty"`
	// SpecChangedAfter is the revision that the record had before its spec was
	// changed last: whoever saw that one or an older has not seen the spec.
	SpecChangedAfter int64 `json:"specChangedAfter,omitempty"`
	// Leftovers are files and folders in the machine's folder, relative to it, that
	// nothing needs any more: whoever finds them there removes them.
	Leftovers []string `json:"leftovers,omitempty"`
	// Lent are images of the machine's folder, relative to it, that only other machines stand on any more: linked clones
	// of snapshots that are deleted. They go with the last of these.
	Lent []string `json:"lent,omitempty"`
	// Merging tells that there may be images to be merged.
	Merging bool `json:"merging,omitempty"`
	// Streaming tells that the machine's disks are to be drawn into its own images.
	Streaming bool `json:"streaming,omitempty"`
	// StreamFailed is why they could not be drawn in when that was tried last.
	StreamFailed string `json:"streamFailed,omitempty"`
	// Drawn are images of the machine's folder that what its snapshots stand on is drawn into, by
	// path, and "#" and the earlier state where one is used, until all of them stand on those.
	Drawn map[string]Drawn `json:"drawn,omitempty"`
	// StayPaused tells that the guest of the saved state stood still, or is to: whoever starts it leaves it so.
	StayPaused bool `json:"stayPaused,omitempty"`
	// GoesOn tells that a task saves the machine for a moment only: whoever finds it saved, and no task at
	// work on it, starts it.
	GoesOn bool `json:"goesOn,omitempty"`
	// Behind tells that the last change of the tree is not in machine.json yet: there was no room to write it. The
	// digest is that of the file as it is.
	Behind bool `json:"behind,omitempty"`
	// Bases are marks of the images that the machine's own stand on, as these were when they
	// came to stand on them, by path, and "#" and the earlier state where one is used.
	Bases map[string]media.Mark `json:"bases,omitempty"`
	// BootID is the host's boot in which the process was started.
	BootID string `json:"bootID,omitempty"`
}

// Drawn is an image that another one's content is drawn into.
type Drawn struct {
	File  string `json:"file"` // relative to the machine's folder
	Whole bool   `json:"whole,omitempty"`
}

// Object is a record with its revision.
type Object = state.Object[Record]

// AsMachine is the machine of a stored object, as clients see it: without secrets.
func AsMachine(object Object) api.Machine {
	shown := object.Value.Machine
	shown.Revision = int64(object.Revision)
	shown.Spec = machine.Conceal(shown.Spec)
	shown.Status.Warnings = warnings(object.Value)
	return shown
}

// streamWarning begins what users are told of a machine whose disks could not be drawn in.
const streamWarning = "drawing in its disks has failed, and their originals are still needed: "

// warnings are those of a machine's status, and why its disks were not drawn in, for as long
// as it stands on originals: that outlives its runs, whose status begins anew.
func warnings(r Record) []string {
	stands := func(d api.Drive) bool { return d.Mode == api.Overlay && d.Source != "" }
	held := func(s api.Snapshot) bool { return len(s.Sources) > 0 }
	if r.StreamFailed == "" || !slices.ContainsFunc(r.Spec.Drives, stands) && !slices.ContainsFunc(r.Snapshots, held) {
		return r.Status.Warnings
	}
	return append(slices.Clone(r.Status.Warnings), streamWarning+r.StreamFailed)
}
