package ovf_test

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/ovf"
)

// Attributes of fields are kept, and doubles of fields.
func TestOddItems(t *testing.T) {
	env := parse(t, minimal("", `<VirtualHardwareSection><Info>h</Info><Item><rasd:InstanceID vmw:a="b">1</rasd:InstanceID><rasd:ResourceType vmw:c="d">3</rasd:ResourceType>
<rasd:InstanceID vmw:a="e">2</rasd:InstanceID><rasd:ElementName vmw:f="g">n</rasd:ElementName><rasd:BusNumber>4</rasd:BusNumber><rasd:Address/></Item>
<Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>no number</rasd:ResourceType><rasd:Address>5</rasd:Address></Item></VirtualHardwareSection>`))
	items := ovf.First[*ovf.VirtualHardwareSection](env.Systems()[0].Sections).Items
	attr := func(local, value string) []xml.Attr {
		return []xml.Attr{{Name: xml.Name{Space: ovf.NSVMware, Local: local}, Value: value}}
	}
	if diff := cmp.Diff(map[string][]xml.Attr{"InstanceID": attr("a", "b"), "ResourceType": attr("c", "d")}, items[0].FieldAttrs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ovf.Text{Value: "n", Attrs: attr("f", "g")}, items[0].ElementName); diff != "" {
		t.Error(diff)
	}
	if len(items[0].Extra) != 2 || items[0].InstanceID != "1" || items[0].ResourceType != ovf.Processor || items[0].ControllerNumber() != "4" {
		t.Errorf("the first is %+v", items[0])
	}
	if len(items[1].Extra) != 1 || items[1].ResourceType != 0 || items[1].ControllerNumber() != "5" || (&ovf.Item{}).ControllerNumber() != "" {
		t.Errorf("the second is %+v", items[1])
	}
	if diff := roundTrip(env); diff != "" {
		t.Error(diff)
	}
}

func TestQuantitiesOfItems(t *testing.T) {
	for _, c := range []struct {
		item ovf.Item
		want int64 // -1 is an error
	}{
		{ovf.Item{ResourceType: ovf.Memory, VirtualQuantity: "512"}, 512 << 20},
		{ovf.Item{ResourceType: ovf.Memory, VirtualQuantity: "512", AllocationUnits: "KB"}, 512 << 10},
		{ovf.Item{ResourceType: ovf.Memory, VirtualQuantity: "512", VirtualQuantityUnits: "byte * 2^30"}, 512 << 30},
		{ovf.Item{ResourceType: ovf.Memory, VirtualQuantity: "512", AllocationUnits: "count"}, -1},
		{ovf.Item{ResourceType: ovf.Memory, VirtualQuantity: "512", AllocationUnits: "MHz"}, -1},
		{ovf.Item{ResourceType: ovf.Memory, VirtualQuantity: "512", AllocationUnits: "byte ^"}, -1},
		{ovf.Item{ResourceType: ovf.Memory, VirtualQuantity: "8", AllocationUnits: "bit * 2^10"}, 1 << 10},
		{ovf.Item{ResourceType: ovf.DiskDrive, VirtualQuantity: "512"}, 512},
	} {
		have, err := c.item.Bytes()
		if (err != nil) != (c.want < 0) || err == nil && have != c.want {
			t.Errorf("%+v has %d, %v", c.item, have, err)
		}
	}
	cpu := ovf.Item{ResourceType: ovf.Processor, VirtualQuantity: "4", AllocationUnits: "hertz * 10^6", Reservation: "500"}
	if n, err := cpu.Count(); n != 4 || err != nil {
		t.Errorf("there are %d, %v", n, err)
	}
	if n, unit, err := cpu.Amount(cpu.Reservation); n != 500e6 || unit != (ovf.Unit{Base: "hertz", Factor: 1}) || err != nil {
		t.Errorf("reserved are %d %s, %v", n, unit, err)
	}
	if _, err := (&ovf.Item{VirtualQuantity: "-1"}).Count(); err == nil {
		t.Error("there are -1")
	}
}

func TestSystemTypes(t *testing.T) {
	h := &ovf.VirtualHardwareSection{System: &ovf.SystemSetting{Type: "vmx-07, vmx-08 xen-3"}}
	if have := h.SystemTypes(); !slices.Equal(have, []string{"vmx-07", "vmx-08", "xen-3"}) {
		t.Errorf("they are %q", have)
	}
	if have := (&ovf.VirtualHardwareSection{}).SystemTypes(); have != nil {
		t.Errorf("of none they are %q", have)
	}
}

// Configurations are chosen in collections too.
func TestChoosingInCollections(t *testing.T) {
	text := strings.NewReplacer(`<VirtualSystem `, `<VirtualSystemCollection ovf:id="c"><Info>c</Info><ResourceAllocationSection><Info>r</Info>`+
		item("1", "4", "1", "")+item("1", "4", "2", `ovf:configuration="large"`)+`</ResourceAllocationSection><VirtualSystem `, `</VirtualSystem>`, `</VirtualSystem></VirtualSystemCollection>`).
		Replace(minimal(deployable, `<VirtualHardwareSection><Info>h</Info>`+item("1", "3", "1", `ovf:configuration="small"`)+`</VirtualHardwareSection>`))
	env, err := parse(t, text).Choose("large")
	if err != nil {
		t.Fatal(err)
	}
	resources := ovf.First[*ovf.ResourceAllocationSection](env.Content[0].ContentSections()).Items
	if len(resources) != 1 || resources[0].VirtualQuantity != "2" || len(ovf.First[*ovf.VirtualHardwareSection](env.Systems()[0].Sections).Items) != 0 {
		t.Errorf("the resources are %+v", resources)
	}
}

func TestWords(t *testing.T) {
	f := ovf.Finding{Severity: ovf.Warning, Text: "odd"}
	if have := f.String() + ", " + ovf.Note.String() + ", " + ovf.Error.String() + ", " + ovf.Severity(7).String(); have != "warning: odd, note, error, severity 7" {
		t.Errorf("they are %s", have)
	}
	m := &ovf.Manifest{Digests: []ovf.Digest{{Algorithm: ovf.SHA512}, {Algorithm: ovf.SHA1}, {Algorithm: ovf.SHA512}}}
	if have := m.Algorithms(); !slices.Equal(have, []ovf.Algorithm{ovf.SHA1, ovf.SHA512}) {
		t.Errorf("the algorithms are %v", have)
	}
}
