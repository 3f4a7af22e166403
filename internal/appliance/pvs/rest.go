package pvs

import "github.com/panalvm/panal/internal/appliance"

// Why settings need not be told.
const (
	isOfMac   = "it is about how Parallels and the Mac work together"
	isOfTools = "only Parallels' tools in the guest act on it"
	isOfHost  = "it is about how the host works for the machine"
	isTold    = "the device is told"
	isName    = "it is a name or a date for Parallels"
)

var off = []string{"", "0", "-1"}

// rules say what becomes of what a config.pvs says beyond what is made hardware of.
var rules = appliance.Rules{
	{Key: "Hardware/Cpu/EnableHotplug", Usual: off, Subject: "CPU", Tell: "CPUs can be added while it runs up to cpu.maximum, which is what it has; raise that first"},
	{Key: "Hardware/Cpu/CpuLimit*", Usual: append([]string{"100", "2"}, off...), Subject: "CPU", Tell: "the limit %s is not taken over"},
	{Key: "Hardware/Cpu/CpuUnits", Nothing: isOfHost},
	{Key: "Hardware/Cpu/CpuMask", Subject: "CPU", Tell: "it was bound to the CPUs %s of its host; here it is not"},
	{Key: "Hardware/Cpu/VirtualizedHV", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "Hardware/Cpu/VirtualizePMU", Usual: off, Subject: "CPU", Tell: "performance counters are not promised"},
	{Key: "Hardware/Cpu/*", Nothing: isOfHost},
	{Key: "Hardware/Memory/EnableHotplug", Usual: off, Subject: "memory", Tell: "memory can be added while it runs up to memory.maximum, which is what it has; raise that first"},
	{Key: "Hardware/Memory/*", Nothing: isOfHost},
	{Key: "Hardware/Memory_*", Nothing: isOfHost},
	{Key: "Hardware/Video/Enable3DAcceleration", Usual: off, Subject: "graphics card", Tell: "acceleration of 3D cannot be had"},
	{Key: "Hardware/Video/MaxDisplays", Usual: []string{"", "0", "1"}, Subject: "graphics card", Tell: "it had up to %s displays; here it has one"},
	{Key: "Hardware/Video/*", Nothing: "the guest's driver takes what memory the card has"},
	{Key: "Hardware/Hdd/WindowsBootcamp*", Usual: off, Subject: "disks", Tell: "a disk of Boot Camp's is a device of the host"},
	{Key: "Hardware/*/Passthrough", Usual: off, Subject: "drives", Tell: "devices of the host are not given to guests here"},
	{Key: "Hardware/Hdd/*", Nothing: isOfHost},
	{Key: "Hardware/CdRom/*", Nothing: isOfHost},
	{Key: "Hardware/Fdd/*", Nothing: isOfHost},
	{Key: "Hardware/NetworkAdapter/LinkRateLimit/*", Usual: off, Subject: "network adapter", Tell: "limits of its bandwidth are not taken over"},
	{Key: "Hardware/NetworkAdapter/Firewall/*", Usual: off, Subject: "network adapter", Tell: "its firewall is not taken over"},
	{Key: "Hardware/NetworkAdapter/PktFilter/*", Nothing: isOfHost},
	{Key: "Hardware/NetworkAdapter/*", Nothing: isOfHost},
	{Key: "Hardware/Serial/*", Nothing: "serial lines are for panal console here"},
	{Key: "Hardware/Parallel/*", Nothing: isTold},
	{Key: "Hardware/Sound/*", Nothing: isTold},
	{Key: "Hardware/GenericPciDevice/*", Nothing: isTold},
	{Key: "Hardware/TpmChip/*", Nothing: "that the TPM is a new one is told"},
	{Key: "Hardware/UsbConnectHistory*", Nothing: isOfMac},
	{Key: "Hardware/USB/*", Nothing: "machines with a screen have an xHCI controller here"},
	{Key: "Hardware/USB", Nothing: "machines with a screen have an xHCI controller here"},
	{Key: "Hardware/Clock/*", Nothing: "the clock is right here"},
	{Key: "Hardware/Chipset/Type", Nothing: "machines with UEFI are on q35, others on pc"},
	{Key: "Hardware/Chipset*", Nothing: isOfHost},
	{Key: "Hardware@*", Nothing: isName},
	{Key: "Hardware/*@id", Nothing: isName},
	{Key: "Hardware/*@dyn_lists", Nothing: isName},
	{Key: "Hardware*/Description", Nothing: isName},
	{Key: "Hardware/VirtualPersistentMemory*", Subject: "persistent memory", Tell: "it cannot be had"},
	{Key: "Settings/Startup/BootingOrder/BootDevice/Type", Subject: "boot order", Tell: "disks, optical drives and adapters are tried in this order, not in that of the description"},
	{Key: "Settings/Startup/BootingOrder*", Nothing: "that the order is another is told"},
	{Key: "Settings/Startup/AutoStart", Usual: off, Subject: "start with the host", Tell: "it is not taken over; `panal set NAME autostart.enabled=on` says it"},
	{Key: "Settings/Startup/Bios/EfiSecureBoot", Nothing: "it is read"},
	{Key: "Settings/Startup/CustomProperty", Subject: "settings", Tell: "what was set by hand (%s) is not taken over"},
	{Key: "Settings/Runtime/SystemFlags", Subject: "settings", Tell: "what was set by hand (%s) is not taken over"},
	{Key: "Settings/Tools/SharedFolders/HostSharing/Enabled", Usual: off, Subject: "shared folders", Tell: "folders are not shared with guests here"},
	{Key: "Settings/Tools*", Nothing: isOfTools},
	{Key: "Settings/UsbController/XhcEnabled", Nothing: "machines with a screen have an xHCI controller here"},
	{Key: "Settings/UsbController/UhcEnabled", Usual: off, Subject: "USB controller", Tell: "an xHCI controller (USB 3) is there instead, for which old systems have no driver"},
	{Key: "Settings/UsbController/EhcEnabled", Usual: off, Subject: "USB controller", Tell: "an xHCI controller (USB 3) is there instead, for which old systems have no driver"},
	{Key: "Settings/UsbController*", Nothing: isTold},
	{Key: "Settings/General/Swap*", Nothing: isOfMac},
	{Key: "Settings/General/*", Nothing: isName},
	{Key: "Settings/Startup/*", Nothing: isOfMac},
	{Key: "Settings/Shutdown/*", Nothing: isOfMac},
	{Key: "Settings/Runtime/*", Nothing: isOfMac},
	{Key: "Settings/Schedule*", Nothing: isOfMac},
	{Key: "Settings/RemoteDisplay/*", Nothing: "the screen is reached by panal console --vnc, as every machine's"},
	{Key: "Settings/SharedCamera*", Nothing: isOfMac},
	{Key: "Settings/Encryption/*", Nothing: "that it is encrypted is told"},
	{Key: "Settings/HighAvailability*", Nothing: isOfHost},
	{Key: "Settings/OnlineCompact*", Nothing: isOfHost},
	{Key: "Settings/VirtualPrintersInfo*", Nothing: isOfMac},
	{Key: "Settings/Shared*", Nothing: isOfMac},
	{Key: "Settings/SmartGuard*", Subject: "scheduled snapshots", Tell: "`panal set NAME snapshots=…` says when they are taken"},
	{Key: "Settings/LockDown*", Nothing: isOfMac},
	{Key: "Settings/Travel*", Nothing: isOfMac},
	{Key: "Settings/Lock*", Nothing: isOfMac},
	{Key: "Settings@*", Nothing: isName},
	{Key: "Identification*", Nothing: isName},
	{Key: "Security*", Nothing: isOfMac},
	{Key: "InstalledSoftware", Nothing: isName},
	{Key: "ValidRc", Nothing: isName},
	{Key: "ExternalAccess*", Nothing: isOfMac},
	{Key: "@*", Nothing: isName},
	{Key: "AppVersion*", Nothing: isName},
	{Key: "TemplateKeyInfo*", Nothing: isName},
	{Key: "Internal*", Nothing: isName},
	{Key: "Advanced*", Nothing: isOfMac},
	{Key: "OvfTools*", Nothing: isName},
	{Key: "CloneAnchor*", Nothing: isName},
	{Key: "*@dyn_lists", Nothing: isName},
	{Key: "*@id", Nothing: isName},
}

// absent tells of a device that is switched off.
func absent(_ string, e *appliance.Node) bool { return e.Value("Enabled") == "0" }

// rest tells of what a configuration says and the machine does not have.
func (r *reader) rest(data []byte) error {
	settings, err := appliance.Unread(data, config{}, absent)
	if err != nil {
		return err
	}
	r.Rest(settings, rules)
	return nil
}
