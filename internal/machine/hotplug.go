package machine

import (
	"fmt"
	"slices"

	"github.com/panalvm/panal/api"
)

// HotVirtioBlk is how many ports of virtio-blk drives, from 0, can be used
// while a machine runs. Where each is a PCI Express port, so many are always
// there; on board virt none, because beside eight more ports Linux on aarch64
// did not find the disks that it has.
func HotVirtioBlk(board Board) int {
	switch board {
	case BoardPC:
		return pcVirtioBlk
	case BoardQ35:
		return 8
	}
	return 0
}

// noHotPlug says of the types of controllers whose drives stay for as long as
// the machine runs why that is so.
var noHotPlug = map[api.ControllerType]string{
	api.IDE:    "IDE has no hot plugging",
	api.SATA:   "QEMU's AHCI takes and gives no drives while it runs",
	api.NVMe:   "QEMU's NVMe takes and gives no namespaces while it runs",
	api.Floppy: "a floppy controller has no hot plugging",
}

// HotPlug says why a drive of a complete spec can neither come nor go while the machine
// runs, empty if it can.
func HotPlug(spec api.Spec, drive api.Drive) string {
	i := slices.IndexFunc(spec.Controllers, func(c api.Controller) bool { return c.Name == drive.Controller })
	if i < 0 || drive.Port == nil {
		return "it has no controller"
	}
	kind := spec.Controllers[i].Type
	if reason, found := noHotPlug[kind]; found {
		return reason
	}
	switch ports := hotPorts(BoardOf(spec.Architecture, spec.MachineType), kind); {
	case ports == 0:
		return fmt.Sprintf("this board has no ports to spare for %s; virtio-scsi takes drives at any time", kind)
	case *drive.Port >= ports:
		return fmt.Sprintf("on %s that is so for the ports 0 to %d alone, and its port is %d", drive.Controller, ports-1, *drive.Port)
	}
	return ""
}

// hotPorts is how many ports of a controller, from 0, drives can come to while
// the machine runs: those of the first host bus adapter, which is always there.
func hotPorts(board Board, kind api.ControllerType) int {
	switch {
	case noHotPlug[kind] != "":
		return 0
	case kind == api.VirtioBlk:
		return HotVirtioBlk(board)
	}
	return min(PortsOf(board, kind), PortsPerAdapter(kind))
}

// PlaceHot finds the place for a drive that names no controller, or no port, and is to come while
// the machine runs: on a controller that is there, else on virtio-blk, which
// needs none. A drive that it finds no place for comes back as it was.
func PlaceHot(spec api.Spec, drive api.Drive) api.Drive {
	board := BoardOf(spec.Architecture, spec.MachineType)
	controllers := slices.Clone(spec.Controllers)
	hasBlk := slices.ContainsFunc(controllers, func(c api.Controller) bool { return c.Type == api.VirtioBlk })
	if !hasBlk && len(controllers) < MaxControllers {
		controllers = append(controllers, api.Controller{Name: unusedName(controllerTraits[api.VirtioBlk].prefix, taken(&spec)), Type: api.VirtioBlk})
	}
	for _, c := range controllers {
		if drive.Controller != "" && drive.Controller != c.Name || !slices.Contains(controllerTraits[c.Type].kinds, drive.Kind) {
			continue
		}
		for port := range hotPorts(board, c.Type) {
			taken := func(d api.Drive) bool { return d.Controller == c.Name && d.Port != nil && *d.Port == port }
			if !slices.ContainsFunc(spec.Drives, taken) {
				drive.Controller, drive.Port = c.Name, &port
				return drive
			}
		}
	}
	return drive
}
