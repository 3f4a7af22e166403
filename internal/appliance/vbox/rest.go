package vbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/internal/appliance"
)

// Why settings need not be told.
const (
	isTold     = "the device is told"
	isOfWindow = "it is about VirtualBox's own windows"
	isOfTools  = "only VirtualBox's additions in the guest act on it"
	isOfHost   = "it is about how the host works for the machine"
	isPlace    = "guests find devices wherever they are"
	isName     = "it is a name or a date for VirtualBox"
)

var off = []string{"", "false", "0", "none", "disabled"}

// rules say what becomes of what a settings file says beyond what is made hardware of.
// Paths begin below Machine.
var rules = appliance.Rules{
	{Key: "Hardware/USB/DeviceFilters/*@name", Subject: "USB", Tell: "devices of the host (%s) are not given to guests here"},
	{Key: "Hardware/USB/DeviceFilters*", Nothing: "filters are told by name"},
	{Key: "Hardware/*USBController@type", Usual: []string{"xhci"}, Subject: "USB controller", Tell: "an xHCI controller (USB 3) is there instead of %s, for which old systems have no driver"},
	{Key: "Hardware/USB/Controllers/Controller@type", Usual: []string{"xhci"}, Subject: "USB controller", Tell: "an xHCI controller (USB 3) is there instead of %s, for which old systems have no driver"},
	{Key: "Hardware/USB/Controllers*", Nothing: isTold},
	{Key: "Hardware/USB", Nothing: isTold},
	{Key: "Hardware/USBController@enabledEhci", Nothing: isTold},
	{Key: "Hardware/USBController@enabled", Subject: "USB controller", Tell: "an xHCI controller (USB 3) is there instead, for which old systems have no driver"},
	{Key: "Hardware/EmulatedUSB/CardReader*", Usual: off, Subject: "card reader", Tell: "machines have none here"},
	{Key: "Hardware/EmulatedUSB/Webcam*", Subject: "webcam", Tell: "machines have none here"},
	{Key: "Hardware/EmulatedUSB", Nothing: isTold},
	{Key: "Hardware/HostPci/*", Usual: off, Subject: "PCI device of the host", Tell: "devices of the host are not given to guests here"},
	{Key: "Hardware/HostPci", Nothing: isTold},
	{Key: "Hardware/AudioAdapter*", Nothing: isTold},
	{Key: "Hardware/Network/Adapter*/BandwidthGroup*", Nothing: "it only names a limit that is told"},
	{Key: "Hardware/IO/BandwidthGroups/*", Subject: "limits", Tell: "the limit %s of disks or adapters is not taken over"},
	{Key: "Hardware/Network/Adapter@promiscuousModePolicy", Usual: []string{"", "deny"}, Subject: "network adapter", Tell: "it sees no packets that are for others"},
	{Key: "Hardware/Network/Adapter@bootPriority", Usual: off, Subject: "boot order", Tell: "adapters are tried in their own order"},
	{Key: "Hardware/Network/Adapter@trace*", Usual: off, Subject: "network adapter", Tell: "its packets are not recorded"},
	{Key: "Hardware/Network/Adapter@bandwidthGroup", Nothing: "the group is told"},
	{Key: "Hardware/Network/Adapter@speed", Nothing: "the link is as fast as it can be"},
	{Key: "Hardware/Network/Adapter/DisabledModes*", Nothing: "it is what the adapter was not connected to"},
	{Key: "Hardware/Network/Adapter/NAT@network", Subject: "network adapter", Tell: "the addresses of its network were %s; here they are those of Panal's"},
	{Key: "Hardware/Network/Adapter/NAT/TFTP*", Subject: "network adapter", Tell: "its NAT gave files for starting (%s); here it does not"},
	{Key: "Hardware/Network/Adapter/NAT/Alias*", Nothing: isOfHost},
	{Key: "Hardware/Network/Adapter/NAT/DNS*", Nothing: isOfHost},
	{Key: "Hardware/Network/Adapter/NAT*", Nothing: isOfHost},
	{Key: "Hardware/Network/Adapter/GenericInterface/*", Subject: "network adapter", Tell: "what its driver is told (%s) is not taken over"},
	{Key: "Hardware/Network/Adapter/*Interface*", Nothing: "what it was connected to is told by the network's name"},
	{Key: "Hardware/Network/Adapter/CloudNetwork@name", Subject: "network adapter", Tell: "the cloud's network %s cannot be had"},
	{Key: "Hardware/Network/Adapter/NATNetwork*", Nothing: isOfHost},
	{Key: "Hardware/Network/Adapter/InternalNetwork*", Nothing: isOfHost},
	{Key: "Hardware/Network/Adapter/HostOnlyNetwork*", Nothing: isOfHost},
	{Key: "Hardware/Network/Adapter/NATNetwork", Nothing: isOfHost},
	{Key: "Hardware/Network", Nothing: isTold},
	{Key: "Hardware/CPU@hotplug", Usual: off, Subject: "CPU", Tell: "CPUs can be added while it runs up to cpu.maximum, which is what it has; raise that first"},
	{Key: "Hardware/CPU/CpuTree*", Nothing: "that CPUs come and go is told"},
	{Key: "Hardware/CPU/CpuIdTree*", Subject: "CPU", Tell: "bits of what it says of itself were set; here the CPU model decides"},
	{Key: "Hardware/CPU@CpuProfile", Usual: []string{"", "host"}, Subject: "CPU", Tell: "the profile %s is not taken over; cpu.model chooses one"},
	{Key: "Hardware/CPU/NestedHWVirt*", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "Hardware/CPU/*", Nothing: isOfHost},
	{Key: "Hardware/CPU@*", Nothing: isOfHost},
	{Key: "Hardware/Platform/CPU/NestedHWVirt*", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "Hardware/Platform/CPU*", Nothing: isOfHost},
	{Key: "Hardware/Platform/IOMMU*", Usual: off, Subject: "IOMMU", Tell: "machines have none here"},
	{Key: "Hardware/Platform/x86/HPET*", Nothing: "machines have one here"},
	{Key: "Hardware/Platform/*", Nothing: isOfHost},
	{Key: "Hardware/Chipset@iommuType", Usual: off, Subject: "IOMMU", Tell: "machines have none here"},
	{Key: "Hardware/Iommu@type", Usual: off, Subject: "IOMMU", Tell: "machines have none here"},
	{Key: "Hardware/Memory@PageFusion", Nothing: isOfHost},
	{Key: "Hardware/Guest@memoryBalloonSize", Usual: off, Subject: "memory", Tell: "%s MiB of it were taken back by a balloon; here it has all of it"},
	{Key: "Hardware/Guest@*", Nothing: isOfTools},
	{Key: "Hardware/HPET@*", Nothing: "machines have one here"},
	{Key: "Hardware/RTC@*", Nothing: isName},
	{Key: "Hardware/Paravirt@provider", Usual: []string{"", "none", "default", "legacy", "minimal", "kvm"}, Subject: "paravirtualization", Tell: "the interface %s is not promised to the guest"},
	{Key: "Hardware/Paravirt*", Usual: []string{""}, Subject: "paravirtualization", Tell: "what helps to debug the guest (%s) is not taken over"},
	{Key: "Hardware/HID@Pointing", Nothing: "machines have a tablet and a mouse here"},
	{Key: "Hardware/HID@Keyboard", Nothing: "machines have a keyboard here"},
	{Key: "Hardware/Boot*", Nothing: "it is read"},
	{Key: "Hardware/BIOS/BootMenu*", Nothing: isOfWindow},
	{Key: "Hardware/BIOS/Logo*", Nothing: isOfWindow},
	{Key: "Hardware/BIOS/ACPI*", Usual: []string{"", "true"}, Subject: "ACPI", Tell: "machines have it here"},
	{Key: "Hardware/BIOS/IOAPIC*", Nothing: "machines have one here, and guests without a driver for it do not use it"},
	{Key: "Hardware/BIOS/TimeOffset*", Usual: off, Subject: "clock", Tell: "it was off by %s ms on purpose; here it is right"},
	{Key: "Hardware/BIOS/PXEDebug*", Nothing: isOfWindow},
	{Key: "Hardware/BIOS/NVRAM*", Nothing: "that variables are not taken over is told"},
	{Key: "Hardware/BIOS/SmbiosUuidLittleEndian*", Nothing: "the UUID is shown as QEMU shows it"},
	{Key: "Hardware/BIOS/AutoSerialNumGen*", Nothing: isName},
	{Key: "Hardware/BIOS", Nothing: isName},
	{Key: "Hardware/TrustedPlatformModule*", Nothing: "that the TPM is a new one is told"},
	{Key: "Hardware/Display@accelerate3D", Usual: off, Subject: "graphics card", Tell: "acceleration of 3D cannot be had"},
	{Key: "Hardware/Display@monitorCount", Usual: []string{"", "1"}, Subject: "graphics card", Tell: "it had %s displays; here it has one"},
	{Key: "Hardware/Display@*", Nothing: "the guest's driver takes what memory the card has; 3D and displays are told"},
	{Key: "Hardware/RemoteDisplay*", Nothing: "the screen is reached by panal console --vnc, as every machine's"},
	{Key: "Hardware/VideoCapture*", Nothing: isOfWindow},
	{Key: "Hardware/Recording*", Nothing: isOfWindow},
	{Key: "Recording*", Nothing: isOfWindow},
	{Key: "VideoCapture*", Nothing: isOfWindow},
	{Key: "Hardware/Clipboard*", Nothing: isOfTools},
	{Key: "Hardware/DragAndDrop*", Nothing: isOfTools},
	{Key: "Hardware/GuestProperties*", Nothing: isOfTools},
	{Key: "Hardware/SharedFolders*", Nothing: isTold},
	{Key: "Hardware/UART/Port@uartType", Nothing: "machines have a 16550A here, which does all that older ones do"},
	{Key: "Hardware/UART*", Nothing: isPlace},
	{Key: "Hardware/LPT*", Nothing: isTold},
	{Key: "Hardware/IO/IoCache*", Nothing: isOfHost},
	{Key: "Hardware/IO*", Nothing: isOfHost},
	{Key: "Hardware@version", Nothing: isName},
	{Key: "Hardware@uuid", Nothing: isName},
	{Key: "Hardware/Uart", Nothing: isPlace},
	{Key: "Hardware/StorageControllers/StorageController/AttachedDevice@nonrotational", Nothing: "it is read"},
	{Key: "*StorageController/AttachedDevice@passthrough", Usual: off, Subject: "optical drive", Tell: "the host's drive is not given to the guest"},
	{Key: "*StorageController/AttachedDevice@bandwidthGroup", Nothing: "the group is told"},
	{Key: "*StorageController/AttachedDevice@hotpluggable", Nothing: "drives come and go where their controller can do that"},
	{Key: "*StorageController/AttachedDevice@tempeject", Nothing: "the guest ejects discs as it likes"},
	{Key: "*StorageController/AttachedDevice@discard", Nothing: "room that the guest discards is given back unless drives.DRIVE.discard is off"},
	{Key: "*StorageController@useHostIOCache", Nothing: isOfHost},
	{Key: "*StorageController@Bootable", Nothing: "the boot order says it"},
	{Key: "*StorageController@PortCount", Nothing: "a controller has all its ports here"},
	{Key: "*StorageController@*", Nothing: isPlace},
	{Key: "*StorageControllers", Nothing: isPlace},
	{Key: "MediaRegistry*", Nothing: "who is attached is read; the rest belongs to nobody"},
	{Key: "ExtraData/ExtraDataItem@name", Nothing: "it is read"},
	{Key: "ExtraData/ExtraDataItem@value", Nothing: "its name is read"},
	{Key: "ExtraData*", Nothing: isName},
	{Key: "Groups*", Nothing: isOfWindow},
	{Key: "Teleporter*", Nothing: isOfHost},
	{Key: "FaultTolerance*", Nothing: isOfHost},
	{Key: "Debugging*", Nothing: isOfHost},
	{Key: "Autostart@enabled", Usual: off, Subject: "start with the host", Tell: "it is not taken over; `panal set NAME autostart.enabled=on` says it"},
	{Key: "Autostart*", Nothing: "that it starts with the host is told"},
	{Key: "@OSType", Nothing: "it is read"},
	{Key: "@uuid", Nothing: isName},
	{Key: "@name", Nothing: isName},
	{Key: "@nameSync", Nothing: isName},
	{Key: "@directoryIncludesUUID", Nothing: isName},
	{Key: "@lastStateChange", Nothing: isName},
	{Key: "@snapshotFolder", Nothing: isName},
	{Key: "@currentStateModified", Nothing: isName},
	{Key: "@aborted", Nothing: isName},
	{Key: "@icon", Nothing: isOfWindow},
	{Key: "@stateKeyId", Nothing: "that a saved state is not taken over is told"},
	{Key: "@stateKeyStore", Nothing: "that a saved state is not taken over is told"},
	{Key: "@logKeyId", Nothing: isName},
	{Key: "@logKeyStore", Nothing: isName},
	{Key: "@version", Nothing: isName},
	{Key: "@type", Nothing: isName},
	{Key: "@schemaLocation", Nothing: isName},
	{Key: "@processPriority", Nothing: isOfHost},
	{Key: "@CPUPriority", Nothing: isOfHost},
	{Key: "@encrypted", Nothing: "that the machine is encrypted is told"},
	{Key: "@keyStore", Nothing: "that the machine is encrypted is told"},
}

// besideOnly are what an OVF descriptor's own items say, where a settings file is a part of one.
var besideOnly = appliance.Rules{
	{Key: "@required", Nothing: "it says that others may skip the section"},
	{Key: "Info", Nothing: "it is a text for people, about the section"},
	{Key: "*StorageControllers*", Nothing: "the descriptor's items say it"},
	{Key: "*MediaRegistry*", Nothing: "the descriptor's disks say it"},
}

// extra are items of ExtraData that change what the guest sees.
var extra = appliance.Rules{
	{Key: "VBoxInternal/Devices/*", Subject: "SMBIOS and devices", Tell: "VirtualBox's inner setting %s is not taken over"},
	{Key: "VBoxInternal2/EfiGraphicsResolution", Nothing: isOfWindow},
	{Key: "VBoxInternal2/*", Subject: "inner settings", Tell: "VirtualBox's setting %s is not taken over"},
	{Key: "VBoxInternal/*", Subject: "inner settings", Tell: "VirtualBox's setting %s is not taken over"},
	{Key: "*", Nothing: "it is about VirtualBox's own windows and programs"},
}

// root is what is looked at of a settings file.
type root struct {
	Machine *machineNode `xml:"Machine"`
}

// absent tells of what is switched off, and of snapshots, whose hardware is read like
// the machine's own and told of where it is another.
func absent(path string, e *appliance.Node) bool {
	enabled := e.Value("enabled")
	return path == "Snapshot" || strings.HasSuffix(path, "/Snapshot") || e.Name != "AutoStart" && (enabled == "false" || enabled == "0")
}

// rest tells of what a file says and the machine does not have.
func rest(b *appliance.Builder, data []byte, shape any, prefix string, rules appliance.Rules) error {
	settings, err := appliance.Unread(data, shape, absent)
	if err != nil {
		return err
	}
	below := settings[:0]
	var items []appliance.Setting
	for _, s := range settings {
		key, inside := strings.CutPrefix(s.Key, prefix)
		if !inside {
			key = s.Key
		}
		if key = strings.TrimPrefix(key, "/"); key == "ExtraData/ExtraDataItem@name" {
			items = append(items, appliance.Setting{Key: s.Value, Value: s.Value})
		}
		below = append(below, appliance.Setting{Key: key, Value: s.Value})
	}
	b.Rest(below, rules)
	b.Rest(items, extra)
	return nil
}

// Beside reads what a vbox:Machine element of an OVF descriptor says and neither the
// descriptor's items nor [Platform] do: what starts first, adapters' addresses, forwarded ports, and what there
// is not. The machine's adapters must be there.
func Beside(element []byte, b *appliance.Builder) error {
	var node struct {
		Hardware hardware `xml:"Hardware"`
	}
	if err := appliance.DecodeXML(element, &node); err != nil {
		return fmt.Errorf("vbox:Machine: %w", err)
	}
	r := &reader{Builder: b}
	r.bootOrder(node.Hardware)
	n := 0
	for _, a := range node.Hardware.Adapters {
		if !isOn(a.Enabled) {
			continue
		}
		if n < len(b.Spec().Adapters) {
			b.MAC(n, a.MAC)
			if a.NAT != nil {
				r.forwards(&b.Spec().Adapters[n], a.NAT.Forwards)
			}
		}
		n++
	}
	r.others(node.Hardware)
	return rest(b, element, node, "", append(slices.Clone(besideOnly), rules...))
}

// bootOrder reads what the firmware tries.
func (r *reader) bootOrder(h hardware) {
	kinds := map[string]string{"HardDisk": appliance.BootDisks, "DVD": appliance.BootOptical, "Floppy": appliance.BootFloppies, "Network": appliance.BootNetwork}
	orders := slices.Clone(h.Boot)
	slices.SortStableFunc(orders, func(a, b bootPlace) int { return number(a.Position) - number(b.Position) })
	var order []string
	for _, o := range orders {
		order = append(order, kinds[o.Device])
	}
	if len(order) > 0 {
		// UEFI has a list of its own, and finds disks that are not in this one.
		r.BootOrder(order, strings.HasPrefix(h.Firmware.Type, "EFI") || !slices.Contains(order, appliance.BootDisks))
	}
}

// number is a place; what is none comes last.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1 << 20
	}
	return n
}
