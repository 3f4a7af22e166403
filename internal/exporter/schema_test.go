package exporter_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/ovf"
)

// The rules of DMTF's schema (DSP8023, versions 1.0.0, 1.1.0 and 2.0.1) that an
// exported descriptor comes into contact with, in words of our own: which
// children an element has, in which order, and which attributes it must have.

// node is an element.
type node struct {
	name     xml.Name
	attrs    map[string]string // by local name; those of the envelope's namespace
	text     string
	children []*node
}

// rule says what an element consists of.
type rule struct {
	children string   // a regular expression over the children's names, each followed by a space
	required []string // attributes
}

const anySection = `(Annotation|Product|Eula|OperatingSystem|VirtualHardware|Install)Section `

// rules are by the element's name, Item by that of its parent too.
var rules = map[string]rule{
	"Envelope":                {`References ((Disk|Network|Encryption)Section )*(VirtualSystem|VirtualSystemCollection) (Strings )*`, nil},
	"References":              {`(File )*`, nil},
	"File":                    {`(EncryptedData )?`, []string{"id", "href"}},
	"DiskSection":             {`Info (Disk )*`, nil},
	"Disk":                    {``, []string{"diskId", "capacity"}},
	"NetworkSection":          {`Info (Network )*`, nil},
	"Network":                 {`(Description )*`, []string{"name"}},
	"VirtualSystem":           {`Info (Name )?(` + anySection + `)*`, []string{"id"}},
	"VirtualSystemCollection": {`Info (Name )?((Startup|Product)Section )*(VirtualSystem )+`, []string{"id"}},
	"StartupSection":          {`Info (Item )*`, nil},
	"StartupSection/Item":     {``, []string{"id", "order"}},
	"AnnotationSection":       {`Info Annotation `, nil},
	"EulaSection":             {`Info License `, nil},
	"OperatingSystemSection":  {`Info (Description )?`, []string{"id"}},
	"ProductSection":          {`Info (Product )?(Vendor )?(Version )?(FullVersion )?(ProductUrl )?(VendorUrl )?(AppUrl )?(Icon )*(Category |Property )*`, nil},
	"Property":                {`(Label )?(Description )?(Value )*`, []string{"key", "type"}},
	"VirtualHardwareSection":  {`Info (System )?((Storage|EthernetPort)?Item )+(Config |ExtraConfig )*(Machine )?`, nil},
}

// cimOrder is the order of the fields of CIM's setting data, which the schema
// puts into a sequence: that of the alphabet.
var cimOrder = []string{
	"Address", "AddressOnParent", "AllocationUnits", "AutomaticAllocation", "AutomaticDeallocation", "Caption", "Connection", "Description", "ElementName",
	"HostResource", "InstanceID", "Parent", "ResourceSubType", "ResourceType", "VirtualQuantity", "VirtualSystemIdentifier", "VirtualSystemType",
}

// parseTree reads a document, and complains about attributes that are in none or in
// another namespace than the envelope's.
func parseTree(t *testing.T, text []byte) *node {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(text))
	stack := []*node{{}}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return stack[0].children[0]
		}
		if err != nil {
			t.Fatal(err)
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: token.Name, attrs: map[string]string{}}
			for _, a := range token.Attr {
				n.attrs[a.Name.Local] = a.Value
				if strings.Contains(token.Name.Space, "ovf/envelope") && a.Name.Space != token.Name.Space && a.Name.Space != "xmlns" && a.Name.Local != "xmlns" && a.Name.Local != "lang" {
					t.Errorf("the attribute %s of %s is in the namespace %q", a.Name.Local, token.Name.Local, a.Name.Space)
				}
			}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(token)
		}
	}
}

// schema checks a document.
type schema struct {
	t     *testing.T
	space string
	what  string
	ids   map[string][]string // of files, disks, networks, machines
	used  []string            // files that something refers to
}

func (s *schema) errorf(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s: %s", s.what, fmt.Sprintf(format, args...))
}

// check checks an element and what is in it.
func (s *schema) check(n *node, parent string) {
	name := n.name.Local
	r, known := rules[parent+"/"+name]
	if !known {
		r, known = rules[name]
	}
	switch {
	case parent == "VirtualHardwareSection" && (name == "System" || strings.HasSuffix(name, "Item")):
		s.setting(n)
		return
	case !known || n.name.Space != s.space:
		return // text, or of another standard
	}
	var children strings.Builder
	for _, c := range n.children {
		if c.name.Local == "BootOrderSection" && strings.Contains(s.what, "vmware") {
			continue // VMware's own, for whose namespace it has a schema itself
		}
		children.WriteString(c.name.Local + " ")
		s.check(c, name)
	}
	if !regexp.MustCompile(`^(` + r.children + `)$`).MatchString(children.String()) {
		s.errorf("%s consists of %s", name, children.String())
	}
	for _, a := range r.required {
		if n.attrs[a] == "" {
			s.errorf("%s has no %s", name, a)
		}
	}
	s.collect(n)
}

// collect notes what others refer to, which must be there once.
func (s *schema) collect(n *node) {
	for element, attribute := range map[string]string{"File": "id", "Disk": "diskId", "Network": "name", "VirtualSystem": "id"} {
		if n.name.Local != element {
			continue
		}
		if slices.Contains(s.ids[element], n.attrs[attribute]) {
			s.errorf("there are two %s %s", element, n.attrs[attribute])
		}
		s.ids[element] = append(s.ids[element], n.attrs[attribute])
	}
	switch n.name.Local {
	case "Disk":
		s.used = append(s.used, n.attrs["fileRef"])
	case "VirtualHardwareSection":
		s.ids["Item"], s.ids["storage"] = nil, nil // instance IDs are those of one machine
	}
	if n.name.Local == "Disk" && !slices.Contains(s.ids["File"], n.attrs["fileRef"]) {
		s.errorf("a disk refers to the file %q", n.attrs["fileRef"])
	}
	if units := n.attrs["capacityAllocationUnits"]; units != "" && !regexp.MustCompile(`^byte( \* 2\^[0-9]+)?$`).MatchString(units) {
		s.errorf("units %q", units)
	}
}

// takenBy are the models that programs take, by the type of item; a package with another one of such a type
// they refuse as a whole: VirtualBox what else is another storage device (20), VMware all.
var takenBy = map[envelope.Dialect]map[string][]string{
	envelope.ForVirtualBox: {"20": {"AHCI", "VirtioSCSI", "nvme"}, "6": {"lsilogic", "lsilogicsas", "buslogic", "VirtualSCSI"}},
	envelope.ForVMware: {
		"20": {"vmware.sata.ahci", "vmware.nvme.controller"}, "6": {"lsilogic", "lsilogicsas", "buslogic", "VirtualSCSI"}, "10": {"E1000", "E1000E", "VmxNet3", "PCNet32"},
	},
}

// taken checks that the program that a descriptor is for takes an item.
func (s *schema) taken(fields map[string]string) {
	dialect, _, _ := strings.Cut(s.what, ",")
	models, limited := takenBy[envelope.Dialect(dialect)][fields["ResourceType"]]
	if limited && !slices.Contains(models, fields["ResourceSubType"]) {
		s.errorf("%s has no %s", dialect, fields["ResourceSubType"])
	}
	switch fields["ResourceType"] {
	case "5", "6", "20":
		s.ids["storage"] = append(s.ids["storage"], fields["InstanceID"])
	case "17":
		if dialect == string(envelope.ForVirtualBox) && !slices.Contains(s.ids["storage"], fields["Parent"]) {
			s.errorf("a disk is on %s, which is no storage controller", fields["Parent"])
		}
	}
}

// setting checks hardware: the fields' order and namespace, those that must be
// there, and what they refer to.
func (s *schema) setting(n *node) {
	last, fields := -1, map[string]string{}
	for _, c := range n.children {
		if c.name.Space == ovf.NSVMware {
			last = len(cimOrder) // behind all others, the schema takes elements of anybody's
			continue
		}
		at := slices.Index(cimOrder, c.name.Local)
		if at < last || at < 0 {
			s.errorf("%s: %s stands in the wrong place", n.name.Local, c.name.Local)
		}
		if !strings.HasPrefix(c.name.Space, "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_") {
			s.errorf("%s: %s is in the namespace %s", n.name.Local, c.name.Local, c.name.Space)
		}
		last, fields[c.name.Local] = at, c.text
	}
	if fields["ElementName"] == "" || fields["InstanceID"] == "" {
		s.errorf("%s without a name or an ID: %v", n.name.Local, fields)
	}
	if n.name.Local == "System" {
		return
	}
	if _, err := strconv.ParseUint(fields["ResourceType"], 10, 16); err != nil {
		s.errorf("an item without a type: %v", fields)
	}
	for prefix, kind := range map[string]string{"ovf:/disk/": "Disk", "ovf:/file/": "File"} {
		if id, refers := strings.CutPrefix(fields["HostResource"], prefix); refers && !slices.Contains(s.ids[kind], id) {
			s.errorf("an item refers to the %s %s", kind, id)
		}
	}
	if network := fields["Connection"]; network != "" && !slices.Contains(s.ids["Network"], network) {
		s.errorf("an item refers to the network %s", network)
	}
	if p := fields["Parent"]; p != "" && !slices.Contains(s.ids["Item"], p) {
		s.errorf("an item refers to the controller %s, which does not stand before it", p)
	}
	s.taken(fields)
	if file, refers := strings.CutPrefix(fields["HostResource"], "ovf:/file/"); refers {
		s.used = append(s.used, file)
	}
	if slices.Contains(s.ids["Item"], fields["InstanceID"]) || fields["InstanceID"] == "0" {
		s.errorf("there are two items %s, or it is the ID of the system", fields["InstanceID"])
	}
	s.ids["Item"] = append(s.ids["Item"], fields["InstanceID"])
}

// descriptors is where the descriptors are written besides, so that xmllint can compare them
// with DMTF's own schemas, which are not here: docs/format/ovf.md says how.
var descriptors = flag.String("descriptors", "", "a folder to write the descriptors of TestDescriptorsAreValid to")

// everything is a machine with all that a descriptor can have words for.
func everything(t *testing.T) exporter.Machine {
	t.Helper()
	m, _ := machineOn(t, api.IDE, api.SATA, api.VirtioSCSI, api.LSILogic, api.LSISAS, api.PVSCSI, api.VirtioBlk, api.NVMe, api.MegaRAID, api.USB)
	s := &m.Spec
	port := 1
	s.Drives = append(s.Drives,
		api.Drive{Name: "cd", Kind: api.Optical, Controller: "sata0", Port: &port, Source: "x"},
		api.Drive{Name: "a:", Kind: api.FloppyDiskette}, api.Drive{Name: "empty disk", Kind: api.Disk, Controller: "sata0", Size: api.GiB})
	m.Images["cd"], _ = smallDisk(t, "cd", 1<<20)
	s.Firmware.SecureBoot, s.TPM, s.CPU.Threads = true, &api.TPM{Version: "2.0"}, 2
	s.Boot.Order = []string{"cd", "net0", "disk1"}
	for i, name := range []string{"VM Network", "", "a <dmz> & \"more\"", "VM Network"} {
		s.Adapters[i].NetworkName = name
	}
	s.Adapters[0].Forwards = []api.Forward{{Protocol: "tcp", HostAddress: "127.0.0.1", HostPort: 2222, GuestPort: 22}}
	s.Labels = map[string]string{"os": "Debian 12", "tier": "a=b, \"c\""}
	s.Environment = &api.Environment{Properties: map[string]string{"org.example.role": "db", "password": "geheim"}, Secrets: []string{"password"}}
	return m
}

// TestDescriptorsAreValid writes descriptors in every version and dialect, with
// all that can be in them.
func TestDescriptorsAreValid(t *testing.T) {
	all := everything(t)
	web, _ := machine(t, "web")
	for _, dialect := range envelope.Dialects() {
		for version, name := range map[ovf.Version]string{ovf.Version10: "1.0", ovf.Version11: "1.1", ovf.Version20: "2.0"} {
			for n := 1; n <= 2; n++ {
				o := options("web")
				o.Dialect, o.Version, o.Licence, o.Properties = dialect, version, "Be nice.", map[string]string{"org.example.size": "big", "plain": ""}
				o.Compress, o.Format = n == 2, []string{"vmdk", "raw"}[n-1]
				if version == ovf.Version20 {
					o.Passphrase = "correct horse"
				}
				text, err := os.ReadFile(filepath.Join(folderOf(t, []exporter.Machine{all, web}[:n], o), "web.ovf"))
				if err != nil {
					t.Fatal(err)
				}
				if *descriptors != "" {
					if err := os.WriteFile(filepath.Join(*descriptors, fmt.Sprintf("%s-%s-%d.ovf", name, dialect, n)), text, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				s := &schema{t: t, space: "http://schemas.dmtf.org/ovf/envelope/1", what: fmt.Sprintf("%s, OVF %s, %d machines", dialect, name, n), ids: map[string][]string{}}
				if version == ovf.Version20 {
					s.space = "http://schemas.dmtf.org/ovf/envelope/2"
				}
				s.envelope(parseTree(t, text), name)
			}
		}
	}
}

// envelope checks a whole document of a version.
func (s *schema) envelope(root *node, version string) {
	if root.name.Local != "Envelope" || root.name.Space != s.space {
		s.errorf("the root is %v", root.name)
	}
	if has := root.attrs["version"]; has != map[string]string{"1.0": "1.0", "1.1": "", "2.0": "2.0"}[version] {
		s.errorf("the envelope's version is %q", has)
	}
	s.check(root, "")
	for _, file := range s.ids["File"] { // VMware refuses a file that nothing refers to
		if !slices.Contains(s.used, file) {
			s.errorf("nothing refers to the file %s", file)
		}
	}
}
