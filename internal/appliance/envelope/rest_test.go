package envelope

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/ovf"
)

// becomes is what an item is in a spec, so that no note is needed: each counts one
// more of it. Items of other types have to be told by their labels.
var becomes = map[ovf.ResourceType]func(api.Spec) int{
	ovf.DiskDrive: drivesOf(api.Disk), ovf.LogicalDisk: drivesOf(api.Disk), ovf.StorageVolume: drivesOf(api.Disk), ovf.StorageExtent: drivesOf(api.Disk),
	ovf.CDDrive: drivesOf(api.Optical), ovf.DVDDrive: drivesOf(api.Optical), ovf.FloppyDrive: drivesOf(api.FloppyDiskette),
	ovf.EthernetAdapter: adaptersOf, ovf.OtherNetworkAdapter: adaptersOf, ovf.EthernetConnection: adaptersOf,
	ovf.SerialPort: func(s api.Spec) int { return len(s.Serials) },
}

// isPartOf are items that become a part of something that every machine has.
var isPartOf = map[ovf.ResourceType]string{
	ovf.Processor:          "CPUs are counted together",
	ovf.Memory:             "memory is counted together",
	ovf.IDEController:      "a machine has one controller for all channels, if drives are on it",
	ovf.ParallelSCSI:       "a controller of the nearest model",
	ovf.OtherStorageDevice: "a controller of the nearest model",
	ovf.ISCSIHBA:           "a controller of the nearest model", ovf.FCHBA: "a controller of the nearest model",
	ovf.GraphicsController: "every machine has one; more are told",
	ovf.USBController:      "every machine with a screen has xHCI; others are told",
}

func drivesOf(kind api.DriveKind) func(api.Spec) int {
	return func(s api.Spec) int {
		n := 0
		for _, d := range s.Drives {
			if d.Kind == kind {
				n++
			}
		}
		return n
	}
}

func adaptersOf(s api.Spec) int { return len(s.Adapters) }

// isReadSection are sections whose content is read; others have to be told.
var isReadSection = map[string]string{
	"VirtualHardwareSection": "hardware", "ProductSection": "properties and the description", "EulaSection": "licences", "OperatingSystemSection": "the label os",
	"AnnotationSection": "the description", "DiskSection": "disks", "NetworkSection": "networks of adapters", "DeploymentOptionSection": "configurations",
	"StartupSection": "the order of machines", "BootOrderSection": "the boot order", "BootDeviceSection": "the boot order", "Machine": "VirtualBox's own words",
	"PlacementSection": "the group that it names is told", "EncryptionSection": "who reads the content decrypts it",
}

// TestEveryItemAndSectionOfTheCorpus goes over all of them, and fails for what is
// neither in the spec nor told.
func TestEveryItemAndSectionOfTheCorpus(t *testing.T) {
	items, settings := 0, 0
	for _, file := range disktest.CorpusFiles(t, "ovf") {
		if !strings.HasSuffix(file.Name, ".ovf") {
			continue
		}
		env, a := readFile(t, file.Path)
		if a == nil {
			continue // refused, with the reason
		}
		var notes []appliance.Note
		notes = append(notes, a.Notes...)
		for _, m := range a.Machines {
			notes = append(notes, m.Notes...)
		}
		for _, section := range sections[ovf.Section](env) {
			name := section.Name().Local
			if isReadSection[name] == "" && !tells(notes, name) && !tells(notes, "shared disks") && !tells(notes, "resources") && !tells(notes, "installation") && !tells(notes, "environment files") {
				t.Errorf("%s: %s was dropped in silence", file.Name, name)
			}
		}
		for _, system := range env.Systems() {
			at := slices.IndexFunc(a.Machines, func(m appliance.Machine) bool { return m.ID == system.ID })
			hardware := ovf.First[*ovf.VirtualHardwareSection](system.Sections)
			if at < 0 || hardware == nil {
				t.Errorf("%s: there is no machine %s", file.Name, system.ID)
				continue
			}
			items += len(hardware.Items)
			settings += checkItems(t, file.Name, hardware, a.Machines[at])
		}
	}
	if items < 2000 || settings < 1000 {
		t.Errorf("only %d items and %d settings were looked at", items, settings)
	}
}

func readFile(t *testing.T, path string) (*ovf.Envelope, *appliance.Appliance) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env, err := ovf.Parse(strings.NewReader(string(data)))
	if err != nil {
		return nil, nil
	}
	a, err := Read(env, appliance.Choices{})
	if err != nil {
		return nil, nil
	}
	env, err = env.Choose("")
	if err != nil {
		t.Fatal(err)
	}
	return env, a
}

// tells tells whether a note is about a subject.
func tells(notes []appliance.Note, subject string) bool {
	return slices.ContainsFunc(notes, func(n appliance.Note) bool { return n.Subject == subject })
}

// checkItems compares the hardware that is described with the machine, and returns
// how many settings there were.
func checkItems(t *testing.T, file string, hardware *ovf.VirtualHardwareSection, m appliance.Machine) int {
	t.Helper()
	b := &builder{reader: &reader{}}
	wanted := map[string]int{}
	settings := 0
	for i := range hardware.Items {
		item := &hardware.Items[i]
		if item.Bound != "" && item.Bound != "normal" {
			continue
		}
		settings += checkSettings(t, file, item.Extra, m)
		if isPartOf[item.ResourceType] != "" || tells(m.Notes, b.label(item)) {
			continue
		}
		if strings.EqualFold(item.ResourceSubType, "vmware.vtpm") && m.Spec.TPM != nil {
			continue
		}
		count := becomes[item.ResourceType]
		kind := fmt.Sprint(item.ResourceType)
		if wanted[kind]++; count == nil || count(m.Spec) < wanted[kind] {
			t.Errorf("%s: item %s of machine %s was dropped in silence", file, b.label(item), m.ID)
		}
	}
	return settings + checkSettings(t, file, hardware.Extra, m)
}

// checkSettings looks for each of VMware's settings in a note, or in the table of
// what need not be told.
func checkSettings(t *testing.T, file string, extra []ovf.Element, m appliance.Machine) int {
	t.Helper()
	configs := ovf.Configs(extra)
	for _, c := range configs {
		key := "config:" + c.Key
		if c.Extra {
			key = "vmx:" + c.Key
		}
		rule := settingRules().Find(key)
		if rule == nil { // of an item, whatever its type
			for kind := range 40 {
				if rule = settingRules().Find(fmt.Sprintf("Item/%d/%s", kind, key)); rule != nil {
					break
				}
			}
		}
		switch {
		case rule == nil:
			if !slices.ContainsFunc(m.Notes, func(n appliance.Note) bool { return n.Subject == "other settings" && strings.Contains(n.Text, c.Key) }) {
				t.Errorf("%s: the setting %q was dropped in silence", file, c.Key)
			}
		case rule.Nothing != "", slices.Contains(rule.Usual, strings.ToLower(strings.TrimSpace(c.Value))):
		default:
			if !tells(m.Notes, rule.Subject) {
				t.Errorf("%s: the setting %s=%s was dropped in silence", file, c.Key, c.Value)
			}
		}
	}
	return len(configs)
}

// rich has one of everything.
const rich = `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
 xmlns:vbox="http://www.virtualbox.org/ovf/machine" xmlns:vmw="http://www.vmware.com/schema/ovf">
<References><File ovf:id="f" ovf:href="a.vmdk"></File></References>
<DiskSection><Info>disks</Info><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="1024"></Disk></DiskSection>
<NetworkSection><Info>networks</Info><Network ovf:name="lan"></Network></NetworkSection>
<VirtualSystem ovf:id="vm"><Info>a machine</Info><Name>web</Name>
<OperatingSystemSection ovf:id="102"><Info>system</Info></OperatingSystemSection>
<ProductSection><Info>product</Info><Property ovf:key="a" ovf:type="string" ovf:value="b"></Property></ProductSection>
<vmw:BootOrderSection vmw:instanceId="5" vmw:type="cdrom"><Info>boot</Info></vmw:BootOrderSection>
<vmw:BootOrderSection vmw:instanceId="4" vmw:type="disk"><Info>boot</Info></vmw:BootOrderSection>
<VirtualHardwareSection><Info>hardware</Info><System><vssd:ElementName>x</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID><vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>
<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity><vmw:CoresPerSocket>4</vmw:CoresPerSocket></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>5</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>15</rasd:ResourceType></Item>
<Item><rasd:Connection>lan</rasd:Connection><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceSubType>E1000</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
<vmw:Config ovf:required="false" vmw:key="simultaneousThreads" vmw:value="2"></vmw:Config></VirtualHardwareSection></VirtualSystem></Envelope>`

func readText(document string) (*appliance.Appliance, error) {
	env, err := ovf.Parse(strings.NewReader(document))
	if err != nil {
		return nil, err
	}
	return Read(env, appliance.Choices{})
}

func TestNothingIsDroppedInSilence(t *testing.T) {
	key := func(path string) (string, bool) {
		inSection := strings.Contains(path, "BootOrderSection/") || strings.Contains(path, "BootOrderSection@") || strings.Contains(path, "/Info") || strings.HasSuffix(path, "/Config/oddThing")
		// Elements in an element that holds text are none of OVF.
		inText := strings.Contains(path, "/Item/") && strings.HasSuffix(path, "/oddThing") || strings.HasSuffix(path, "/Name/oddThing")
		// The list of files has no attributes, and the model no place for any.
		inSection = inSection || strings.HasPrefix(path, "Envelope/References@")
		return path, !inSection && !inText && !strings.Contains(path, "System/")
	}
	appliancetest.Told(t, rich, nil, key, readText)
}

func TestWhatIsTriedFirst(t *testing.T) {
	a, err := readText(rich)
	if err != nil {
		t.Fatal(err)
	}
	s := a.Machines[0].Spec
	appliancetest.Valid(t, "web", s)
	if order := strings.Join(s.Boot.Order, " "); order != "optical0 disk0 net0" {
		t.Errorf("the order is %q", order)
	}
	if s.CPU.Sockets != 1 || s.CPU.Cores != 2 || s.CPU.Threads != 2 {
		t.Errorf("the CPUs are %+v", s.CPU)
	}
}
