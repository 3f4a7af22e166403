package envelope_test

import (
	"os"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/ovf"
)

func read(path string) (*appliance.Appliance, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	env, err := ovf.Parse(file)
	if err != nil {
		return nil, err
	}
	return envelope.Read(env, appliance.Choices{})
}

func TestCorpus(t *testing.T) {
	appliancetest.Corpus(t, "ovf", ".ovf", "testdata/corpus.golden", appliancetest.Brief, read)
}

// ofText reads a descriptor with a body that tests write.
func ofText(t *testing.T, body string, choices appliance.Choices) (*appliance.Appliance, error) {
	t.Helper()
	env, err := ovf.Parse(strings.NewReader(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
 xmlns:vbox="http://www.virtualbox.org/ovf/machine" xmlns:vmw="http://www.vmware.com/schema/ovf">` + body + `</Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	return envelope.Read(env, choices)
}

const oneDisk = `<References><File ovf:id="f1" ovf:href="web.vmdk.gz" ovf:compression="gzip" ovf:chunkSize="1000"/><File ovf:id="f0" ovf:href="base.vmdk"/></References>
<DiskSection><Info/><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="${size}" ovf:capacityAllocationUnits="byte * 2^30" ovf:parentRef="d0" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
<Disk ovf:diskId="d0" ovf:fileRef="f0" ovf:capacity="1"/></DiskSection>
<DeploymentOptionSection><Info/><Configuration ovf:id="small" ovf:default="true"><Label>Small</Label><Description/></Configuration><Configuration ovf:id="big"><Label>Big</Label><Description/></Configuration></DeploymentOptionSection>`

func system(items string) string {
	return `<VirtualSystem ovf:id="vm"><Info/><Name>web</Name>
<EulaSection><Info/><License>Be nice.</License></EulaSection>
<ProductSection ovf:class="org.example"><Info/><Product>Web</Product><Property ovf:key="size" ovf:type="uint8" ovf:value="3" ovf:userConfigurable="true"/><Property ovf:key="secret" ovf:type="string" ovf:password="true" ovf:userConfigurable="true" ovf:qualifiers="MinLen(4)"/></ProductSection>
<VirtualHardwareSection><Info/><System><vssd:ElementName>x</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID><vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>` + items + `</VirtualHardwareSection></VirtualSystem>`
}

const items = `<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
<Item ovf:configuration="big"><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>someother, lsilogicsas</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`

func TestADiskIsFoundWithAllThatItStandsOn(t *testing.T) {
	a, err := ofText(t, oneDisk+system(items), appliance.Choices{Properties: map[string]string{"org.example.size": "7"}})
	if err != nil {
		t.Fatal(err)
	}
	m := a.Machines[0]
	appliancetest.Valid(t, "web", m.Spec)
	d := m.Disks[0]
	if d.File != "web.vmdk.gz" || d.Compression != "gzip" || d.Parts != 1000 || d.Size != 7<<30 || len(d.Parents) != 1 || d.Parents[0] != "base.vmdk" || d.Format != "vmdk" {
		t.Errorf("the disk is %+v", d)
	}
	if c := m.Spec.Controllers; len(c) != 1 || c[0].Type != api.LSISAS {
		t.Errorf("controllers %v", c)
	}
	if a.Licences[0].Text != "Be nice." || a.Licences[0].Machine != "vm" {
		t.Errorf("licences %v", a.Licences)
	}
	if p := a.Properties; len(p) != 2 || p[0].Value != "7" || p[0].Default != "3" || !p[1].Secret || !p[1].Required {
		t.Errorf("properties %+v", p)
	}
	if a.Deployment != "small" || m.Spec.CPU.Count != 1 {
		t.Errorf("deployment %q with %d CPUs", a.Deployment, m.Spec.CPU.Count)
	}
}

func TestTheAddressOfAFormatTellsIt(t *testing.T) {
	for uri, want := range map[string]string{
		"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized": "vmdk",
		"http://www.gnome.org/~markmc/qcow-image-format.html":                       "qcow2",
		"http://go.microsoft.com/fwlink/?LinkId=137171":                             "vhd",
		"http://www.example.org/VHDX":                                               "vhdx",
		"http://www.virtualbox.org/vdi":                                             "vdi",
		"http://www.panalvm.org/formats/raw":                                        "raw",
		"http://www.example.org/of-their-own":                                       "",
	} {
		text := strings.Replace(oneDisk, "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized", uri, 1)
		a, err := ofText(t, text+system(items), appliance.Choices{Properties: map[string]string{"org.example.size": "7"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Machines[0].Disks[0].Format; got != want {
			t.Errorf("%s is %q, want %q", uri, got, want)
		}
	}
}

func TestTheChosenConfigurationCounts(t *testing.T) {
	a, err := ofText(t, oneDisk+system(items), appliance.Choices{Deployment: "big"})
	if err != nil {
		t.Fatal(err)
	}
	if n := a.Machines[0].Spec.CPU.Count; n != 4 {
		t.Errorf("%d CPUs", n)
	}
}

func TestWhatCannotBeDoneIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		body    string
		choices appliance.Choices
		want    string
	}{
		"an unknown configuration": {oneDisk + system(items), appliance.Choices{Deployment: "huge"}, "huge"},
		"an unknown property":      {oneDisk + system(items), appliance.Choices{Properties: map[string]string{"colour": "red"}}, "there is no property colour; there are org.example.size, org.example.secret"},
		"a wrong value":            {oneDisk + system(items), appliance.Choices{Properties: map[string]string{"org.example.size": "1000"}}, "the property org.example.size cannot be 1000"},
		"a wrong secret":           {oneDisk + system(items), appliance.Choices{Properties: map[string]string{"org.example.secret": "abc"}}, "the property org.example.secret cannot be the value"},
		"no hardware":              {`<VirtualSystem ovf:id="vm"><Info/></VirtualSystem>`, appliance.Choices{}, "no VirtualHardwareSection"},
		"a section of others":      {`<x:NuclearSection xmlns:x="urn:x" ovf:required="true"><Info/></x:NuclearSection>` + system(items), appliance.Choices{}, "NuclearSection of urn:x must be understood"},
		"too many CPUs":            {system(strings.Replace(items, ">4<", ">40000<", 1)), appliance.Choices{Deployment: ""}, ""},
		"a circle of disks": {`<References><File ovf:id="f" ovf:href="x"/></References><DiskSection><Info/><Disk ovf:diskId="d1" ovf:capacity="1" ovf:fileRef="f" ovf:parentRef="d2"/><Disk ovf:diskId="d2" ovf:capacity="1" ovf:fileRef="f" ovf:parentRef="d1"/></DiskSection>` +
			system(items), appliance.Choices{}, "stands on itself"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ofText(t, c.body, c.choices)
			if c.want == "" {
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(oneDisk + system(items))
	for _, text := range disktest.Seeds("ovf", ".ovf") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, body string) {
		env, err := ovf.Parse(strings.NewReader(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">` + body + `</Envelope>`))
		if err == nil {
			_, _ = envelope.Read(env, appliance.Choices{})
		}
	})
}
