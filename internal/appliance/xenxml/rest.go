package xenxml

import (
	"strings"

	"github.com/panalvm/panal/internal/appliance"
)

// Why fields need not be told.
const (
	isRead   = "it is read, or told where it is found"
	isOfHost = "it is about the host, or how it works for the machine"
	isState  = "it is what the machine was doing"
	isName   = "it is a name or a note of XenServer's"
)

var off = []string{"", "0", "false", "-1"}

// rules say what becomes of the fields of a machine, its devices and disks
// beyond those that are made hardware of.
var rules = appliance.Rules{
	{Key: "VM/PV_*", Nothing: "that there was no firmware is told"},
	{Key: "VM/HVM_shadow_multiplier", Nothing: isOfHost},
	{Key: "VM/HVM_boot_*", Nothing: isRead},
	{Key: "VM/platform/cores-per-socket", Nothing: isRead},
	{Key: "VM/platform/secureboot", Nothing: isRead},
	{Key: "VM/platform/nested-virt", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "VM/platform/exp-nested-hvm", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "VM/platform/vgpu*", Subject: "graphics card", Tell: "the host's GPU is not given to guests here"},
	{Key: "VM/platform/*", Nothing: "it is a switch of Xen's"},
	{Key: "VM/VCPUs_params/cap", Nothing: isRead},
	{Key: "VM/VCPUs_params/weight", Nothing: isRead},
	{Key: "VM/VCPUs_params/mask", Subject: "CPU", Tell: "it was bound to the CPUs %s of its host; here it is not"},
	{Key: "VM/VCPUs_max", Nothing: isRead},
	{Key: "VM/VCPUs_at_startup", Nothing: isRead},
	{Key: "VM/memory_*", Nothing: isRead},
	{Key: "VM/recommendations", Nothing: isName},
	{Key: "VM/ha_*", Nothing: isOfHost},
	{Key: "VM/start_delay", Usual: off, Subject: "start", Tell: "the delay of %s s is not taken over; autostart.delay says it"},
	{Key: "VM/order", Usual: off, Subject: "start", Tell: "the place %s is not taken over; autostart.order says it"},
	{Key: "VM/shutdown_delay", Nothing: isOfHost},
	{Key: "VM/other_config/auto_poweron", Usual: off, Subject: "start with the host", Tell: "it is not taken over; `panal set NAME autostart.enabled=on` says it"},
	{Key: "VM/xenstore_data/vm-data/*", Subject: "XenStore", Tell: "what the guest asks XenStore for is not there"},
	{Key: "VM/xenstore_data/*", Nothing: isState},
	{Key: "VM/attached_PCIs", Subject: "PCI device of the host", Tell: "devices of the host are not given to guests here"},
	{Key: "VM/PCI_bus", Subject: "PCI device of the host", Tell: "devices of the host are not given to guests here"},
	{Key: "VM/suspend_VDI", Usual: []string{"", "opaqueref:null"}, Subject: "saved state", Tell: "it is not taken over; the machine starts from its disks as if the power had failed"},
	{Key: "VM/power_state", Nothing: isState},
	{Key: "VM/hardware_platform_version", Nothing: isOfHost},
	{Key: "VM/NVRAM/*", Nothing: "that variables are not taken over is told"},
	{Key: "VM/VGPUs", Subject: "graphics card", Tell: "the host's GPU is not given to guests here"},
	{Key: "VM/VUSBs", Subject: "USB", Tell: "devices of the host are not given to guests here"},
	{Key: "VM/VTPMs", Nothing: isRead},
	{Key: "VM/blobs*", Nothing: isName},
	{Key: "VM/bios_strings/*", Nothing: "names of the board are QEMU's"},
	{Key: "VM/snapshot*", Nothing: "that snapshots are not taken along is told"},
	{Key: "VM/snapshots*", Nothing: "that snapshots are not taken along is told"},
	{Key: "VM/actions_after_crash", Nothing: "restart.policy says it"},
	{Key: "VM/*", Nothing: isName},
	{Key: "VBD/mode", Usual: []string{"", "rw"}, Subject: "disks", Tell: "the guest could not write one of them; here it can"},
	{Key: "VBD/qos_algorithm_type", Usual: off, Subject: "disks", Tell: "the limit %s is not taken over"},
	{Key: "VBD/bootable", Nothing: "the boot order says it"},
	{Key: "VBD/*", Nothing: isState},
	{Key: "VDI/sharable", Usual: off, Subject: "disks", Tell: "one of them was shared with other machines; it is the machine's own here"},
	{Key: "VDI/read_only", Usual: off, Subject: "disks", Tell: "the guest could not write one of them; here it can"},
	{Key: "VDI/*", Nothing: isOfHost},
	{Key: "VIF/locking_mode", Usual: []string{"", "network_default", "unlocked"}, Subject: "network adapter", Tell: "it is not bound to addresses (%s)"},
	{Key: "VIF/ipv#_allowed", Subject: "network adapter", Tell: "it is not bound to addresses"},
	{Key: "VIF/qos_algorithm_type", Usual: off, Subject: "network adapter", Tell: "the limit %s is not taken over"},
	{Key: "VIF/MTU", Usual: []string{"", "1500"}, Subject: "network adapter", Tell: "the MTU of %s is not taken over"},
	{Key: "VIF/*", Nothing: isState},
}

// rest tells of what an export says of a machine and it does not have.
func (x export) rest(b *appliance.Builder, vm object) {
	settings := flatten("VM", vm.fields, 0)
	for _, class := range []string{"VBD", "VIF"} {
		for _, o := range x.belonging(class, vm, "device") {
			settings = append(settings, flatten(class, o.fields, 0)...)
			if vdi, found := x.byID[o.text("VDI")]; found && class == "VBD" {
				settings = append(settings, flatten("VDI", vdi.fields, 0)...)
			}
		}
	}
	b.Rest(settings, rules)
	for _, o := range x.objects {
		if o.text("VM") == vm.id && !usual[strings.ToLower(o.class)] {
			b.Notef(appliance.CleanLabel(o.class), "such a device cannot be had here; it is left out")
		}
	}
}

// usual are the classes of objects that belong to a machine and are read, or are no devices.
var usual = map[string]bool{"vbd": true, "vif": true, "vdi": true, "vtpm": true, "console": true, "vm_guest_metrics": true, "vm_metrics": true, "vm": true}

// maxDepth bounds how deep values are in each other.
const maxDepth = 64

// flatten lists the texts in a value by their paths.
func flatten(at string, v value, depth int) []appliance.Setting {
	if depth > maxDepth {
		return nil
	}
	var settings []appliance.Setting
	if text := strings.TrimSpace(v.text()); text != "" {
		settings = append(settings, appliance.Setting{Key: at, Value: text})
	}
	for _, m := range v.Struct {
		settings = append(settings, flatten(at+"/"+m.Name, m.Value, depth+1)...)
	}
	for _, e := range v.Array {
		settings = append(settings, flatten(at, e, depth+1)...)
	}
	return settings
}
