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

// controllerTrait is what a type of controller can take.
type controllerTrait struct {
	prefix string // of the names of controllers of this type
	ports  int
	most   int // how many of it a machine can have
	kinds  []api.DriveKind
	boards []Board // nil for all
}

var (
	anyMedium = []api.DriveKind{api.Disk, api.Optical}
	diskOnly  = []api.DriveKind{api.Disk}
)

var controllerTraits = map[api.ControllerType]controllerTrait{
	api.IDE:        {"ide", 4, 1, anyMedium, []Board{BoardPC}},
	api.SATA:       {"sata", 6, 8, anyMedium, nil},
	api.VirtioSCSI: {"scsi", 256, 8, anyMedium, nil},
	api.LSILogic:   {"lsi", 7, 8, anyMedium, nil},
	api.LSISAS:     {"lsisas", 8, 8, anyMedium, nil},
	api.MegaRAID:   {"megasas", 64, 8, anyMedium, nil},
	api.PVSCSI:     {"pvscsi", 64, 8, anyMedium, nil},
	api.VirtioBlk:  {"virtio", 32, 1, diskOnly, nil},
	api.NVMe:       {"nvme", 16, 8, diskOnly, nil},
	api.USB:        {"usb", 8, 1, anyMedium, nil},
	api.Floppy:     {"floppy", 2, 1, []api.DriveKind{api.FloppyDiskette}, []Board{BoardPC, BoardQ35}},
}

// MaxControllers bounds the controllers of a machine: each has a fixed place on its board.
const MaxControllers = 8

// ControllerPrefix begins the names of controllers of a type: "sata" of sata0.
func ControllerPrefix(kind api.ControllerType) string { return controllerTraits[kind].prefix }

// PreferredController is the type of controller that a board has for disks of
// guests about which nothing is known.
func PreferredController(board Board) api.ControllerType { return preferred(board, api.Disk)[0] }

// pcVirtioBlk is how many virtio-blk drives fit on the only bus of a pc board.
const pcVirtioBlk = 10

// PortsOf returns how many ports a type of controller has on a board, 0 if
// the board does not take it.
func PortsOf(board Board, kind api.ControllerType) int {
	trait, known := controllerTraits[kind]
	if !known || trait.boards != nil && !slices.Contains(trait.boards, board) {
		return 0
	}
	if board == BoardPC && kind == api.VirtioBlk {
		return pcVirtioBlk
	}
	return trait.ports
}

// preferred returns the types of controller to make for a drive that names
// none, the best first. What lets an arbitrary disk image boot comes before what
// is fast: on x86 every guest of the last decades has a driver for it.
func preferred(board Board, kind api.DriveKind) []api.ControllerType {
	switch {
	case kind == api.FloppyDiskette:
		return []api.ControllerType{api.Floppy}
	case board == BoardPC:
		return []api.ControllerType{api.IDE, api.SATA}
	case board == BoardVirt && kind == api.Disk:
		return []api.ControllerType{api.VirtioBlk, api.VirtioSCSI}
	case board == BoardVirt:
		return []api.ControllerType{api.VirtioSCSI}
	}
	return []api.ControllerType{api.SATA}
}

// typeOfName returns the type that a controller's name such as nvme0 stands for.
func typeOfName(name string) (api.ControllerType, bool) {
	for kind, trait := range controllerTraits {
		number, found := strings.CutPrefix(name, trait.prefix)
		if !found {
			continue
		}
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && strconv.Itoa(n) == number {
			return kind, true
		}
	}
	return "", false
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
