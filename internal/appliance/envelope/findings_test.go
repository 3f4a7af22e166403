package envelope

import (
	"regexp"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/ovf"
)

// jargon is what only those know who have read the standard.
var jargon = regexp.MustCompile(`\b(HostResource|InstanceID|ResourceType|VirtualQuantity|Parent|diskId|href|msgid|populatedSize|References|VirtualSystem|Info|Envelope)\b|[a-z]Section\b|@|<[A-Z]`)

// TestDescriptorsAreFaultedInPlainWords reads what is wrong with descriptors as people read it, who know
// machines and not the standard.
func TestDescriptorsAreFaultedInPlainWords(t *testing.T) {
	const machine = `<VirtualSystem ovf:id="vm"><Info>m</Info><VirtualHardwareSection><Info>h</Info>`
	for item, want := range map[string]string{
		`<Item><rasd:HostResource>ovf:/disk/none</rasd:HostResource><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>`: `machine vm, device 5: it is on the disk "none", which is not there`,
		`<Item><rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>9</rasd:Parent><rasd:ResourceType>15</rasd:ResourceType></Item>`:                          `machine vm, device 5: it is attached to the device "9", which is not there`,
		`<Item><rasd:Connection>lan</rasd:Connection><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>`:                `machine vm, device 5: it is connected to the network "lan", which it does not list`,
		`<Item><rasd:InstanceID>5</rasd:InstanceID></Item>`:                                         `machine vm, device 5: it does not say what it is`,
		`<Item><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType></Item>`: `machine vm, device 5: how much there is: it is not a number`,
		`hello`: `machine vm, hardware: the text "hello" stands where none belongs, and is skipped`,
	} {
		text := `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"><References/>` + machine + item + `</VirtualHardwareSection></VirtualSystem></Envelope>`
		env, err := ovf.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		r := &reader{env: env, out: &appliance.Appliance{}}
		r.findings(env)
		if len(r.out.Notes) == 0 || r.out.Notes[0].Text != want {
			t.Errorf("%s\n%v, and not %s", item, r.out.Notes, want)
		}
	}
}

func TestNothingOfTheCorpusIsFaultedInJargon(t *testing.T) {
	found := 0
	for _, file := range disktest.CorpusFiles(t, "ovf") {
		if !strings.HasSuffix(file.Name, ".ovf") {
			continue
		}
		_, a := readFile(t, file.Path)
		if a == nil {
			continue
		}
		for _, n := range a.Notes {
			quoted := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(n.Text, "")
			if n.Subject != "descriptor" {
				continue
			}
			if found++; jargon.MatchString(quoted) && !strings.Contains(quoted, "says as UnknownSection") {
				t.Errorf("%s: %s", file.Name, n)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d findings were looked at", found)
	}
}

// TestVirtualBoxDevicesAreToldOnce has a sound card and a USB controller both as items and in VirtualBox's own
// section, and then in the section alone.
func TestVirtualBoxDevicesAreToldOnce(t *testing.T) {
	const items = `<Item><rasd:ElementName>sound</rasd:ElementName><rasd:InstanceID>7</rasd:InstanceID><rasd:ResourceSubType>ensoniq1371</rasd:ResourceSubType><rasd:ResourceType>35</rasd:ResourceType></Item>
<Item><rasd:ElementName>usb</rasd:ElementName><rasd:InstanceID>8</rasd:InstanceID><rasd:ResourceType>23</rasd:ResourceType></Item>`
	for name, listed := range map[string]string{"as items too": items, "in the section alone": ""} {
		text := `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:vbox="http://www.virtualbox.org/ovf/machine"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"><References/><VirtualSystem ovf:id="vm"><Info>m</Info>
<VirtualHardwareSection><Info>h</Info>` + listed + `</VirtualHardwareSection>
<vbox:Machine ovf:required="false" version="1.12-linux" uuid="{6e5d7ca0-9bb1-4e5c-9c4f-5b6e1d9c4a4e}" name="vm" OSType="Other"><ovf:Info>Complete VirtualBox machine configuration</ovf:Info>
<Hardware><USBController enabled="true" enabledEhci="false"/><AudioAdapter controller="AC97" driver="Pulse" enabled="true"/></Hardware></vbox:Machine></VirtualSystem></Envelope>`
		env, err := ovf.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		a, err := Read(env, appliance.Choices{})
		if err != nil {
			t.Fatal(err)
		}
		told := ""
		for _, n := range a.Machines[0].Notes {
			told += n.String() + "\n"
		}
		if strings.Count(told, "xHCI") != 1 || strings.Count(told, "sound") < 1 || strings.Count(told, "machines have") != 1 || strings.Contains(told, "other settings") {
			t.Errorf("%s:\n%s", name, told)
		}
	}
}
