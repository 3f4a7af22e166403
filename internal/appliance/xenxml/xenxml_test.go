package xenxml_test

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/internal/appliance/xenxml"
)

// structOf writes an XML-RPC struct of names and texts; a text that begins with < is a value of its own.
func structOf(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<struct>")
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("<member><name>" + pairs[i] + "</name><value>" + pairs[i+1] + "</value></member>")
	}
	b.WriteString("</struct>")
	return b.String()
}

func object(class, id string, pairs ...string) string {
	return "<value>" + structOf("class", class, "id", id, "snapshot", structOf(pairs...)) + "</value>"
}

func document(objects ...string) []byte {
	return []byte("<value>" + structOf(
		"version", structOf("product_brand", "XCP-ng", "product_version", "8.2.1"),
		"objects", "<array><data>"+strings.Join(objects, "")+"</data></array>") + "</value>")
}

func TestAMachineOfXCPng(t *testing.T) {
	a, err := xenxml.Read(document(
		object("VM", "Ref:0", "uuid", "1e5a4d3c-0000-4000-8000-000000000001", "name_label", "web", "name_description", "a web server",
			"VCPUs_at_startup", "4", "memory_static_max", "2147483648", "memory_dynamic_max", "1073741824", "is_a_snapshot", "<boolean>0</boolean>",
			"HVM_boot_policy", "BIOS order", "HVM_boot_params", structOf("firmware", "uefi", "order", "cd"), "platform", structOf("cores-per-socket", "2", "secureboot", "true")),
		object("VM", "Ref:9", "name_label", "yesterday", "is_a_snapshot", "<boolean>1</boolean>"),
		object("VBD", "Ref:1", "VM", "Ref:0", "VDI", "Ref:5", "userdevice", "0", "type", "Disk", "empty", "<boolean>0</boolean>"),
		object("VBD", "Ref:2", "VM", "Ref:0", "VDI", "Ref:6", "userdevice", "5", "type", "Disk"),
		object("VBD", "Ref:3", "VM", "Ref:0", "VDI", "OpaqueRef:NULL", "userdevice", "3", "type", "CD", "empty", "<boolean>1</boolean>"),
		object("VBD", "Ref:4", "VM", "Ref:0", "VDI", "Ref:77", "userdevice", "6", "type", "Disk"),
		object("VDI", "Ref:5", "virtual_size", "10737418240", "name_label", "root"),
		object("VDI", "Ref:6", "virtual_size", "1073741824", "name_label", "data"),
		object("VIF", "Ref:7", "VM", "Ref:0", "device", "0", "MAC", "aa:bb:cc:01:02:03", "network", "Ref:8"),
		object("network", "Ref:8", "name_label", "Pool-wide network"),
	))
	if err != nil {
		t.Fatal(err)
	}
	appliancetest.Valid(t, "web", a.Machines[0].Spec)
	appliancetest.Golden(t, "testdata/xcp-ng.golden", appliancetest.Summary(a))
}

// TestCPUTime reads caps and weights, also such as XenServer would not write.
func TestCPUTime(t *testing.T) {
	for _, c := range []struct {
		limit, weight string
		want          api.CPU
		notes         int
	}{
		{"150", "512", api.CPU{Limit: "150%", Shares: 200}, 0},
		{"0", "256", api.CPU{}, 0},
		{"", "", api.CPU{}, 0},
		{"50", "1", api.CPU{Limit: "50%", Shares: 1}, 0},
		{"100", "65535", api.CPU{Limit: "100%", Shares: 10000}, 0},
		{"-7", "-7", api.CPU{}, 2},
		{"9e99", "many", api.CPU{}, 2},
		{"12%", "0", api.CPU{}, 2},
	} {
		a, err := xenxml.Read(document(object("VM", "Ref:0", "name_label", "web", "VCPUs_at_startup", "2", "memory_static_max", "1073741824",
			"VCPUs_params", structOf("cap", c.limit, "weight", c.weight))))
		if err != nil {
			t.Fatal(err)
		}
		m := a.Machines[0]
		appliancetest.Valid(t, "web", m.Spec)
		notes := 0
		for _, note := range m.Notes {
			if strings.HasPrefix(note.String(), "CPU:") {
				notes++
			}
		}
		if m.Spec.CPU.Limit != c.want.Limit || m.Spec.CPU.Shares != c.want.Shares || notes != c.notes {
			t.Errorf("cap %q, weight %q: limit %q, shares %d, %v", c.limit, c.weight, m.Spec.CPU.Limit, m.Spec.CPU.Shares, m.Notes)
		}
	}
}

func TestWhatIsNoExportIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"another text":    {"hello", "it holds no XML"},
		"no objects":      {"<value><struct/></value>", "holds no objects"},
		"no machine":      {string(document(object("VDI", "Ref:1"))), "describes no machine"},
		"twins":           {string(document(object("VM", "Ref:1"), object("VM", "Ref:1"))), "is another object's"},
		"no number":       {string(document(object("VM", "Ref:1", "VCPUs_at_startup", "many"))), `VCPUs_at_startup is "many"`},
		"no hardware":     {string(document(object("VM", "Ref:1", "VCPUs_at_startup", "99999"))), "are no hardware"},
		"endless nesting": {strings.Repeat("<value><array><data>", 20000), "ova.xml:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := xenxml.Read([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(document(object("VM", "Ref:0", "name_label", "web"), object("VBD", "Ref:1", "VM", "Ref:0", "VDI", "Ref:5"), object("VDI", "Ref:5", "virtual_size", "1")))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = xenxml.Read(data) })
}
