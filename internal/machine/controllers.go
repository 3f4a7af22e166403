package machine

import (
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
)

// controllerTrait is what a type of controller can take.
type controllerTrait struct {
	prefix  string // of the names of controllers of this type
	ports   int
	adapter int    // ports of one host bus adapter; a controller is as many of them as it needs
	reason  string // why there are no more ports
	most    int    // how many of it a machine can have
	kinds   []api.DriveKind
	boards  []Board // nil for all
}

var (
	anyMedium = []api.DriveKind{api.Disk, api.Optical}
	diskOnly  = []api.DriveKind{api.Disk}
)

// The ports of SCSI adapters and of the NVMe controller are those of QEMU 7.2;
// a test asks the QEMU that is installed whether it takes the last of each.
var controllerTraits = map[api.ControllerType]controllerTrait{
	api.IDE:        {"ide", 4, 4, "it has 2 channels of 2 devices", 1, anyMedium, []Board{BoardPC}},
	api.SATA:       {"sata", 30, 6, "it is 5 AHCI adapters of 6 ports", 8, anyMedium, nil},
	api.VirtioSCSI: {"scsi", 256, 256, "it addresses 256 targets", 8, anyMedium, nil},
	api.LSILogic:   {"lsi", 15, 7, "a parallel SCSI bus has 16 addresses, one of them the controller's", 8, anyMedium, nil},
	api.BusLogic:   {"buslogic", 15, 7, "a parallel SCSI bus has 16 addresses, one of them the controller's", 8, anyMedium, nil},
	api.LSISAS:     {"lsisas", 256, 8, "it is 32 adapters of 8 ports", 8, anyMedium, nil},
	api.MegaRAID:   {"megasas", 64, 64, "it has 64 logical drives", 8, anyMedium, nil},
	api.PVSCSI:     {"pvscsi", 64, 64, "it addresses 64 targets", 8, anyMedium, nil},
	api.VirtioBlk:  {"virtio", 32, 32, "each drive is a PCI device, and 32 have a place on the board", 1, diskOnly, nil},
	api.NVMe:       {"nvme", 255, 255, "it has 255 namespaces", 8, diskOnly, nil},
	api.USB:        {"usb", 8, 8, "its hub has 8 ports", 1, anyMedium, nil},
	api.Floppy:     {"floppy", 2, 2, "it is for two drives", 1, []api.DriveKind{api.FloppyDiskette}, []Board{BoardPC, BoardQ35}},
}

// MaxControllers bounds the controllers of a machine: each has a fixed place on its board.
const MaxControllers = 8

// PortsPerAdapter returns how many ports one host bus adapter of a type has: a
// controller with drives on higher ports is several adapters.
func PortsPerAdapter(kind api.ControllerType) int { return controllerTraits[kind].adapter }

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

// reasonOf says why a type of controller has no more ports on a board.
func reasonOf(board Board, kind api.ControllerType) string {
	if board == BoardPC && kind == api.VirtioBlk {
		return "each drive is a PCI device, and the board's only bus has room for 10"
	}
	return controllerTraits[kind].reason
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

// hardwareOf says what is there in the place of a controller whose type or
// chipset QEMU has not, empty if what is asked for is there.
func hardwareOf(c api.Controller) string {
	switch {
	case c.Type == api.BusLogic:
		return "LSI 53C895A: BusLogic's adapters cannot be had; guests need LSI's driver (Linux: sym53c8xx)"
	case c.Type == api.IDE && c.Chipset != "" && c.Chipset != "piix3":
		return "PIIX3, the chipset of board pc: guests have one driver for all of these"
	}
	return ""
}
