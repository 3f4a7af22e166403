package machine

import (
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
)

// Board is a family of machine types that differ in their version only.
type Board string

// The boards.
const (
	BoardPC    Board = "pc"   // i440FX and PIIX3: PCI, IDE, floppy
	BoardQ35   Board = "q35"  // Q35 and ICH9: PCI Express, SATA
	BoardVirt  Board = "virt" // QEMU's own board for aarch64 and riscv64: PCI Express, no legacy devices
	BoardOther Board = ""     // unknown to Panal
)

// BoardOf returns the board of a machine type, which may be versioned
// (pc-q35-7.2) or an alias (q35).
func BoardOf(arch api.Architecture, machineType string) Board {
	switch {
	case arch != api.X8664:
		if machineType == "virt" || isVersionOf(machineType, "virt-") {
			return BoardVirt
		}
	case machineType == "q35" || isVersionOf(machineType, "pc-q35-"):
		return BoardQ35
	case machineType == "pc" || isVersionOf(machineType, "pc-i440fx-"):
		return BoardPC
	}
	return BoardOther
}

// isVersionOf says whether name is prefix and something that looks like a
// version: a digit first, and no character that QEMU's options give a meaning.
func isVersionOf(name, prefix string) bool {
	version, found := strings.CutPrefix(name, prefix)
	return found && version != "" && version[0] >= '0' && version[0] <= '9' &&
		only(version, isLetter, isDigit, oneOf(".-_"))
}

// BoardsOf returns the boards of an architecture, the default first.
func BoardsOf(arch api.Architecture) []Board {
	switch arch {
	case api.X8664:
		return []Board{BoardQ35, BoardPC}
	case api.AArch64, api.RISCV64:
		return []Board{BoardVirt}
	}
	return nil
}

// taken tells whether a name is in use: whatever has a name shares one name space.
func taken(s *api.Spec) func(string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(s.Controllers, func(e api.Controller) bool { return e.Name == name }) ||
			slices.ContainsFunc(s.Drives, func(e api.Drive) bool { return e.Name == name }) ||
			slices.ContainsFunc(s.Adapters, func(e api.Adapter) bool { return e.Name == name }) ||
			slices.ContainsFunc(s.Serials, func(e api.Serial) bool { return e.Name == name })
	}
}

// unusedName returns prefix with the lowest number that makes a name not taken.
func unusedName(prefix string, taken func(string) bool) string {
	for n := 0; ; n++ {
		if name := prefix + strconv.Itoa(n); !taken(name) {
			return name
		}
	}
}

// BootOrder returns the names of the drives and adapters that the firmware
// tries, in order: the spec's own order or, where it has none, disks, optical
// and floppy drives, adapters, each in their order.
func BootOrder(spec api.Spec) []string {
	if len(spec.Boot.Order) > 0 {
		return slices.Clone(spec.Boot.Order)
	}
	var names []string
	for _, kind := range []api.DriveKind{api.Disk, api.Optical, api.FloppyDiskette} {
		for _, drive := range spec.Drives {
			if drive.Kind == kind {
				names = append(names, drive.Name)
			}
		}
	}
	for _, adapter := range spec.Adapters {
		names = append(names, adapter.Name)
	}
	return names
}
