package qemu

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// storage appends controllers, images and drives.
func (b *builder) storage() {
	b.hotPorts()
	buses := map[string]bus{}
	counts := map[api.ControllerType]int{}
	for i, controller := range b.Spec.Controllers {
		on := bus{kind: controller.Type, name: controller.Name, threads: controller.IOThread}
		for n := range b.adaptersOf(controller) {
			on.main = b.controller(i, controller, counts[controller.Type], n) || on.main
		}
		buses[controller.Name] = on
		counts[controller.Type]++
	}
	for i, drive := range b.Spec.Drives {
		on, found := buses[drive.Controller]
		if !found || drive.Port == nil {
			b.fail(fmt.Errorf("drive %s has no controller or port", drive.Name))
			continue
		}
		b.drive(i, drive, on)
	}
}

// bus is where a controller's drives are attached.
type bus struct {
	kind    api.ControllerType
	name    string // the controller's
	main    bool   // its first host bus adapter is the board's own
	threads bool   // each drive has a thread of its own, if the drive is the device
}

// adapter is the identifier of the controller's host bus adapter number n. The
// board's own is not named so.
func (on bus) adapter(n int) string {
	if n == 0 {
		return on.name
	}
	return fmt.Sprintf("panal-%s.%d", on.name, n)
}

// adaptersOf returns how many host bus adapters a controller has to be for its
// drives.
func (b *builder) adaptersOf(c api.Controller) int {
	per, last := machine.PortsPerAdapter(c.Type), 0
	for _, drive := range b.Spec.Drives {
		if drive.Controller == c.Name && drive.Port != nil && per > 0 {
			last = max(last, *drive.Port/per)
		}
	}
	return last + 1
}

// controllerDevices are QEMU's devices for the types of controllers that are
// PCI devices.
var controllerDevices = map[api.ControllerType]string{
	api.SATA: "ich9-ahci", api.VirtioSCSI: "virtio-scsi-pci", api.LSILogic: "lsi53c895a", api.BusLogic: "lsi53c895a",
	api.LSISAS: "mptsas1068", api.MegaRAID: "megasas", api.PVSCSI: "pvscsi", api.NVMe: "nvme", api.USB: "qemu-xhci",
}

// controller appends the host bus adapter number n of a controller, number i
// of all and nth of its type, unless the board has it: then it is true.
func (b *builder) controller(i int, c api.Controller, nth, n int) (main bool) {
	field := fmt.Sprintf("controllers[%d].type", i)
	o := object{"id": bus{name: c.Name}.adapter(n)}
	switch c.Type {
	case api.IDE, api.VirtioBlk:
		return false // the board's own; one device a drive
	case api.Floppy:
		if b.family() != machine.BoardPC {
			o["driver"] = "isa-fdc"
			b.device(field, o)
		}
		return b.family() == machine.BoardPC
	case api.SATA:
		if main = nth == 0 && b.family() == machine.BoardQ35; main && n == 0 {
			return true
		}
	case api.VirtioSCSI:
		b.ioThread(o, c.IOThread)
	case api.NVMe:
		o["serial"] = b.nvmeSerial(c.Name)
	case api.USB:
		o["p2"], o["p3"] = 8, 8
	}
	driver, known := controllerDevices[c.Type]
	if !known {
		b.unsupported(field, "there is no controller of type "+string(c.Type), "")
		return false
	}
	o["driver"] = driver
	function, functions := n, b.adaptersOf(c)
	if main {
		function, functions = n-1, functions-1
	}
	b.place(o, controllerPlaces, i)
	switch {
	case functions > pciFunctions && function >= pciFunctions-1:
		b.behindBridge(i, c, o, function-(pciFunctions-1))
	case functions > 1:
		o["multifunction"], o["addr"] = true, fmt.Sprintf("%s.%d", o["addr"], function)
	}
	b.device(field, o)
	return main
}

// pciFunctions is how many functions a PCI device has (PCI Local Bus 3.0, 3.2.2.3.2).
const pciFunctions = 8

// behindBridge moves the host bus adapter of a controller that has more than there are functions, its nth behind the
// bridge that is the last function in their place.
func (b *builder) behindBridge(i int, c api.Controller, o object, n int) {
	bridge := "panal-" + c.Name + ".bridge"
	if n == 0 {
		b.device(fmt.Sprintf("controllers[%d]", i), object{
			"driver": "pci-bridge", "id": bridge, "bus": o["bus"], "addr": fmt.Sprintf("%s.%d", o["addr"], pciFunctions-1), "multifunction": true,
			"chassis_nr": bridgeChassis + i, "shpc": false,
		})
	}
	o["bus"], o["multifunction"], o["addr"] = bridge, true, fmt.Sprintf("%x.%d", 1+n/pciFunctions, n%pciFunctions)
}

// bridgeChassis is the number of the chassis behind the first controller's bridge; below it are the PCI Express ports'.
const bridgeChassis = 240

// ioThread gives a device a thread of its own.
func (b *builder) ioThread(o object, wanted bool) {
	if !wanted {
		return
	}
	thread := ThreadOf(o["id"].(string))
	b.object(object{"qom-type": "iothread", "id": thread})
	o["iothread"] = thread
}

// nvmeSerial makes the serial number that an NVMe controller has to have, at
// most 20 characters. It never changes, as guests make names of it.
func (b *builder) nvmeSerial(controller string) string {
	return b.derived(controller).String()[:8] + "-" + controller[:min(len(controller), 11)]
}

// derived makes a UUID of the machine's and a name.
func (b *builder) derived(name string) uuid.UUID {
	own, err := uuid.Parse(b.Spec.UUID)
	if err != nil {
		b.fail(fmt.Errorf("uuid %q: %w", b.Spec.UUID, err))
	}
	return uuid.NewSHA1(own, []byte(name))
}

// drive appends a drive and the image in it, if there is one.
func (b *builder) drive(i int, drive api.Drive, on bus) {
	field := fmt.Sprintf("drives[%d].controller", i)
	o := object{"id": drive.Name}
	if chain := b.Images[drive.Name]; len(chain) > 0 {
		b.chain(drive, chain)
		o["drive"] = NodeName(drive.Name, chain[0].Path)
	} else if drive.Kind == api.Disk {
		b.fail(fmt.Errorf("no image was given for drive %s", drive.Name))
	}
	if drive.Serial != "" {
		o["serial"] = drive.Serial
	}
	if drive.Kind == api.Disk {
		o["write-cache"] = onOff(drive.Cache != api.CacheWritethrough)
	}
	if drive.SSD {
		o["rotation_rate"] = 1 // "non-rotating medium" (ACS-3, 7.12.7.43; SBC-3, 6.6.4)
	}
	if !b.plugging { // else it would be an index that another device has
		b.bootIndex(o, drive.Name)
	}
	if machine.WriteModeOf(drive) == api.Shareable {
		o["share-rw"] = true
	}
	if on.kind == api.Floppy {
		b.floppyBootIndex(o, *drive.Port)
	}
	b.attach(field, o, drive, on)
}

// attach appends a drive's device at its port.
func (b *builder) attach(field string, o object, drive api.Drive, on bus) {
	port, per := *drive.Port, machine.PortsPerAdapter(on.kind)
	switch on.kind {
	case api.IDE:
		o["driver"], o["bus"], o["unit"] = medium("ide", drive), "ide."+strconv.Itoa(port/2), port%2
	case api.SATA:
		name := on.adapter(port/per) + "."
		if on.main && port < per {
			name = "ide."
		}
		o["driver"], o["bus"] = medium("ide", drive), name+strconv.Itoa(port%per)
	case api.VirtioSCSI, api.LSILogic, api.BusLogic, api.LSISAS, api.MegaRAID, api.PVSCSI:
		scsi(o, drive, on.adapter(port/per)+".0", port%per)
		if on.kind == api.LSISAS {
			o["wwn"] = b.worldWideName(drive.Name)
		}
	case api.VirtioBlk:
		o["driver"] = "virtio-blk-pci"
		b.ioThread(o, on.threads)
		b.placeVirtioBlk(o, port)
	case api.NVMe:
		o["driver"], o["bus"], o["nsid"], o["uuid"] = "nvme-ns", on.name, port+1, b.derived(drive.Name).String()
	case api.USB:
		b.usbDrive(field, o, drive, on, port)
	case api.Floppy:
		b.floppy(o, on, port)
	}
	b.device(field, o)
}

// medium returns the device of a bus for what a drive takes.
func medium(family string, drive api.Drive) string {
	if drive.Kind == api.Optical {
		return family + "-cd"
	}
	return family + "-hd"
}

// scsi makes a SCSI device of o, a target of its own.
func scsi(o object, drive api.Drive, bus string, target int) {
	o["driver"], o["bus"] = medium("scsi", drive), bus
	o["channel"], o["scsi-id"], o["lun"] = 0, target, 0
	// Names that do not depend on how QEMU calls the drive.
	o["device_id"] = drive.Name
	if drive.Serial != "" {
		o["device_id"] = drive.Serial
	}
}

// worldWideName makes the name that a SAS drive is found by: guests do not see
// one without. It is of the kind that is assigned locally (SPC-4, 7.8.6.5: NAA 3).
func (b *builder) worldWideName(drive string) uint64 {
	id := b.derived(drive)
	return 3<<60 | binary.BigEndian.Uint64(id[:])>>4
}

// usbDrive appends the USB device that o is the SCSI device of.
func (b *builder) usbDrive(field string, o object, drive api.Drive, on bus, port int) {
	bridge := USBDevice(drive.Name)
	usb := object{"driver": "usb-bot", "id": bridge, "bus": on.name + ".0", "port": strconv.Itoa(port + 1)}
	if drive.Serial != "" {
		usb["serial"] = drive.Serial // guests ask the USB device, not the disk in it
	}
	b.device(field, usb)
	scsi(o, drive, bridge+".0", 0)
}

// floppyBootIndex takes the place in the boot order from the drive, which has
// no such property, to its controller, of which there is only one.
func (b *builder) floppyBootIndex(o object, port int) {
	if index, found := o["bootindex"]; found && port < 2 {
		b.add("-global", fmt.Sprintf("isa-fdc.bootindex%c=%d", 'A'+port, index))
		delete(o, "bootindex")
	}
}

func (b *builder) floppy(o object, on bus, port int) {
	o["driver"], o["unit"] = "floppy", port
	o["bus"] = on.name + ".0"
	if on.main {
		o["bus"] = "floppy-bus.0"
	}
	if o["drive"] == nil {
		o["drive-type"] = "144"
	}
}
