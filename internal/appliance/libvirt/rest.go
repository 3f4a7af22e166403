package libvirt

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// Why settings need not be told.
const (
	isPlace  = "guests find devices wherever they are"
	isOfHost = "it is about how the host works for the machine"
	isTold   = "it goes with what is told"
	isName   = "it is a name for libvirt or other programs"
	isHere   = "machines have it here, or the guest does not miss it"
)

var off = []string{"", "no", "off", "0", "false"}

// rules say what becomes of what a domain says beyond what is made hardware of.
var rules = appliance.Rules{
	{Key: "@*", Nothing: isName},
	{Key: "metadata*", Nothing: isName},
	{Key: "genid*", Nothing: "what it is for is to change when a machine is copied"},
	{Key: "cpu@mode", Nothing: "it is read"},
	{Key: "cpu/feature@name", Subject: "CPU", Tell: "what is said of the feature %s is not taken over; cpu.model says it"},
	{Key: "cpu/feature*", Nothing: isTold},
	{Key: "cpu/numa*", Subject: "NUMA", Tell: "the guest sees one node"},
	{Key: "cpu/cache*", Nothing: isOfHost},
	{Key: "cpu/maxphysaddr*", Nothing: isOfHost},
	{Key: "cpu/topology@clusters", Usual: []string{"1"}, Subject: "CPU", Tell: "clusters are not taken over"},
	{Key: "cpu/vendor*", Nothing: isTold},
	{Key: "cpu/model@*", Nothing: isTold},
	{Key: "cpu*", Nothing: isOfHost},
	{Key: "vcpu@cpuset", Subject: "CPU", Tell: "it was bound to the CPUs %s of its host; here it is not"},
	{Key: "vcpu@placement", Nothing: isOfHost},
	{Key: "vcpus/*", Nothing: "how many there are at the start is read"},
	{Key: "cputune/*pin*", Subject: "CPU", Tell: "it was bound to CPUs of its host (%s); here it is not"},
	{Key: "cputune/*", Subject: "CPU", Tell: "limits and shares are not taken over"},
	{Key: "cputune", Nothing: isTold},
	{Key: "blkiotune*", Subject: "disks", Tell: "weights among machines are not taken over"},
	{Key: "memtune*", Subject: "memory", Tell: "limits and guarantees are not taken over"},
	{Key: "numatune/*", Subject: "NUMA", Tell: "it was bound to nodes of its host; here it is not"},
	{Key: "numatune", Nothing: isTold},
	{Key: "resource*", Nothing: isOfHost},
	{Key: "throttlegroups*", Subject: "disks", Tell: "limits that disks share are not taken over"},
	{Key: "maxMemory*", Nothing: isTold},
	{Key: "memory@dumpCore", Nothing: isOfHost},
	{Key: "memoryBacking/locked", Subject: "memory", Tell: "it is not locked"},
	{Key: "memoryBacking*", Nothing: isOfHost},
	{Key: "iothreads", Nothing: "ioThread of a controller says it"},
	{Key: "iothreadids*", Nothing: isOfHost},
	{Key: "defaultiothread*", Nothing: isOfHost},
	{Key: "clock@adjustment", Usual: []string{"", "0", "reset"}, Subject: "clock", Tell: "it was off by %s s on purpose; here it is right"},
	{Key: "clock@timezone", Subject: "clock", Tell: "it does not show the time of %s"},
	{Key: "clock@start", Subject: "clock", Tell: "it began at another time on purpose; here it is right"},
	{Key: "clock*", Nothing: isHere},
	{Key: "features/hyperv*", Nothing: "Windows works without these helps, if slower"},
	{Key: "features/smm*", Nothing: "it comes with secure boot"},
	{Key: "features/kvm/hidden*", Usual: off, Subject: "features", Tell: "that it runs in KVM is not hidden from the guest"},
	{Key: "features/nested-hv*", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "features/acpi", Nothing: isHere},
	{Key: "features/apic*", Nothing: isHere},
	{Key: "features/pae", Nothing: isHere},
	{Key: "features/gic*", Nothing: isHere},
	{Key: "features/vmport*", Nothing: isHere},
	{Key: "features/kvm*", Nothing: isOfHost},
	{Key: "features", Nothing: isHere},
	{Key: "features/*", Subject: "features", Tell: "switches of the board and the hypervisor are as QEMU has them"},
	{Key: "pm*", Nothing: "a guest sleeps as QEMU's board lets it"},
	{Key: "on_crash", Nothing: "restart.policy says it"},
	{Key: "on_*", Nothing: "a machine that is shut down is off"},
	{Key: "perf*", Nothing: isOfHost},
	{Key: "seclabel*", Nothing: isOfHost},
	{Key: "keywrap*", Nothing: "it is for mainframes"},
	{Key: "idmap*", Nothing: "it is for containers"},
	{Key: "bootloader*", Subject: "boot", Tell: "the host's boot loader %s cannot be had"},
	{Key: "sysinfo/*", Subject: "SMBIOS", Tell: "names of the board and its maker are not shown to the guest"},
	{Key: "sysinfo@*", Nothing: isTold},
	{Key: "os/smbios*", Usual: []string{"", "emulate"}, Subject: "SMBIOS", Tell: "names of the board and its maker are not shown to the guest"},
	{Key: "os/cmdline", Subject: "kernel", Tell: "its command line is not taken over; --set kernel.commandLine=… says it"},
	{Key: "os/initrd", Subject: "kernel", Tell: "its initial RAM disk is not taken over; --set kernel.initrd=… says it"},
	{Key: "os/dtb", Subject: "kernel", Tell: "a device tree cannot be given"},
	{Key: "os/acpi*", Subject: "ACPI", Tell: "tables of the machine's own are not taken over"},
	{Key: "os/shim", Subject: "kernel", Tell: "the shim %s is not taken over"},
	{Key: "os/init*", Nothing: "it is for containers"},
	{Key: "os/bios@*", Nothing: isOfHost},
	{Key: "os/bios*", Nothing: isOfHost},
	{Key: "os/bootmenu@timeout", Nothing: isTold},
	{Key: "os/nvram*", Nothing: "that variables are not taken over is told"},
	{Key: "os/loader@*", Nothing: "the firmware is this host's"},
	{Key: "os/firmwareFeatures*", Nothing: isOfHost},
	{Key: "os/varstore*", Nothing: "that variables are not taken over is told"},
	{Key: "os", Nothing: isHere},
	{Key: "launchSecurity*", Nothing: isTold},
	{Key: "commandline/*", Subject: "arguments", Tell: "what was given to QEMU by hand (%s) is not"},
	{Key: "override/*", Subject: "arguments", Tell: "what was given to QEMU by hand (%s) is not"},
	{Key: "capabilities/*", Subject: "arguments", Tell: "what was said of QEMU by hand (%s) is not"},

	// Disks.
	{Key: "devices/disk/source/encryption*", Nothing: isTold},
	{Key: "devices/disk/encryption*", Nothing: isTold},
	{Key: "devices/disk/source*", Nothing: "where the content is, is read or told"},
	{Key: "devices/disk/auth*", Nothing: isTold},
	{Key: "devices/disk/backingStore*", Nothing: "what an image stands on, it says itself"},
	{Key: "devices/disk/mirror*", Subject: "disks", Tell: "one was being copied (%s); the copy is not taken along"},
	{Key: "devices/disk/driver@copy_on_read", Nothing: isOfHost},
	{Key: "devices/disk/driver@cache", Nothing: "it is read"},
	{Key: "devices/disk/driver/metadata_cache*", Nothing: isOfHost},
	{Key: "devices/disk/driver*", Nothing: isOfHost},
	{Key: "devices/disk/blockio@logical_block_size", Usual: []string{"512"}, Subject: "disks", Tell: "sectors of %s bytes are not taken over; they have 512"},
	{Key: "devices/disk/blockio*", Nothing: isOfHost},
	{Key: "devices/disk/geometry*", Subject: "disks", Tell: "cylinders, heads and sectors are as the firmware counts them"},
	{Key: "devices/disk/iotune/*", Subject: "disks", Tell: "limits of bursts and groups are not taken over"},
	{Key: "devices/disk/iotune", Nothing: isTold},
	{Key: "devices/disk/throttlefilters*", Subject: "disks", Tell: "limits that disks share are not taken over"},
	{Key: "devices/disk/wwn", Subject: "disks", Tell: "the name %s that one has in the world is not shown to the guest"},
	{Key: "devices/disk/vendor", Subject: "disks", Tell: "the maker %s is not shown to the guest"},
	{Key: "devices/disk/product", Subject: "disks", Tell: "the product %s is not shown to the guest"},
	{Key: "devices/disk@rawio", Usual: off, Subject: "disks", Tell: "commands for devices of the host are not passed on"},
	{Key: "devices/disk@sgio", Usual: []string{"", "filtered"}, Subject: "disks", Tell: "commands for devices of the host are not passed on"},
	{Key: "devices/disk@*", Nothing: isOfHost},
	{Key: "devices/disk/readonly*", Nothing: "CDs cannot be written anyway; of disks it is told"},
	{Key: "devices/disk/boot@loadparm", Nothing: "it is for mainframes"},
	{Key: "devices/disk/address*", Nothing: isPlace},
	{Key: "devices/disk/alias*", Nothing: isName},
	{Key: "devices/disk/target@tray", Nothing: isOfHost},
	{Key: "devices/disk/target@removable", Nothing: isOfHost},
	{Key: "devices/disk/transient*", Nothing: isTold},
	{Key: "devices/disk/acpi*", Nothing: isPlace},
	{Key: "devices/disk/state*", Nothing: isOfHost},

	// Network.
	{Key: "devices/interface/bandwidth/*", Subject: "network adapter", Tell: "limits of its bandwidth are not taken over"},
	{Key: "devices/interface/filterref@filter", Subject: "network adapter", Tell: "the host's filter %s is not there"},
	{Key: "devices/interface/filterref*", Nothing: isTold},
	{Key: "devices/interface/vlan/*", Subject: "network adapter", Tell: "VLANs (%s) are not taken over"},
	{Key: "devices/interface/vlan*", Nothing: isTold},
	{Key: "devices/interface/mtu@size", Subject: "network adapter", Tell: "the MTU of %s is not taken over"},
	{Key: "devices/interface/rom*", Usual: []string{"", "on", "yes"}, Subject: "network adapter", Tell: "its ROM (%s) is QEMU's"},
	{Key: "devices/interface/portForward*", Subject: "network adapter", Tell: "forwarded ports of passt's are not taken over; `panal set NAME adapters.ADAPTER.forwards=…` says them"},
	{Key: "devices/interface/port@isolated", Usual: off, Subject: "network adapter", Tell: "it is not kept apart from other machines"},
	{Key: "devices/interface/teaming*", Subject: "network adapter", Tell: "it does not take turns with another one"},
	{Key: "devices/interface/ip*", Nothing: "its addresses are those of Panal's network"},
	{Key: "devices/interface/route*", Nothing: "its addresses are those of Panal's network"},
	{Key: "devices/interface/*", Nothing: isOfHost},
	{Key: "devices/interface@*", Nothing: isOfHost},

	// Other devices. Whole kinds that there are not are told by their names.
	{Key: "devices/controller@model", Nothing: "it is read for SCSI; other models are the board's own"},
	{Key: "devices/controller/driver@iothread", Nothing: isOfHost},
	{Key: "devices/controller*", Nothing: isPlace},
	{Key: "devices/serial/target/model*", Nothing: isHere},
	{Key: "devices/serial*", Nothing: "that it was connected elsewhere is told"},
	{Key: "devices/console*", Nothing: isTold},
	{Key: "devices/parallel*", Nothing: isTold},
	{Key: "devices/tpm/backend/encryption*", Nothing: isTold},
	{Key: "devices/tpm/backend*", Nothing: "that the TPM is a new one is told"},
	{Key: "devices/tpm*", Nothing: isHere},
	{Key: "devices/video/model@heads", Usual: []string{"", "0", "1"}, Subject: "screen", Tell: "it had %s displays; here it has one"},
	{Key: "devices/video/model/acceleration@accel3d", Usual: off, Subject: "screen", Tell: "acceleration of 3D cannot be had"},
	{Key: "devices/video/model/resolution*", Nothing: "the guest chooses it"},
	{Key: "devices/video*", Nothing: "the guest's driver takes what memory the card has"},
	{Key: "devices", Nothing: isHere},
}

// rest tells of what a domain says and the machine does not have.
func (r *reader) rest(data []byte) error {
	settings, err := appliance.Unread(data, domain{}, nil)
	if err != nil {
		return err
	}
	r.Rest(settings, rules)
	return nil
}

// bootOrder reads what is tried first: the devices' own numbers, or else kinds of devices.
func (r *reader) bootOrder() {
	r.Spec().Boot.Menu = r.domain.OS.Menu.Enabled == "yes"
	type place struct {
		order int
		name  string
	}
	var places []place
	for name, text := range r.order {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			places = append(places, place{n, name})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.order, b.order), strings.Compare(a.name, b.name)) })
	var order []string
	for _, p := range places {
		order = append(order, p.name)
	}
	kinds := map[string]string{"hd": appliance.BootDisks, "cdrom": appliance.BootOptical, "network": appliance.BootNetwork, "fd": appliance.BootFloppies}
	for _, b := range r.domain.OS.Boot {
		order = append(order, kinds[b.Device])
	}
	if len(order) > 0 {
		r.BootOrder(order, true)
	}
}

// tune reads how a drive is to be worked with, for the one that was added last.
func (r *reader) tune(what string, d diskNode) {
	drives := r.Spec().Drives
	drive := &drives[len(drives)-1]
	if drive.Kind != api.Disk {
		return
	}
	drive.SSD = d.Target.Rotation == "1"
	switch cache := d.Driver.Cache; cache {
	case "", "default", "writeback":
	case "none", "writethrough", "unsafe":
		drive.Cache = api.CacheMode(cache)
	default:
		r.Notef(what, "the cache mode %s cannot be had; it is writeback", cache)
	}
	if d.Driver.Discard == "ignore" {
		drive.Discard = "off"
	}
	if zeroes := d.Driver.Zeroes; zeroes == "on" || zeroes == "unmap" {
		drive.DetectZeroes = zeroes
	}
	t := d.Tune
	if t.Bytes > 0 {
		t.ReadBytes, t.WriteBytes = 0, 0
	}
	if t.Requests > 0 {
		t.Reads, t.Writes = 0, 0
	}
	drive.Bandwidth, drive.ReadBandwidth, drive.WriteBandwidth = api.Size(t.Bytes), api.Size(t.ReadBytes), api.Size(t.WriteBytes)
	drive.IOPS, drive.ReadIOPS, drive.WriteIOPS = int(t.Requests), int(t.Reads), int(t.Writes)
	if d.ReadOnly != nil {
		r.Notef(what, "the guest could not write it; here it can, unless its write mode is readonly")
	}
}
