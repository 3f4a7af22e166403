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
	buses := map[string]bus{}
	counts := map[api.ControllerType]int{}
	for i, controller := range b.Spec.Controllers {
		buses[controller.Name] = b.controller(i, controller, counts[controller.Type])
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
	kind api.ControllerType
	name string // of the bus; of the first for those with a bus a port
	main bool   // the board's own controller
}

// controller appends a controller, number i of all and nth of its type, unless
// the board has it.
func (b *builder) controller(i int, c api.Controller, nth int) bus {
	on := bus{kind: c.Type, name: c.Name + ".0"}
	field := fmt.Sprintf("controllers[%d].type", i)
	o := object{"id": c.Name}
	switch c.Type {
	case api.IDE, api.VirtioBlk:
		return on // the board's own; one device a drive
	case api.Floppy:
		if b.family() == machine.BoardPC {
			on.main = true
			return on
		}
		o["driver"] = "isa-fdc"
		b.device(field, o)
		return on
	case api.SATA:
		if nth == 0 && b.family() == machine.BoardQ35 {
			on.main = true
			return on
		}
		o["driver"] = "ich9-ahci"
	case api.VirtioSCSI:
		o["driver"] = "virtio-scsi-pci"
	case api.LSILogic:
		o["driver"] = "lsi53c895a"
	case api.LSISAS:
		o["driver"] = "mptsas1068"
	case api.MegaRAID:
		o["driver"] = "megasas"
	case api.PVSCSI:
		o["driver"] = "pvscsi"
	case api.NVMe:
		o["driver"], o["serial"] = "nvme", b.nvmeSerial(c.Name)
		on.name = c.Name
	case api.USB:
		o["driver"], o["p2"], o["p3"] = "qemu-xhci", 8, 8
	default:
		b.unsupported(field, "there is no controller of type "+string(c.Type), "")
		return on
	}
	b.place(o, controllerPlaces, i)
	b.device(field, o)
	return on
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
		b.chain(drive.Name, chain)
		o["drive"] = drive.Name
	} else if drive.Kind == api.Disk {
		b.fail(fmt.Errorf("no image was given for drive %s", drive.Name))
	}
	if drive.Serial != "" {
		o["serial"] = drive.Serial
	}
	if drive.Kind == api.Disk {
		o["write-cache"] = "on"
	}
	b.bootIndex(o, drive.Name)
	if on.kind == api.Floppy {
		b.floppyBootIndex(o, *drive.Port)
	}
	b.attach(field, o, drive, on)
}

// attach appends a drive's device at its port.
func (b *builder) attach(field string, o object, drive api.Drive, on bus) {
	port := *drive.Port
	switch on.kind {
	case api.IDE:
		o["driver"], o["bus"], o["unit"] = medium("ide", drive), "ide."+strconv.Itoa(port/2), port%2
	case api.SATA:
		name := on.name[:len(on.name)-1]
		if on.main {
			name = "ide."
		}
		o["driver"], o["bus"] = medium("ide", drive), name+strconv.Itoa(port)
	case api.VirtioSCSI, api.LSILogic, api.LSISAS, api.MegaRAID, api.PVSCSI:
		scsi(o, drive, on.name, port)
		if on.kind == api.LSISAS {
			o["wwn"] = b.worldWideName(drive.Name)
		}
	case api.VirtioBlk:
		o["driver"] = "virtio-blk-pci"
		b.place(o, virtioBlkPlaces, port)
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
	bridge := "panal-usb-" + drive.Name
	usb := object{"driver": "usb-bot", "id": bridge, "bus": on.name, "port": strconv.Itoa(port + 1)}
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
	o["bus"] = on.name
	if on.main {
		o["bus"] = "floppy-bus.0"
	}
	if o["drive"] == nil {
		o["drive-type"] = "144"
	}
}
