package machine

import (
	"maps"
	"slices"

	"github.com/panalvm/panal/api"
)

// Defaults is what a spec is completed with that the spec alone does not say.
type Defaults struct {
	Architecture api.Architecture // of a spec that has none: the host's
	UUID         string           // of a spec that has none
}

// What a machine has that says nothing else.
const (
	DefaultCPUs    = 2
	DefaultMemory  = 2 * api.GiB
	DefaultLogSize = 4 * api.MiB
)

// Complete fills whatever the spec leaves out and there is a sensible default
// for. The spec it is given stays as it was, and shares no memory with the
// result. A complete spec comes back as it is.
//
// Adapters and Serials that are nil get the default one; lists that are empty
// but not nil stay empty, and are written as [] in JSON. Boot.Order stays
// empty where it is: [BootOrder] says what that means.
//
// Complete never fails: what is wrong stays wrong, for [Validate] to say.
func Complete(spec api.Spec, host Defaults) api.Spec {
	s := Clone(spec)
	if s.UUID == "" {
		s.UUID = host.UUID
	}
	if s.Architecture == "" {
		s.Architecture = host.Architecture
	}
	if boards := BoardsOf(s.Architecture); s.MachineType == "" && len(boards) > 0 {
		s.MachineType = string(boards[0])
	}
	completeFirmware(&s)
	s.CPU = completeCPU(s.CPU)
	s.Memory = completeMemory(s.Memory)
	completeStorage(&s)
	completeAdapters(&s)
	completeSerials(&s)
	completeDisplay(&s)
	setDefault(&s.RTC.Base, "utc")
	setDefault(&s.Restart.Policy, api.RestartNever)
	return s
}

// Clone returns a copy of a spec that shares no memory with it. Lists that
// are empty and mean the same as none become nil.
func Clone(spec api.Spec) api.Spec {
	s := spec
	s.Labels = nil
	if len(spec.Labels) > 0 {
		s.Labels = maps.Clone(spec.Labels)
	}
	s.TPM = clonePointer(spec.TPM)
	s.Kernel = clonePointer(spec.Kernel)
	s.Environment = cloneEnvironment(spec.Environment)
	s.Controllers = cloneList(spec.Controllers)
	s.Drives = cloneList(spec.Drives)
	for i := range s.Drives {
		s.Drives[i].Port = clonePointer(s.Drives[i].Port)
		s.Drives[i].AutoReset = clonePointer(s.Drives[i].AutoReset)
		s.Drives[i].Under = cloneList(s.Drives[i].Under)
	}
	s.Adapters = slices.Clone(spec.Adapters)
	for i := range s.Adapters {
		s.Adapters[i].Forwards = cloneList(s.Adapters[i].Forwards)
	}
	s.Serials = slices.Clone(spec.Serials)
	s.Boot.Order = cloneList(spec.Boot.Order)
	return s
}

func cloneList[E any](list []E) []E {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	value := *p
	return &value
}

// setDefault sets a value that is zero.
func setDefault[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}

func completeFirmware(s *api.Spec) {
	switch {
	case s.Firmware.SecureBoot:
		setDefault(&s.Firmware.Type, api.UEFI)
	case s.Architecture == api.AArch64 && s.Kernel == nil:
		// The board has no firmware of its own that could boot a disk.
		setDefault(&s.Firmware.Type, api.UEFI)
	}
	setDefault(&s.Firmware.Type, api.BIOS)
	if s.TPM != nil {
		setDefault(&s.TPM.Version, "2.0")
	}
}

func completeAdapters(s *api.Spec) {
	if s.Adapters == nil {
		s.Adapters = []api.Adapter{{}}
	}
	for i := range s.Adapters {
		adapter := &s.Adapters[i]
		if adapter.Name == "" {
			adapter.Name = unusedName("net", taken(s))
		}
		setDefault(&adapter.Model, api.AdapterVirtio)
		setDefault(&adapter.Network, "user")
		for f := range adapter.Forwards {
			setDefault(&adapter.Forwards[f].Protocol, "tcp")
			setDefault(&adapter.Forwards[f].HostAddress, "127.0.0.1")
		}
	}
	completeMACs(s)
}

func completeSerials(s *api.Spec) {
	if s.Serials == nil {
		s.Serials = []api.Serial{{}}
	}
	for i := range s.Serials {
		if s.Serials[i].Name == "" {
			s.Serials[i].Name = unusedName("serial", taken(s))
		}
		setDefault(&s.Serials[i].LogSize, DefaultLogSize)
	}
}

func completeDisplay(s *api.Spec) {
	setDefault(&s.Display.Type, "vnc")
	switch {
	case s.Display.Type == "none":
		setDefault(&s.Display.Video, "none")
	case s.Architecture == api.X8664:
		setDefault(&s.Display.Video, "std")
	default:
		setDefault(&s.Display.Video, "virtio")
	}
}
