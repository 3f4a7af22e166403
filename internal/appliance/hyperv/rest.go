package hyperv

import (
	"strings"

	"github.com/panalvm/panal/internal/appliance"
)

// Why keys need not be told.
const (
	isRead   = "it is read, or told where it is found"
	isOfHost = "it is about how the host works for the machine"
	isOfHV   = "it has its counterpart here, or is of no use without Hyper-V"
	isName   = "it is a name, a date or a version for Hyper-V"
)

var off = []string{"", "0", "false"}

// rules say what becomes of the keys of a configuration beyond those that are
// made hardware of. Devices are by their kind, "device", whatever their GUID.
var rules = appliance.Rules{
	{Key: "*secure_boot_template", Nothing: "the keys of the usual vendors are enrolled here"},
	{Key: "*secure_boot_enabled", Nothing: isRead},
	{Key: "*tpm_enabled", Nothing: isRead},
	{Key: "*bios_guid", Nothing: isRead},
	{Key: "*notes", Nothing: isRead},
	{Key: "properties/*", Nothing: isName},
	{Key: "settings/processors/count", Nothing: isRead},
	{Key: "settings/processors/limit", Nothing: isRead},
	{Key: "settings/processors/reservation", Nothing: isRead},
	{Key: "settings/processors/weight", Nothing: isRead},
	{Key: "settings/processors/*nested*", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "settings/processors/*expose*", Usual: off, Subject: "nested virtualization", Tell: "whether the guest can run machines of its own is for the CPU model and this host to say; cpu.nested=on asks for it"},
	{Key: "settings/processors/features/limit*", Usual: off, Subject: "CPU", Tell: "features were hidden from the guest; here the CPU model decides"},
	{Key: "settings/processors/limit_cpuid", Usual: off, Subject: "CPU", Tell: "features were hidden from the guest; here the CPU model decides"},
	{Key: "settings/processors/limit_processor_features", Usual: off, Subject: "CPU", Tell: "features were hidden from the guest; here the CPU model decides"},
	{Key: "settings/processors/*numa*", Nothing: "the guest sees one node"},
	{Key: "settings/processors/*", Nothing: isOfHost},
	{Key: "settings/memory/bank/dynamic_memory_enabled", Nothing: isRead},
	{Key: "settings/memory/bank/limit", Nothing: isRead},
	{Key: "settings/memory/bank/reservation", Nothing: isRead},
	{Key: "settings/memory/bank/size", Nothing: isRead},
	{Key: "settings/memory/*", Nothing: isOfHost},
	{Key: "settings/global/*", Nothing: isOfHost},
	{Key: "settings/vnuma/*", Nothing: "the guest sees one node"},
	{Key: "settings/numa/*", Nothing: "the guest sees one node"},
	{Key: "settings/topology/*", Nothing: "the guest sees one node"},
	{Key: "settings/hyperv/*", Nothing: isOfHost},
	{Key: "settings/stopped_at_host_shutdown", Nothing: isOfHost},
	{Key: "manifest/*", Nothing: isRead},
	{Key: "global_settings/*", Nothing: isOfHost},
	{Key: "*_settings/*start*", Nothing: isOfHost},
	{Key: "sku/*", Nothing: isName},
	{Key: "security/*tpm*", Nothing: isRead},
	{Key: "security/*secure_boot*", Nothing: isRead},
	{Key: "security/*shielding*", Usual: off, Subject: "shielding", Tell: "a shielded machine cannot be read without its guardian"},
	{Key: "security/*", Nothing: isOfHost},
	{Key: "logical_id", Nothing: isName},

	{Key: "device/controller#/drive#/pathname", Nothing: isRead},
	{Key: "device/controller#/drive#/type", Nothing: isRead},
	{Key: "device/controller#/drive#/iops_limit", Usual: off, Subject: "drives", Tell: "the limit of %s requests a second is not taken over; `panal set NAME drives.DRIVE.iops=…` sets one"},
	{Key: "device/controller#/drive#/*iops*", Usual: off, Subject: "drives", Tell: "what is promised to them (%s requests a second) is not kept to"},
	{Key: "device/controller#/drive#/persistent_reservations*", Usual: off, Subject: "drives", Tell: "one of them was shared with other machines; it is the machine's own here"},
	{Key: "device/controller#/*", Nothing: isOfHost},
	{Key: "device/SwitchName", Nothing: isName},
	{Key: "device/AltSwitchName", Nothing: isRead},
	{Key: "device/AltPortName", Nothing: isName},
	{Key: "device/IsConnected", Nothing: isRead},
	{Key: "device/MacAddress", Nothing: isRead},
	{Key: "device/MacAddressIsStatic", Nothing: "the address stays as it is"},
	{Key: "device/IsMacAddressStatic", Nothing: "the address stays as it is"},
	{Key: "device/*vlan*", Usual: off, Subject: "network adapter", Tell: "the VLAN %s is not taken over"},
	{Key: "device/*bandwidth*", Usual: off, Subject: "network adapter", Tell: "limits of its bandwidth are not taken over"},
	{Key: "device/*spoof*", Nothing: "any address may be used here"},
	{Key: "device/*dhcpguard*", Usual: off, Subject: "network adapter", Tell: "answers of DHCP servers in the guest are not held back"},
	{Key: "device/*monitor*", Usual: off, Subject: "network adapter", Tell: "it sees no packets that are for others"},
	{Key: "device/*feature*", Nothing: isOfHost},
	{Key: "device/port#/*", Nothing: isRead},
	{Key: "device/boot/device0", Nothing: isRead},
	{Key: "device/boot/device#", Nothing: "what is tried first is told"},
	{Key: "device/boot/*", Nothing: isRead},
	{Key: "device/bios_guid", Nothing: isRead},
	{Key: "device/*asset_tag", Nothing: isName},
	{Key: "device/*serial_number", Nothing: isName},
	{Key: "device/*enabled", Nothing: isOfHV},
	{Key: "device/*", Nothing: isOfHV},
}

// rest tells of what a configuration says and the machine does not have.
func (r *reader) rest() {
	var settings []appliance.Setting
	var descend func(at string, n *node, depth int)
	descend = func(at string, n *node, depth int) {
		if depth > maxDepth {
			return
		}
		if value := strings.TrimSpace(n.value); value != "" || len(n.children) == 0 && depth > 0 {
			settings = append(settings, appliance.Setting{Key: at, Value: value})
		}
		for _, c := range n.children {
			name := c.name
			if _, isDevice := guid(name); isDevice && depth == 0 {
				name = "device"
			}
			descend(strings.TrimPrefix(at+"/"+name, "/"), c, depth+1)
		}
	}
	descend("", r.config, 0)
	r.Rest(settings, rules)
}
