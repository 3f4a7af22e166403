package qemu

import (
	"fmt"

	"github.com/panalvm/panal/internal/machine"
)

// The places of the package comment: for each group of devices its first slot
// on PCI Express, on PCI Express for devices that are conventional PCI, and on pc.
type group struct {
	express      int // -1 where none of the group is PCI Express
	conventional int // -1 where all of it is
	pc           int
}

var (
	adapterPlaces    = group{0x02, 0x12, 0x03}
	ownPlaces        = group{0x03, -1, 0x0b}
	controllerPlaces = group{0x04, 0x0a, 0x0e}
	virtioBlkPlaces  = group{0x05, -1, 0x16}
	serialPlaces     = group{-1, 0x1a, -1}
)

const (
	videoSlot   = 0x01
	videoSlotPC = 0x02
	panicSlot   = 0x09
)

// ownPlace are the devices that Panal adds, in the order of their places.
const (
	agentPlace = iota
	randomPlace
	inputPlace
	balloonPlace
	memoryPlace
)

// pcOwnFunctions are the functions beside the south bridge's own of slot 1 on pc, for
// those of Panal's devices that came when all slots had been given away.
var pcOwnFunctions = map[int]string{balloonPlace: "1.4", memoryPlace: "1.5"}

// conventional are the devices without PCI Express.
var conventional = map[string]bool{
	"ich9-ahci":  true,
	"lsi53c895a": true,
	"megasas":    true,
	"mptsas1068": true,
	"e1000":      true,
	"rtl8139":    true,
	"pcnet":      true,
	"pci-serial": true,
}

// place puts a device at the place number n of its group.
func (b *builder) place(o object, g group, n int) {
	switch {
	case b.family() == machine.BoardPC && g == ownPlaces && pcOwnFunctions[n] != "":
		o["bus"], o["addr"] = "pci.0", pcOwnFunctions[n]
	case b.family() == machine.BoardPC:
		o["bus"], o["addr"] = "pci.0", fmt.Sprintf("%x", g.pc+n)
	case conventional[o["driver"].(string)]:
		o["bus"], o["addr"] = "pcie.0", fmt.Sprintf("%x", g.conventional+n)
	default:
		o["bus"], o["addr"] = b.rootPort(g.express+n/8, n%8), "0"
	}
}

// placeVirtioBlk puts a virtio-blk drive at its port.
func (b *builder) placeVirtioBlk(o object, port int) {
	if b.plugging && b.family() != machine.BoardPC && port < machine.HotVirtioBlk(b.family()) {
		b.ports = b.sparePorts()
	}
	b.place(o, virtioBlkPlaces, port)
}

// sparePorts are the PCI Express ports of virtio-blk drives that every machine
// has, so that drives can come while it runs.
func (b *builder) sparePorts() map[string]bool {
	spare := map[string]bool{}
	for n := range machine.HotVirtioBlk(b.family()) {
		spare[portName(virtioBlkPlaces.express+n/8, n%8)] = true
	}
	return spare
}

// hotPorts appends the ports of sparePorts.
func (b *builder) hotPorts() {
	if b.family() == machine.BoardPC {
		return
	}
	for n := range machine.HotVirtioBlk(b.family()) {
		b.rootPort(virtioBlkPlaces.express+n/8, n%8)
	}
}

// portName is the identifier of a root port, and of its bus.
func portName(slot, function int) string {
	return fmt.Sprintf("panal-port-%02x.%d", slot, function)
}

// rootPort appends the PCI Express port of a slot and function, once, and
// returns its name. Function 0 of the slot has to be there for a guest to see
// the others.
func (b *builder) rootPort(slot, function int) string {
	if function > 0 {
		b.rootPort(slot, 0)
	}
	name := portName(slot, function)
	if b.ports[name] {
		return name
	}
	if b.ports == nil {
		b.ports = map[string]bool{}
	}
	b.ports[name] = true
	b.device("machineType", object{
		"driver": "pcie-root-port", "id": name, "bus": "pcie.0", "addr": fmt.Sprintf("%x.%x", slot, function),
		"multifunction": true, "chassis": slot*8 + function, "port": slot*8 + function,
	})
	return name
}
