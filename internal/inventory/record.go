package inventory

import (
	"github.com/panalvm/panal/api"
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
	// BootID is the host's boot in which the process was started.
	BootID string `json:"bootID,omitempty"`
}

// Object is a record with its revision.
type Object = state.Object[Record]

// AsMachine is the machine of a stored object, as clients see it.
func AsMachine(object Object) api.Machine {
	machine := object.Value.Machine
	machine.Revision = int64(object.Revision)
	return machine
}
