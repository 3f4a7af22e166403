package ovf

import (
	"encoding/xml"
	"strconv"
	"strings"
)

// Config is a setting of VMware's: vmw:Config or vmw:ExtraConfig.
type Config struct {
	Key, Value string
	Extra      bool // an ExtraConfig: a line of the .vmx
	Optional   bool
}

// Configs lists VMware's settings among elements that were left over, as those
// of a VirtualHardwareSection or an Item.
func Configs(extra []Element) []Config {
	var all []Config
	for _, e := range extra {
		if e.Name.Space != NSVMware || e.Name.Local != "Config" && e.Name.Local != "ExtraConfig" {
			continue
		}
		required := e.Attr(NSEnvelope, "required")
		all = append(all, Config{
			Key: e.Attr(NSVMware, "key"), Value: e.Attr(NSVMware, "value"),
			Extra: e.Name.Local == "ExtraConfig", Optional: required == "false" || required == "0",
		})
	}
	return all
}

// ConfigValue is the value of a setting; false if it is not there.
func ConfigValue(extra []Element, key string) (string, bool) {
	for _, c := range Configs(extra) {
		if c.Key == key {
			return c.Value, true
		}
	}
	return "", false
}

// NewConfig makes a setting to be put in Extra; it is optional.
func NewConfig(key, value string) Element {
	return Element{Name: xml.Name{Space: NSVMware, Local: "Config"}, Attrs: []xml.Attr{
		{Name: attrName("required"), Value: "false"},
		{Name: xml.Name{Space: NSVMware, Local: "key"}, Value: key},
		{Name: xml.Name{Space: NSVMware, Local: "value"}, Value: value},
	}}
}

// CoresPerSocket is VMware's vmw:CoresPerSocket of a processor item; 0 if it
// is not said.
func (i *Item) CoresPerSocket() int {
	e := (Element{Children: i.Extra}).Child(NSVMware, "CoresPerSocket")
	if e == nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(e.Content()), 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// VMwareType is vmw:osType, as "debian10_64Guest"; "" if it is not said.
func (s *OperatingSystemSection) VMwareType() string { return attrValue(s.Attrs, NSVMware, "osType") }

// VirtualBoxType is vbox:OSType, as "Debian_64"; "" if it is not said.
func (s *OperatingSystemSection) VirtualBoxType() string {
	if e := (Element{Children: s.Extra}).Child(NSVirtualBox, "OSType"); e != nil {
		return strings.TrimSpace(e.Content())
	}
	return ""
}

// UUID is vbox:uuid, the disk's UUID in VirtualBox; "" if it is not said.
func (d *Disk) UUID() string { return strings.Trim(attrValue(d.Attrs, NSVirtualBox, "uuid"), "{}") }

// VirtualBoxMachine is the section in which VirtualBox keeps the machine as in
// a .vbox file; nil if there is none. [Element.XML] makes a document of it, whose
// root is in VirtualBox's namespace and all else in that of OVF, as VirtualBox
// writes it: go by local names.
func (s *VirtualSystem) VirtualBoxMachine() *Element { return s.Unknown(NSVirtualBox, "Machine") }

// Unknown finds a section, or another element, that this package has no type
// for; nil if there is none. An empty space means any.
func (s *VirtualSystem) Unknown(space, local string) *Element {
	for u := range All[*UnknownSection](s.Sections) {
		if u.Raw.Name.Local == local && (space == "" || u.Raw.Name.Space == space) {
			return &u.Raw
		}
	}
	return (Element{Children: s.Extra}).Child(space, local)
}

// SystemTypes are the families of virtual hardware that would do, as "vmx-13",
// "virtualbox-2.2", "xen-3".
func (s *VirtualHardwareSection) SystemTypes() []string {
	if s.System == nil {
		return nil
	}
	return strings.FieldsFunc(s.System.Type, func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '\t' || r == '\n' })
}

// XenConfig is what XenCenter keeps of a machine in the hardware section's Extra,
// by name: VirtualSystemOtherConfigurationData, as "HVM_boot_policy" or
// "platform".
func XenConfig(extra []Element) map[string]string {
	values := map[string]string{}
	for _, e := range extra {
		if e.Name.Local != "VirtualSystemOtherConfigurationData" || e.Name.Space != NSXenServer {
			continue
		}
		name := e.Attr("", "Name")
		if name == "" {
			name = e.Attr(NSXenServer, "Name")
		}
		if value := e.Child("", "Value"); value != nil && name != "" {
			values[name] = strings.TrimSpace(value.Content())
		}
	}
	return values
}
