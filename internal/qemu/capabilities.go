package qemu

import (
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// Capabilities is what one QEMU program can do.
type Capabilities struct {
	Binary       string           `json:"binary"` // absolute path
	Version      string           `json:"version"`
	Architecture api.Architecture `json:"architecture"`
	MachineTypes []MachineType    `json:"machineTypes"`
	CPUModels    []string         `json:"cpuModels"`    // sorted
	Devices      []string         `json:"devices"`      // sorted
	Accelerators []string         `json:"accelerators"` // that it was built with: kvm, tcg
	// CPUFlags are the features of x86_64 processors that it knows, Emulated those that it translates (TCG); by its names, sorted.
	CPUFlags []string `json:"cpuFlags,omitempty"`
	Emulated []string `json:"emulated,omitempty"`
}

// MachineType is a machine type that QEMU offers.
type MachineType struct {
	Name    string `json:"name"`
	Alias   string `json:"alias,omitempty"`
	MaxCPUs int    `json:"maxCPUs"`
}

// HasDevice says whether QEMU has a type of device.
func (c Capabilities) HasDevice(name string) bool {
	_, found := slices.BinarySearch(c.Devices, name)
	return found
}

// HasCPUModel says whether QEMU has a CPU model, by its name without flags.
func (c Capabilities) HasCPUModel(name string) bool {
	_, found := slices.BinarySearch(c.CPUModels, name)
	return found
}

// ResolveMachine returns the versioned machine type that an alias (q35) stands
// for, or the type itself. The error is an *UnsupportedError.
func (c Capabilities) ResolveMachine(name string) (MachineType, error) {
	for _, m := range c.MachineTypes {
		if m.Name == name || m.Alias == name {
			return m, nil
		}
	}
	return MachineType{}, &UnsupportedError{
		Field: "machineType",
		What:  c.Binary + " " + c.Version + " has no machine type " + name,
		Help:  "it has " + strings.Join(c.nearMachines(name), ", "),
	}
}

// nearMachines lists the machine types of the same family, else the aliases.
func (c Capabilities) nearMachines(name string) []string {
	family := strings.TrimRight(name, "0123456789.")
	var same, aliases []string
	for _, m := range c.MachineTypes {
		if family != "" && strings.HasPrefix(m.Name, family) {
			same = append(same, m.Name)
		}
		if m.Alias != "" {
			aliases = append(aliases, m.Alias)
		}
	}
	if len(same) > 0 {
		return same
	}
	return aliases
}
