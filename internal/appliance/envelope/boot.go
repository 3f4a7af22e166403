package envelope

import (
	"strconv"
	"strings"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/ovf"
)

// bootOrder reads what is tried first: from OVF 2's section, VMware's, or XenServer's parameters.
func (b *builder) bootOrder(system *ovf.VirtualSystem) {
	if s := ovf.First[*ovf.BootDeviceSection](system.Sections); s != nil {
		if len(s.Orders) > 1 {
			b.notef("boot order", "there are %d to choose from; the first is taken", len(s.Orders))
		}
		b.bootSources(s)
		return
	}
	if order := b.ownOrder(); len(order) > 0 {
		b.BootOrder(order, true)
		return
	}
	var order []string
	for s := range ovf.All[*ovf.UnknownSection](system.Sections) {
		if name := s.Name(); name.Space == ovf.NSVMware && name.Local == "BootOrderSection" {
			order = append(order, b.bootSource(s.Raw.Attr(ovf.NSVMware, "instanceId"), s.Raw.Attr(ovf.NSVMware, "type")))
		}
	}
	if len(order) > 0 {
		b.BootOrder(order, true)
		return
	}
	params := map[rune]string{'c': appliance.BootDisks, 'd': appliance.BootOptical, 'n': appliance.BootNetwork, 'a': appliance.BootFloppies}
	for _, letter := range xenParameter(ovf.XenConfig(b.hardware.Extra)["HVM_boot_params"], "order") {
		order = append(order, params[letter])
	}
	if len(order) > 0 {
		b.BootOrder(order, true)
	}
}

// bootSources reads the first list of OVF 2's section.
func (b *builder) bootSources(s *ovf.BootDeviceSection) {
	if len(s.Orders) == 0 {
		return
	}
	var order []string
	for _, source := range s.Orders[0].Sources {
		order = append(order, b.bootSource(source.InstanceID, first(source.StructuredBootString, source.BootString, source.BIOSBootString)))
	}
	b.BootOrder(order, true)
}

// bootSource is a device to start from: the one of an item, or all of a kind.
// Kinds are VMware's ("disk", "cdrom", "net", "floppy") or CIM's ("CIM:Hard-Disk:1").
func (b *builder) bootSource(instance, kind string) string {
	if name := b.named[instance]; name != "" {
		return name
	}
	kind = strings.ToLower(kind)
	for _, known := range []struct{ part, source string }{
		{"disk", appliance.BootDisks},
		{"hdd", appliance.BootDisks},
		{"cd", appliance.BootOptical},
		{"dvd", appliance.BootOptical},
		{"net", appliance.BootNetwork},
		{"floppy", appliance.BootFloppies},
		{"diskette", appliance.BootFloppies},
	} {
		if strings.Contains(kind, known.part) && !strings.Contains(kind, "diskette") || known.part == "diskette" && strings.Contains(kind, "diskette") {
			return known.source
		}
	}
	b.notef("boot order", "there is nothing here that %q stands for; it is not tried", first(kind, instance))
	return ""
}

// xen reads what XenServer's exports say of the machine outside of items.
func (b *builder) xen() {
	config := ovf.XenConfig(b.hardware.Extra)
	if strings.EqualFold(xenParameter(config["HVM_boot_params"], "firmware"), "uefi") {
		b.UEFI(strings.EqualFold(xenParameter(config["platform"], "secureboot"), "true"))
	}
}

// xenParameter is one of the values in "key=value;key=value".
func xenParameter(list, key string) string {
	for pair := range strings.SplitSeq(list, ";") {
		if name, value, found := strings.Cut(pair, "="); found && strings.EqualFold(strings.TrimSpace(name), key) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// cores is how many cores a socket has: by VMware's element, by a line of its .vmx, or by XenServer.
func (b *builder) cores(item *ovf.Item) int {
	if n := item.CoresPerSocket(); n > 0 {
		return n
	}
	for _, text := range []string{
		configOf(b.hardware.Extra, "cpuid.coresPerSocket"), xenParameter(ovf.XenConfig(b.hardware.Extra)["platform"], "cores-per-socket"),
	} {
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			return int(n)
		}
	}
	return 0
}

// configOf is a setting's value, whatever its case; empty if there is none.
func configOf(extra []ovf.Element, key string) string {
	for _, c := range ovf.Configs(extra) {
		if strings.EqualFold(c.Key, key) {
			return strings.TrimSpace(c.Value)
		}
	}
	return ""
}

// serial adds a serial line.
func (b *builder) serial(item *ovf.Item) {
	before := len(b.Spec().Serials)
	b.Serial()
	if lines := b.Spec().Serials; len(lines) > before {
		b.named[item.InstanceID] = lines[before].Name
	}
	if backing := item.Backing(); backing.Kind != ovf.BackedByNothing {
		b.notef(b.label(item), "it was connected to %s; here it is for `panal console`", backing.ID)
	}
}
