package envelope

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/ovf"
)

// What Panal says of a machine and OVF has no words for, in a namespace of its own:
//
//	<VirtualHardwareSection>
//	  …
//	  <panal:Machine ovf:required="false">
//	    <panal:Setting panal:key="rtc.base" panal:value="localtime"/>
//	    <panal:Setting panal:item="7" panal:key="cache" panal:value="none"/>    of the drive that item 7 is
//	    <panal:Setting panal:item="7" panal:key="boot" panal:value="1"/>        which is tried first at the start
//	  </panal:Machine>
//	</VirtualHardwareSection>
//
// It stands where DMTF's schema takes elements of anybody's; sections of other namespaces it takes only
// together with a schema of theirs. A section MachineSection of the machine, where it stood
// once, is read too. Keys and values are those of `panal set`. Read are only those listed here: none of them
// names a file, another machine, or anything else of the host's.

// ownKeys are settings of the machine that are written and read.
var ownKeys = []string{
	"firmware.type", "firmware.secureBoot", "cpu.maximum", "cpu.sockets", "cpu.cores", "cpu.threads", "cpu.model", "cpu.nested", "cpu.cap", "cpu.limit", "cpu.reservation",
	"cpu.shares", "memory.minimum", "memory.maximum", "memory.start", "memory.reserve", "memory.control", "memory.shares", "memory.sharing", "memory.limit", "memory.reclaim", "memory.swap", "os", "display.type", "display.video", "rtc.base", "boot.menu", "tpm.version",
	"restart.policy", "restart.maxAttempts",
}

// ownKeysOf are those of controllers, drives, adapters and serial lines.
var ownKeysOf = map[string][]string{
	"controllers": {"name", "chipset", "ioThread"},
	"drives": {
		"name", "serial", "ssd", "cache", "discard", "detectZeroes", "iops", "readIops", "writeIops", "burstIops", "bandwidth", "readBandwidth", "writeBandwidth", "burstBandwidth",
		"burstSeconds", "limitGroup",
	},
	"adapters": {"name", "isolated"},
	"serials":  {"name", "logSize"},
}

// ownInstead are keys of what something really was that another program is told something else of.
var ownInstead = map[string]string{"controllers": "type", "adapters": "model"}

// ownBoot is the key of the place that a device has in the order of the start, from 1 on.
const ownBoot = "boot"

// Names of the element, of the section that it once was, and of what is in it.
var (
	ownElement = xml.Name{Space: ovf.NSPanal, Local: "Machine"}
	ownSection = xml.Name{Space: ovf.NSPanal, Local: "MachineSection"}
	ownSetting = xml.Name{Space: ovf.NSPanal, Local: "Setting"}
)

// own writes the element. items are the instance IDs of what has a name.
func (h *hardwareWriter) own() ovf.Element {
	s := h.machine.Spec
	raw := ovf.Element{Name: ownElement, Attrs: []xml.Attr{{Name: xml.Name{Space: ovf.NSEnvelope, Local: "required"}, Value: "false"}}}
	add := func(item, key, value string) {
		var attrs []xml.Attr
		for _, a := range []struct{ name, value string }{{"item", item}, {"key", key}, {"value", value}} {
			if a.name != "item" || a.value != "" {
				attrs = append(attrs, xml.Attr{Name: xml.Name{Space: ovf.NSPanal, Local: a.name}, Value: a.value})
			}
		}
		raw.Children = append(raw.Children, ovf.Element{Name: ownSetting, Attrs: attrs})
	}
	add("", "architecture", string(s.Architecture))
	if board := machine.BoardOf(s.Architecture, s.MachineType); board != machine.BoardOther {
		add("", "machineType", string(board))
	}
	for _, key := range ownKeys {
		if value := valueOf(s, key); value != "" {
			add("", key, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		add("", "labels."+name, s.Labels[name])
	}
	each := func(list, name string, of any) {
		item, described := h.items[name]
		for _, key := range ownKeysOf[list] {
			if value := valueOf(of, key); described && value != "" {
				add(item, key, value)
			}
		}
	}
	for _, c := range s.Controllers {
		if each("controllers", c.Name, c); standsFor(h.dialect, c.Type) != c.Type && h.items[c.Name] != "" {
			add(h.items[c.Name], "type", string(c.Type))
		}
	}
	for _, d := range s.Drives {
		each("drives", d.Name, d)
	}
	for _, a := range s.Adapters {
		if each("adapters", a.Name, a); modelFor(h.dialect, a.Model) != a.Model {
			add(h.items[a.Name], "model", string(a.Model))
		}
		for _, f := range a.Forwards {
			add(h.items[a.Name], "forward", fmt.Sprintf("%s %s %d %d", f.Protocol, f.HostAddress, f.HostPort, f.GuestPort))
		}
	}
	for _, l := range s.Serials {
		each("serials", l.Name, l)
	}
	for i, name := range s.Boot.Order {
		if item := h.items[name]; item != "" {
			add(item, ownBoot, strconv.Itoa(i+1))
		}
	}
	return raw
}

// valueOf is a field's value as text, by the path of its JSON names; empty for
// one that is not set.
func valueOf(of any, path string) string {
	text, err := json.Marshal(of)
	if err != nil {
		return ""
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&tree) != nil {
		return ""
	}
	for step := range strings.SplitSeq(path, ".") {
		fields, _ := tree.(map[string]any)
		tree = fields[step]
	}
	if tree == nil {
		return ""
	}
	return fmt.Sprint(tree)
}

// setting is one of them.
type setting struct{ item, key, value string }

// maxOwnSettings bounds how many settings are read: more than a machine can have.
const maxOwnSettings = 1 << 13

// ownSettings reads the element, if there is one.
func ownSettings(system *ovf.VirtualSystem, hardware *ovf.VirtualHardwareSection) []setting {
	raw := (ovf.Element{Children: hardware.Extra}).Child(ovf.NSPanal, ownElement.Local)
	if raw == nil {
		raw = system.Unknown(ovf.NSPanal, ownSection.Local)
	}
	if raw == nil {
		return nil
	}
	var list []setting
	for _, e := range raw.Children {
		if e.Name == ownSetting && len(list) < maxOwnSettings {
			list = append(list, setting{e.Attr(ovf.NSPanal, "item"), e.Attr(ovf.NSPanal, "key"), e.Attr(ovf.NSPanal, "value")})
		}
	}
	return list
}

// platform reads of the section what hardware depends on: architecture and board.
func (b *builder) platform(settings []setting) {
	s := b.Spec()
	for _, o := range settings {
		if arch := api.Architecture(o.value); o.item == "" && o.key == "architecture" && len(machine.BoardsOf(arch)) > 0 {
			s.Architecture = arch
			if arch != api.X8664 {
				s.Display.Video = ""
			}
		}
	}
	for _, o := range settings {
		if board := machine.BoardOf(s.Architecture, o.value); o.item == "" && o.key == "machineType" && board != machine.BoardOther {
			b.Board(board)
		}
	}
}

// apply carries the section's settings over to the finished machine. What may not
// be set this way, or is no value, is told.
func (b *builder) apply(spec api.Spec, settings []setting) api.Spec {
	var renamed []setting
	for _, o := range settings {
		list, name := b.whatIs(o.item)
		key := o.key
		if list != "" {
			key = list + "." + name + "." + o.key
		}
		switch {
		case o.item == "" && (o.key == "architecture" || o.key == "machineType"), list != "" && o.key == ownBoot:
			continue // read before
		case list != "" && o.key == "name":
			renamed = append(renamed, setting{list, name, o.value})
			continue
		case list == "adapters" && o.key == "forward":
			b.forward(&spec, name, o.value)
			continue
		case o.item == "" && !slices.Contains(ownKeys, o.key) && !strings.HasPrefix(o.key, "labels."),
			o.item != "" && (list == "" || !slices.Contains(ownKeysOf[list], o.key) && ownInstead[list] != o.key):
			b.notef("settings of Panal's", "%.80q is none that an appliance can have", o.key)
			continue
		}
		changed, wrong := machine.Assign(spec, []string{key + "=" + o.value})
		if len(wrong) > 0 {
			b.notef("settings of Panal's", "%.80q %s", o.key, wrong[0].Message)
			continue
		}
		spec = changed
	}
	return b.rename(spec, renamed)
}

// ownOrder is the order in which devices are tried at the start.
func (b *builder) ownOrder() []string {
	places := map[int]string{}
	for _, o := range b.own {
		if place, err := strconv.Atoi(o.value); err == nil && o.key == ownBoot && b.named[o.item] != "" {
			places[place] = b.named[o.item]
		}
	}
	var order []string
	for _, place := range slices.Sorted(maps.Keys(places)) {
		order = append(order, places[place])
	}
	return order
}

// whatIs is in which list of a spec the thing is that an item became, and its name.
func (b *builder) whatIs(item string) (list, name string) {
	switch name := b.named[item]; {
	case item == "" || name == "" && b.controllers[item].name == "":
		return "", ""
	case name == "":
		return "controllers", b.controllers[item].name
	case slices.ContainsFunc(b.Spec().Adapters, func(a api.Adapter) bool { return a.Name == name }):
		return "adapters", name
	case slices.ContainsFunc(b.Spec().Serials, func(l api.Serial) bool { return l.Name == name }):
		return "serials", name
	default:
		return "drives", name
	}
}

// forward adds a forwarded port: "tcp 127.0.0.1 2222 22".
func (b *builder) forward(spec *api.Spec, adapter, text string) {
	var f api.Forward
	words := strings.Split(text, " ")
	if len(words) == 4 {
		f.Protocol, f.HostAddress = words[0], words[1]
		if _, err := fmt.Sscan(words[2]+" "+words[3], &f.HostPort, &f.GuestPort); err == nil {
			for i := range spec.Adapters {
				if spec.Adapters[i].Name == adapter {
					spec.Adapters[i].Forwards = append(spec.Adapters[i].Forwards, f)
				}
			}
			return
		}
	}
	b.notef("settings of Panal's", "%.80q is no forwarded port", text)
}

// rename gives things the names that they had. A list in which two would have one
// name keeps the names that it has.
func (b *builder) rename(spec api.Spec, renamed []setting) api.Spec {
	names := map[string]string{}
	used := map[string]bool{}
	for _, r := range renamed {
		if r.value == "" || used[r.value] || len(r.value) > 63 {
			return spec
		}
		used[r.value] = true
		names[r.item+"/"+r.key] = r.value
	}
	all := machine.Clone(spec)
	rename := func(list string, name *string) bool {
		if now, found := names[list+"/"+*name]; found {
			*name = now
			return true
		}
		return !used[*name] // it keeps a name that another one gets
	}
	ok := true
	for i := range all.Controllers {
		ok = rename("controllers", &all.Controllers[i].Name) && ok
	}
	for i := range all.Drives {
		ok = rename("drives", &all.Drives[i].Name) && ok
		if all.Drives[i].Controller != "" {
			rename("controllers", &all.Drives[i].Controller)
		}
	}
	for i := range all.Adapters {
		ok = rename("adapters", &all.Adapters[i].Name) && ok
	}
	for i := range all.Serials {
		ok = rename("serials", &all.Serials[i].Name) && ok
	}
	for i, name := range all.Boot.Order {
		for _, list := range []string{"drives", "adapters"} {
			if now, found := names[list+"/"+name]; found {
				all.Boot.Order[i] = now
			}
		}
	}
	if !ok {
		return spec
	}
	m := b.Machine()
	for i := range m.Disks {
		rename("drives", &m.Disks[i].Drive)
	}
	networks := map[string]string{}
	for name, network := range m.Networks {
		rename("adapters", &name)
		networks[name] = network
	}
	m.Networks = networks
	return all
}
