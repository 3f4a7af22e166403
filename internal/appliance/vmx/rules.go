package vmx

import (
	"slices"
	"strings"

	"github.com/panalvm/panal/internal/appliance"
)

// Why settings need not be told.
const (
	isTold   = "the device is told"
	isOfTool = "only VMware's tools in the guest act on it"
	isOfHost = "it is about the host or cluster that the machine was on"
	isPlace  = "guests find devices wherever they are"
	isUser   = "it is about VMware's own windows and messages"
	isName   = "it is a name or a date for VMware"
	isRead   = "it is read"
)

var off = []string{"", "false", "0", "none"}

// readKeys are those that the reader makes hardware of, or tells in its own words.
var readKeys = []string{
	"displayName", "annotation", "uuid.bios", "numvcpus", "memsize", "cpuid.coresPerSocket", "cpuid.numSMT", "firmware", "uefi.secureBoot.enabled", "guestOS", "vtpm.present",
	"managedvm.autoAddVTPM", "bios.bootOrder", "encryption.*", "sched.cpu.min", "sched.cpu.max", "sched.mem.min", "sched.mem.max", "sched.mem.minsize",
	"ethernet#.virtualDev", "ethernet#.address", "ethernet#.addressType", "ethernet#.generatedAddress", "ethernet#.networkName", "ethernet#.vnet",
	"ethernet#.dvs.portgroupId", "ethernet#.connectionType", "ethernet#.startConnected",
	"*#:#.fileName", "*#:#.deviceType", "*#:#.mode", "*#:#.virtualSSD", "scsi#.virtualDev", "scsi#.sharedBus", "floppy#.fileName", "floppy#.fileType",
	"ethernet#.present", "scsi#.present", "sata#.present", "nvme#.present", "ide#.present", "scsi#:#.present", "sata#:#.present", "nvme#:#.present", "ide#:#.present",
	"floppy#.present", "serial#.present", "serial#.fileType",
	"parallel#.present", "sound.present", "sharedFolder#.present", "sharedFolder#.guestName", "pciPassthru#.present", "RemoteDisplay.vnc.enabled",
}

// Rules say what becomes of keys of a .vmx that its reader makes nothing of.
func Rules() appliance.Rules { return slices.Clone(rules) }

var rules = appliance.Rules{
	// What the guest would miss.
	{Key: "guestinfo.*", Subject: "guestinfo", Tell: "what the guest asks VMware for, such as cloud-init's data, is not there; a CD can say it"},
	{Key: "disk.enableUUID", Usual: off, Subject: "disks", Tell: "they do not show VMware's UUIDs as their serial numbers; `panal set NAME drives.DRIVE.serial=…` gives them others"},
	{Key: "vhv.enable", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "vvtd.enable", Usual: off, Subject: "IOMMU", Tell: "machines have none here"},
	{Key: "windows.vbs*", Usual: off, Subject: "virtualization-based security", Tell: "whether Windows can use it is for the CPU model and this host to say"},
	{Key: "vpmc.*", Usual: off, Subject: "CPU", Tell: "performance counters are not promised"},
	{Key: "vcpu.hotadd", Usual: off, Subject: "CPU", Tell: "CPUs can be added while it runs up to cpu.maximum, which is what it has; raise that first"},
	{Key: "vcpu.hotremove", Usual: off, Subject: "CPU", Tell: "CPUs can be taken out while it runs as far as the guest allows it"},
	{Key: "mem.hotadd", Usual: off, Subject: "memory", Tell: "memory can be added while it runs up to memory.maximum, which is what it has; raise that first"},
	{Key: "cpuid.#.*", Subject: "CPU", Tell: "bits of what the CPU says of itself were hidden or shown; here the CPU model decides"},
	{Key: "cpuid.brandstring", Subject: "CPU", Tell: "its name %s is not taken over"},
	{Key: "featMask.*", Subject: "CPU", Tell: "features were asked for or hidden (%s); here the CPU model decides"},
	{Key: "smc.present", Usual: off, Subject: "chipset", Tell: "Apple's SMC cannot be had"},
	{Key: "ich7m.present", Usual: off, Subject: "chipset", Tell: "Apple's ICH7-M cannot be had"},
	{Key: "smbios.reflectHost", Usual: off, Subject: "SMBIOS", Tell: "the names of the host are not shown to the guest; licences of its maker may not be found"},
	{Key: "hw.model*", Subject: "SMBIOS", Tell: "the model %s is not shown to the guest"},
	{Key: "serialNumber*", Subject: "SMBIOS", Tell: "the serial number is not shown to the guest"},
	{Key: "board-id*", Subject: "SMBIOS", Tell: "the board's name is not shown to the guest"},
	{Key: "checkpoint.vmState", Usual: off, Subject: "saved state", Tell: "%s is not taken over; the machine starts from its disks as if the power had failed"},
	{Key: "bios.bootDelay", Usual: off, Subject: "boot menu", Tell: "the firmware does not wait %s ms before it starts"},
	{Key: "bios.forceSetupOnce", Usual: off, Subject: "boot menu", Tell: "the firmware's settings are not shown at the first start"},
	{Key: "bios.hddOrder", Subject: "boot order", Tell: "disks are tried in their own order, not in that of %s"},
	{Key: "bios440.filename", Subject: "firmware", Tell: "a BIOS of the machine's own (%s) is not taken over"},
	{Key: "efi*.filename", Subject: "firmware", Tell: "firmware of the machine's own (%s) is not taken over"},
	{Key: "rtc.diffFromUTC", Usual: off, Subject: "clock", Tell: "it was off by %s s on purpose; here it is right"},
	{Key: "rtc.startTime", Subject: "clock", Tell: "it began at another time on purpose; here it is right"},
	{Key: "sched.cpu.shares", Usual: []string{"", "normal"}, Subject: "CPU", Tell: "the shares (%s) are not taken over; cpu.shares and memory.shares say them"},
	{Key: "sched.mem.shares", Usual: []string{"", "normal"}, Subject: "memory", Tell: "the shares (%s) are not taken over; cpu.shares and memory.shares say them"},
	{Key: "sched.cpu.affinity", Usual: []string{"", "all"}, Subject: "CPU", Tell: "it was bound to the CPUs %s of its host; here it is not"},
	{Key: "sched.mem.affinity", Usual: []string{"", "all"}, Subject: "memory", Tell: "it was bound to the nodes %s of its host; here it is not"},
	{Key: "sched.cpu.latencySensitivity", Usual: []string{"", "normal"}, Subject: "CPU", Tell: "the latency sensitivity (%s) is not taken over"},
	{Key: "sched.mem.pin", Usual: off, Subject: "memory", Tell: "it was all reserved; here it is not"},
	{Key: "sched.*:#.shares", Usual: []string{"", "normal"}, Subject: "disks", Tell: "the shares (%s) are not taken over"},
	{Key: "sched.*:#.throughputCap", Usual: []string{"", "off"}, Subject: "disks", Tell: "the limit of %s is not taken over; `panal set NAME drives.DRIVE.iops=…` sets one"},
	{Key: "sched.cpu.units", Nothing: "it is the unit of limits that are told"},
	{Key: "sched.*", Nothing: isOfHost},
	{Key: "numa.autosize*", Nothing: isOfHost},
	{Key: "numa.vcpu.*", Subject: "NUMA", Tell: "the guest sees one node"},
	{Key: "numa.*", Nothing: isOfHost},
	{Key: "sgx.*", Usual: off, Subject: "CPU", Tell: "Intel's SGX cannot be had"},
	{Key: "sev.*", Usual: off, Subject: "memory encryption", Tell: "AMD's SEV cannot be had"},
	{Key: "RemoteDisplay.*", Nothing: "that the screen is shown otherwise is told"},
	{Key: "debugStub.*", Usual: off, Subject: "debugger", Tell: "VMware's stub for debuggers cannot be had"},
	{Key: "monitor_control.restrict_backdoor", Usual: off, Subject: "backdoor", Tell: "VMware's backdoor is as QEMU has it"},
	{Key: "monitor_control.*", Nothing: isOfHost},
	{Key: "monitor.*", Nothing: isOfHost},

	// Devices.
	{Key: "usb.present", Usual: off, Subject: "USB controller", Tell: "an xHCI controller (USB 3) is there instead, for which old systems have no driver"},
	{Key: "ehci.present", Usual: off, Subject: "USB controller", Tell: "an xHCI controller (USB 3) is there instead, for which old systems have no driver"},
	{Key: "usb_xhci.present", Nothing: "machines with a screen have such a controller here"},
	{Key: "usb*:#.deviceType", Usual: []string{"hid", "hub"}, Subject: "USB", Tell: "a device of the type %s cannot be had"},
	{Key: "usb.autoConnect.*", Subject: "USB", Tell: "devices of the host are not given to guests here (%s)"},
	{Key: "usb.generic.autoconnect", Usual: off, Subject: "USB", Tell: "devices of the host are not given to guests here"},
	{Key: "usb*:#.*", Nothing: "its type is told"},
	{Key: "usb.*", Nothing: "devices of the host are told"},
	{Key: "usb_xhci.*", Nothing: isPlace},
	{Key: "ehci.*", Nothing: isPlace},
	{Key: "vmci#.present", Usual: off, Subject: "VMCI", Tell: "VMware's way between guest and host, which its tools in the guest use, cannot be had"},
	{Key: "vmci*", Nothing: isTold},
	{Key: "hpet0.present", Nothing: "machines have one here"},
	{Key: "pciBridge#.*", Nothing: isPlace},
	{Key: "*.pciSlotNumber", Nothing: isPlace},
	{Key: "*PciSlotNumber", Nothing: isPlace},
	{Key: "mks.enable3d", Usual: off, Subject: "graphics card", Tell: "acceleration of 3D cannot be had"},
	{Key: "svga.numDisplays", Usual: []string{"", "1"}, Subject: "graphics card", Tell: "it had %s displays; here it has one"},
	{Key: "svga.autodetect", Nothing: isUser},
	{Key: "svga.*", Nothing: "the guest's driver takes what memory the card has; displays are told"},
	{Key: "mks.*", Nothing: isUser},
	{Key: "nvdimm#*present", Usual: off, Subject: "persistent memory", Tell: "it cannot be had"},
	{Key: "nvdimm*", Nothing: isTold},
	{Key: "vwatchdog.present", Usual: off, Subject: "watchdog", Tell: "machines have none here"},
	{Key: "vwatchdog.*", Nothing: isTold},
	{Key: "precisionclock*present", Usual: off, Subject: "precision clock", Tell: "it cannot be had"},
	{Key: "precisionclock*", Nothing: isTold},
	{Key: "gpu*", Subject: "graphics card", Tell: "the host's GPU is not given to guests here"},
	{Key: "vmiop.*", Subject: "graphics card", Tell: "the host's GPU is not given to guests here"},
	{Key: "pciPassthru*", Nothing: isTold},
	{Key: "sound.*", Nothing: isTold},
	{Key: "parallel#.*", Nothing: isTold},
	{Key: "sharedFolder*", Nothing: "each folder is told"},
	{Key: "hgfs.*", Nothing: "each folder is told"},
	{Key: "serial#.*", Nothing: "that it was connected elsewhere is told"},
	{Key: "floppy#.*", Nothing: "what is in it is told"},
	{Key: "ethernet#.filter*", Subject: "network adapter", Tell: "a filter of its host's (%s) is not there"},
	{Key: "ethernet#.noPromisc", Nothing: "it sees no packets that are for others here"},
	{Key: "ethernet#.*Limit*", Subject: "network adapter", Tell: "the limit of %s is not taken over"},
	{Key: "ethernet#.rxbw.*", Subject: "network adapter", Tell: "its limit is not taken over"},
	{Key: "ethernet#.txbw.*", Subject: "network adapter", Tell: "its limit is not taken over"},
	{Key: "ethernet#.*", Nothing: "how its host connects it is told by the network's name"},
	{Key: "vmxnet3.*", Nothing: isOfHost},
	{Key: "*#:#.writeThrough", Usual: off, Subject: "disks", Tell: "written data was on the disk before the guest went on; `panal set NAME drives.DRIVE.cache=writethrough` does that"},
	{Key: "*#:#.sharing", Usual: []string{"", "sharing-none"}, Subject: "disks", Tell: "one of them was shared with other machines; it is the machine's own here"},
	{Key: "*#:#.redo", Usual: off, Subject: "disks", Tell: "the file of changes %s is not taken over"},
	{Key: "*#:#.guestReadOnly", Usual: off, Subject: "disks", Tell: "the guest could not write one of them; here it can"},
	{Key: "*#:#.startConnected", Nothing: "drives are connected here; what is in them is told"},
	{Key: "*#:#.*", Nothing: "it is about the host's drives, or how VMware handles the file"},
	{Key: "scsi#.*", Nothing: isPlace},
	{Key: "sata#.*", Nothing: isPlace},
	{Key: "nvme#.*", Nothing: isPlace},
	{Key: "ide#.*", Nothing: isPlace},
	{Key: "vtpm.*", Nothing: "that the TPM is a new one is told"},
	{Key: "managedvm.*", Nothing: isUser},
	{Key: "nvram", Nothing: "that variables of the firmware are not taken over is told with UEFI; a BIOS finds its own"},

	// VMware's own.
	{Key: "tools.*", Nothing: isOfTool},
	{Key: "toolScripts.*", Nothing: isOfTool},
	{Key: "toolsInstallManager.*", Nothing: isOfTool},
	{Key: "time.synchronize.*", Nothing: isOfTool},
	{Key: "vmware.tools.*", Nothing: isOfTool},
	{Key: "isolation.*", Nothing: isOfTool},
	{Key: "guest.commands.*", Nothing: isOfTool},
	{Key: "guest_rpc.*", Nothing: isOfTool},
	{Key: "guestOS.detailed*", Nothing: isOfTool},
	{Key: "unity.*", Nothing: isOfTool},
	{Key: "vmsafe.*", Nothing: isOfHost},
	{Key: "migrate.*", Nothing: isOfHost},
	{Key: "vmotion.*", Nothing: isOfHost},
	{Key: "evcCompatibilityMode", Nothing: isOfHost},
	{Key: "vdc.*", Nothing: isOfHost},
	{Key: "guestCPUID.*", Nothing: isOfHost},
	{Key: "hostCPUID.*", Nothing: isOfHost},
	{Key: "userCPUID.*", Nothing: isOfHost},
	{Key: "vmware.pbm:*", Nothing: isOfHost},
	{Key: "vmservice.*", Nothing: isOfHost},
	{Key: "stealclock.*", Nothing: isOfHost},
	{Key: "memAllowAutoScaleDown", Nothing: isOfHost},
	{Key: "MemTrimRate", Nothing: isOfHost},
	{Key: "mainMem.*", Nothing: isOfHost},
	{Key: "prefvmx.*", Nothing: isOfHost},
	{Key: "workingDir", Nothing: isOfHost},
	{Key: "disable_acceleration", Nothing: isOfHost},
	{Key: "chipset.onlineStandby", Nothing: isOfHost},
	{Key: "acpi.*", Nothing: isOfHost},
	{Key: "buslogic.noDriver", Nothing: isUser},
	{Key: "deploymentPlatform", Nothing: isName},
	{Key: "messageBus.*", Nothing: isOfHost},
	{Key: "inVMTeam", Nothing: isUser},
	{Key: "log.*", Nothing: isUser},
	{Key: "logging", Nothing: isUser},
	{Key: "msg.*", Nothing: isUser},
	{Key: "hints.*", Nothing: isUser},
	{Key: "gui.*", Nothing: isUser},
	{Key: "cdrom.*", Nothing: isUser},
	{Key: "applianceView.*", Nothing: isUser},
	{Key: "priority.*", Nothing: isUser},
	{Key: "replay.*", Nothing: isUser},
	{Key: "powerType.*", Nothing: isUser},
	{Key: "softPowerOff", Nothing: isUser},
	{Key: "cleanShutdown", Nothing: isUser},
	{Key: "snapshot.*", Nothing: isUser},
	{Key: "uuid.location", Nothing: isName},
	{Key: "uuid.action", Nothing: isName},
	{Key: "vc.uuid", Nothing: isName},
	{Key: "vm.createDate", Nothing: isName},
	{Key: "vm.gen*", Nothing: "what it is for is to change when a machine is copied"},
	{Key: "vmGenCounter.*", Nothing: "what it is for is to change when a machine is copied"},
	{Key: "viv.*", Nothing: isName},
	{Key: "guestOSAltName", Nothing: isName},
	{Key: "extendedConfigFile", Nothing: isName},
	{Key: "config.version", Nothing: isName},
	{Key: "virtualHW.*", Nothing: isName},
	{Key: ".encoding", Nothing: isName},
	{Key: "policy.*", Nothing: isUser},
	{Key: "ft.*", Nothing: isOfHost},
}

// rest tells of what the file says and the machine does not have. Settings of
// devices that are not present say nothing.
func (r *reader) rest() {
	var settings []appliance.Setting
	for key, value := range r.config {
		device, _, _ := strings.Cut(key, ".")
		if present, said := r.config[device+".present"]; said && !strings.EqualFold(present, "true") {
			continue
		}
		settings = append(settings, appliance.Setting{Key: key, Value: value})
	}
	slices.SortFunc(settings, func(a, b appliance.Setting) int { return strings.Compare(a.Key, b.Key) })
	all := Rules()
	for _, key := range readKeys {
		all = slices.Insert(all, 0, appliance.Rule{Key: key, Nothing: isRead})
	}
	r.Rest(settings, all)
}
