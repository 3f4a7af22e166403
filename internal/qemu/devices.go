package qemu

import (
	"fmt"
	"path"
	"strconv"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

// chardev appends a character device on a socket that the daemon listens on.
func (b *builder) chardev(id, socket string) {
	fd := strconv.Itoa(b.open(b.socket(socket), Listen))
	b.add("-chardev", "socket,"+options("id", id, "fd", fd, "server", "on", "wait", "off"))
}

// line appends the character device of a serial line. All that the guest
// prints goes to the log alone, which takes it at once, whatever the daemon
// does; it is the daemon that follows the log. A socket that is not read from
// would stall the guest, and QEMU would log characters twice when it is full.
// The device is a pipe because that takes input from elsewhere than where its
// output goes, which a file can only from QEMU 8.1 on.
func (b *builder) line(name string) {
	base := b.runtime(serialBase(name))
	b.lines = append(b.lines, base)
	log := b.set(path.Join(b.LogDir, name+".log"), Append)
	b.add("-chardev", "pipe,"+options("id", name, "path", base, "logfile", log, "logappend", "on"))
}

// monitor appends QEMU's monitor.
func (b *builder) monitor() {
	b.chardev("panal-qmp", MonitorSocket)
	b.add("-mon", "chardev=panal-qmp,mode=control")
}

// base appends what every machine has.
func (b *builder) base() {
	o := object{"driver": "virtio-rng-pci", "id": "panal-rng"}
	b.place(o, ownPlaces, randomPlace)
	b.device("machineType", o)
	switch {
	case b.isX86():
		b.device("machineType", object{"driver": "pvpanic", "id": PanicDevice})
	case b.Caps.HasDevice("pvpanic-pci"):
		b.device("machineType", object{"driver": "pvpanic-pci", "id": PanicDevice, "bus": "pcie.0", "addr": fmt.Sprintf("%x", panicSlot)})
	}
}

// agent appends the channel to the guest agent.
func (b *builder) agent() {
	o := object{"driver": "virtio-serial-pci", "id": "panal-channels"}
	b.place(o, ownPlaces, agentPlace)
	b.device("machineType", o)
	b.chardev(AgentPort, AgentSocket)
	b.device("machineType", object{
		"driver": "virtserialport", "id": AgentPort, "bus": "panal-channels.0", "nr": 1,
		"chardev": AgentPort, "name": "org.qemu.guest_agent.0",
	})
}

// serials appends the serial lines.
func (b *builder) serials() {
	for i, line := range b.Spec.Serials {
		b.line(line.Name)
		switch {
		case b.isX86():
			b.device("serials", object{"driver": "isa-serial", "id": "panal-line-" + line.Name, "chardev": line.Name, "index": i})
		case i == 0:
			b.add("-serial", "chardev:"+line.Name) // the board's own
		default:
			o := object{"driver": "pci-serial", "id": "panal-line-" + line.Name, "chardev": line.Name}
			b.place(o, serialPlaces, i-1)
			b.device("serials", o)
		}
	}
}

// adapterDevices are QEMU's devices for the models of adapters.
var adapterDevices = map[api.AdapterModel]string{
	api.AdapterVirtio:  "virtio-net-pci",
	api.AdapterE1000:   "e1000",
	api.AdapterE1000E:  "e1000e",
	api.AdapterRTL8139: "rtl8139",
	api.AdapterPCnet:   "pcnet",
	api.AdapterVMXNet3: "vmxnet3",
}

// adapters appends network adapters and their networks.
func (b *builder) adapters() {
	for i, adapter := range b.Spec.Adapters {
		o := object{"driver": adapterDevices[adapter.Model], "id": adapter.Name, "mac": adapter.MAC}
		if adapter.Network == "user" {
			b.addJSON("-netdev", userNetwork(adapter))
			o["netdev"] = networkName(adapter)
		} else {
			b.down = append(b.down, adapter.Name)
		}
		b.bootIndex(o, adapter.Name)
		if b.Spec.Kernel != nil {
			o["romfile"] = "" // nothing boots from the network: do not spend time on it
		}
		b.place(o, adapterPlaces, i)
		if adapter.Model == api.AdapterVirtio && b.family() == machine.BoardQ35 {
			// Guests from before virtio 1.0 still find the adapter, although it is on a PCI Express port.
			o["disable-legacy"] = "off"
		}
		b.device(fmt.Sprintf("adapters[%d].model", i), o)
	}
}

func networkName(adapter api.Adapter) string { return "panal-" + adapter.Name }

// userNetwork is QEMU's own network, a router in QEMU's process.
func userNetwork(adapter api.Adapter) object {
	o := object{"type": "user", "id": networkName(adapter), "restrict": adapter.Isolated}
	var forwards []object
	for _, f := range adapter.Forwards {
		rule := fmt.Sprintf("%s:%s:%d-:%d", f.Protocol, f.HostAddress, f.HostPort, f.GuestPort)
		forwards = append(forwards, object{"str": rule})
	}
	if forwards != nil {
		o["hostfwd"] = forwards
	}
	return o
}

// display appends graphics, and what a person at a display needs.
func (b *builder) display() {
	b.add("-display", "none")
	b.video()
	if b.Spec.Display.Type != "vnc" {
		return
	}
	// Several people may look at the same time.
	b.add("-vnc", "unix:"+b.escaped(b.socket(DisplaySocket))+",share=ignore")
	o := object{"driver": "qemu-xhci", "id": "panal-usb"}
	b.place(o, ownPlaces, inputPlace)
	b.device("display.type", o)
	b.device("display.type", object{"driver": "usb-tablet", "id": "panal-tablet", "bus": "panal-usb.0", "port": "1"})
	if !b.isX86() { // which has a PS/2 keyboard
		b.device("display.type", object{"driver": "usb-kbd", "id": "panal-keyboard", "bus": "panal-usb.0", "port": "2"})
	}
}

// escaped doubles the commas of a value that stands without a key.
func (b *builder) escaped(value string) string {
	return options("", value)[1:]
}

func (b *builder) video() {
	driver := map[string]string{"std": "VGA", "virtio": "virtio-gpu-pci", "vmware": "vmware-svga"}[b.Spec.Display.Video]
	if driver == "" {
		return
	}
	if driver == "virtio-gpu-pci" && b.isX86() {
		driver = "virtio-vga" // which the BIOS can draw on
	}
	bus, slot := "pcie.0", videoSlot
	if b.family() == machine.BoardPC {
		bus, slot = "pci.0", videoSlotPC
	}
	b.device("display.video", object{"driver": driver, "id": VideoDevice, "bus": bus, "addr": fmt.Sprintf("%x", slot)})
}

// security appends the TPM.
func (b *builder) security() {
	tpm := b.Spec.TPM
	if tpm == nil {
		return
	}
	if b.TPMSocket == "" {
		b.fail(fmt.Errorf("the machine has a TPM, but no socket of one was given"))
	}
	b.add("-chardev", "socket,"+options("id", "panal-tpm", "path", b.TPMSocket))
	b.add("-tpmdev", "emulator,id=panal-tpm,chardev=panal-tpm")
	driver := "tpm-tis-device"
	switch {
	case b.isX86() && tpm.Version == "2.0":
		driver = "tpm-crb"
	case b.isX86():
		driver = "tpm-tis"
	}
	b.device("tpm", object{"driver": driver, "id": "panal-tpm-device", "tpmdev": "panal-tpm"})
}
