package hyperv

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/text/encoding/unicode"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
)

const (
	first  = "1E5A4D3C-0000-4000-8000-000000000001"
	then   = "1E5A4D3C-0000-4000-8000-0000000000A1"
	later  = "1E5A4D3C-0000-4000-8000-0000000000A2"
	ofIDE  = "83f8638b-8dca-4152-9eda-2ca8b33039b4"
	ofSCSI = "d422512d-2bf2-4752-809d-7b82b5fcb1b4"
)

// generation1 is a machine as Windows Server 2012 R2 describes one.
func generation1(name, parent, disk, extra string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><configuration>
<_` + ofIDE + `_><VDEVVersion type="integer">1536</VDEVVersion>
<controller0><drive0><pathname type="string">D:\VMs\web\` + disk + `</pathname><type type="string">VHD</type></drive0><drive1><pathname type="string"></pathname><type type="string">NONE</type></drive1></controller0>
<controller1><drive0><pathname type="string">C:\isos\setup.iso</pathname><type type="string">ISO</type></drive0></controller1></_` + ofIDE + `_>
<_aaaaaaaa-0000-4000-8000-000000000001_><AltSwitchName type="string">External</AltSwitchName><ChannelInstanceGuid type="string">{x}</ChannelInstanceGuid><IsConnected type="bool">True</IsConnected><MacAddress type="string">00155D012C03</MacAddress></_aaaaaaaa-0000-4000-8000-000000000001_>
<_aaaaaaaa-0000-4000-8000-000000000002_><MacAddress type="string">00-15-5D-01-2C-04</MacAddress><IsConnected type="bool">False</IsConnected></_aaaaaaaa-0000-4000-8000-000000000002_>
<_aaaaaaaa-0000-4000-8000-000000000003_><ChannelInstanceGuid type="string">{y}</ChannelInstanceGuid><controller0><drive0><pathname type="string">D:\VMs\web\Data.VHDX</pathname><type type="string">VHD</type></drive0><drive1><pathname type="string">disk 3</pathname><type type="string">PHYSICAL</type></drive1></controller0></_aaaaaaaa-0000-4000-8000-000000000003_>
<_8e3a359f-559a-4b6a-98a9-1690a6100ed7_><port0><connection type="string">\\.\pipe\web</connection></port0></_8e3a359f-559a-4b6a-98a9-1690a6100ed7_>
<_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_><bios_guid type="string">{4C4C4544-0042-3510-8051-B7C04F585931}</bios_guid><boot><device0 type="string">Network</device0></boot></_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_>
<manifest><vdev001><device type="string">` + ofIDE + `</device><instance type="string">` + ofIDE + `</instance><name type="string">Microsoft Emulated IDE Controller</name></vdev001>
<vdev002><device type="string">9f8233ac-be49-4c79-8ee3-e7e1985b2077</device><instance type="string">aaaaaaaa-0000-4000-8000-000000000009</instance><name type="string">Microsoft Synthetic Fibre Channel Port</name></vdev002></manifest>
<properties><creation_time type="bytes">AICQlmO22QE=</creation_time><name type="string">` + name + `</name><notes type="string">a web server</notes><parent_id type="string">` + parent + `</parent_id><subtype type="integer">0</subtype><version type="integer">1280</version></properties>
<settings><memory><bank><dynamic_memory_enabled type="bool">True</dynamic_memory_enabled><limit type="integer">4096</limit><reservation type="integer">512</reservation><size type="integer">1024</size></bank></memory>
<processors><count type="integer">2</count><limit type="integer">50000</limit><weight type="integer">100</weight></processors></settings>` + extra + `</configuration>`
}

func export() fstest.MapFS {
	return fstest.MapFS{
		"Virtual Machines/" + first + ".xml":                      {Data: []byte(generation1("web", later, "web_2.avhdx", ""))},
		"Virtual Machines/" + first + "/" + first + ".vsv":        {},
		"Snapshots/" + then + ".xml":                              {Data: []byte(generation1("fresh", first, "web.vhdx", ""))},
		"Snapshots/" + later + ".xml":                             {Data: []byte(generation1("later", then, "web_1.avhdx", ""))},
		"Snapshots/" + later + "/" + later + ".bin":               {},
		"Virtual Hard Disks/web.vhdx":                             {},
		"Virtual Hard Disks/web_1.avhdx":                          {},
		"Virtual Hard Disks/web_2.avhdx":                          {},
		"Virtual Hard Disks/data.vhdx":                            {},
		"Virtual Machines/readme.xml":                             {Data: []byte("<readme/>")},
		"Snapshots/" + then + "/something that is no description": {},
	}
}

func TestAnExportWithCheckpoints(t *testing.T) {
	found := Find(export())
	if len(found) != 1 {
		t.Fatalf("found %q", found)
	}
	a, err := Read(export(), found[0])
	if err != nil {
		t.Fatal(err)
	}
	appliancetest.Valid(t, "web", a.Machines[0].Spec)
	for _, s := range a.Machines[0].Snapshots {
		appliancetest.Valid(t, s.Name, s.Spec)
	}
	appliancetest.Golden(t, "testdata/generation1.golden", appliancetest.Summary(a))
	m := a.Machines[0]
	if s := m.Snapshots; s[0].Name != "fresh" || s[1].Parent != s[0].ID || m.Current != s[1].ID || s[1].Memory == "" || s[0].Disks[0].File != "Virtual Hard Disks/web.vhdx" {
		t.Errorf("checkpoints %+v on %s", s, m.Current)
	}
}

// key is an entry of a store that a test makes.
type key struct {
	path  string // with slashes; those above come first
	kind  byte
	value any
}

// store makes a store as Windows Server 2016 writes one: two headers, a log,
// a table of objects, and keys in two tables.
func store(t testing.TB, keys []key) []byte {
	data := make([]byte, 0x8000)
	for i, at := range []int{0, 0x1000} {
		h := data[at : at+headerLength]
		binary.LittleEndian.PutUint32(h, headerSignature)
		binary.LittleEndian.PutUint16(h[8:], uint16(7-i))
		binary.LittleEndian.PutUint32(h[10:], 0x400)
		binary.LittleEndian.PutUint64(h[26:], 0x7000)
		binary.LittleEndian.PutUint32(h[4:], crc32.ChecksumIEEE(h))
	}
	binary.LittleEndian.PutUint32(data[0x7000:], logSignature)
	binary.LittleEndian.PutUint32(data[objectsAt:], tableSignature)
	binary.LittleEndian.PutUint32(data[objectsAt+4:], 2)
	tables := [][]byte{{2, 0, 1, 0, 1, 0, 0, 0, 0, 0}, {2, 0, 2, 0, 1, 0, 0, 0, 0, 0}}
	places := map[string]keyRef{}
	for i, k := range keys {
		n := min(i/10, 1)
		parent, name := filepath.Split(k.path)
		above := places[strings.TrimSuffix(parent, "/")]
		places[k.path] = keyRef{uint16(n + 1), uint32(len(tables[n]))}
		body := append([]byte(name), 0)
		e := make([]byte, entryLength)
		e[0], e[20] = k.kind, byte(len(body))
		body = append(body, bytesOf(t, k)...)
		binary.LittleEndian.PutUint32(e[2:], uint32(entryLength+len(body)))
		binary.LittleEndian.PutUint16(e[6:], above.table)
		binary.LittleEndian.PutUint32(e[8:], above.offset)
		tables[n] = append(append(tables[n], e...), body...)
	}
	for i, table := range tables {
		at := 0x3000 + 0x2000*i
		o := data[objectsAt+8+objectLength*i:]
		o[0], o[17] = objectKeys, 1
		binary.LittleEndian.PutUint64(o[5:], uint64(at))
		binary.LittleEndian.PutUint32(o[13:], 0x2000)
		if len(table) > 0x2000 {
			t.Fatal("too many keys for the table")
		}
		copy(data[at:], table)
	}
	return data
}

func bytesOf(t testing.TB, k key) []byte {
	switch value := k.value.(type) {
	case string:
		text, err := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().Bytes([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)
	case int:
		return binary.LittleEndian.AppendUint64(nil, uint64(value))
	case bool:
		if value {
			return []byte{1, 0, 0, 0}
		}
		return []byte{0, 0, 0, 0}
	}
	return make([]byte, 12) // of a node
}

// generation2 is a machine as Windows Server 2016 and later describe one.
func generation2() []key {
	scsi, nic := "configuration/_bbbbbbbb-0000-4000-8000-000000000001_", "configuration/_bbbbbbbb-0000-4000-8000-000000000002_"
	return []key{
		{"configuration", typeNode, nil},
		{"configuration/properties", typeNode, nil},
		{"configuration/properties/name", typeString, "büro"},
		{"configuration/properties/subtype", typeInt, 1},
		{"configuration/properties/version", typeInt, 0x900},
		{"configuration/settings", typeNode, nil},
		{"configuration/settings/processors", typeNode, nil},
		{"configuration/settings/processors/count", typeInt, 4},
		{"configuration/settings/memory", typeNode, nil},
		{"configuration/settings/memory/bank", typeNode, nil},
		{"configuration/settings/memory/bank/size", typeUint, 2048},
		{"configuration/settings/memory/bank/dynamic_memory_enabled", typeBool, false},
		{"configuration/secure_boot_enabled", typeBool, true},
		{"configuration/manifest", typeNode, nil},
		{"configuration/manifest/vdev001", typeNode, nil},
		{"configuration/manifest/vdev001/device", typeString, ofSCSI},
		{"configuration/manifest/vdev001/instance", typeString, "bbbbbbbb-0000-4000-8000-000000000001"},
		{"configuration/manifest/vdev001/name", typeString, "Synthetic SCSI Controller"},
		{"configuration/manifest/vdev002", typeNode, nil},
		{"configuration/manifest/vdev002/instance", typeString, "bbbbbbbb-0000-4000-8000-000000000002"},
		{"configuration/manifest/vdev002/name", typeString, "Synthetic Ethernet Port"},
		{scsi, typeNode, nil},
		{scsi + "/controller0", typeNode, nil},
		{scsi + "/controller0/drive0", typeNode, nil},
		{scsi + "/controller0/drive0/type", typeString, "VHD"},
		{scsi + "/controller0/drive0/pathname", typeString, `C:\VMs\Büro\Virtual Hard Disks\büro.vhdx`},
		{scsi + "/controller0/drive1", typeNode, nil},
		{scsi + "/controller0/drive1/type", typeString, "ISO"},
		{nic, typeNode, nil},
		{nic + "/MacAddress", typeString, "000000000000"},
		{nic + "/Connection", typeNode, nil},
		{nic + "/Connection/AltSwitchName", typeString, "Default Switch"},
	}
}

func TestABinaryDescription(t *testing.T) {
	files := fstest.MapFS{
		"Virtual Machines/" + first + ".vmcx": {Data: store(t, generation2())},
		"Virtual Hard Disks/büro.vhdx":        {},
	}
	a, err := Read(files, Find(files)[0])
	if err != nil {
		t.Fatal(err)
	}
	appliancetest.Valid(t, "büro", a.Machines[0].Spec)
	appliancetest.Golden(t, "testdata/generation2.golden", appliancetest.Summary(a))
}

func TestAStoreOfHyperVItself(t *testing.T) {
	for _, file := range disktest.CorpusFiles(t, "hyperv") {
		data, err := os.ReadFile(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		root, logged, err := readStorage(data)
		if err != nil || logged {
			t.Fatalf("%s: %v, log in use %t", file.Name, err, logged)
		}
		var out strings.Builder
		dump(&out, root, "")
		appliancetest.Golden(t, "testdata/vmrs.golden", out.String())
	}
}

func dump(out *strings.Builder, n *node, indent string) {
	for _, c := range n.below() {
		out.WriteString(indent + c.name + " " + c.value + "\n")
		dump(out, c, indent+"  ")
	}
}

func TestWhatIsNoMachineIsRefused(t *testing.T) {
	whole := store(t, generation2())
	damaged := func(change func([]byte)) string {
		data := append([]byte{}, whole...)
		change(data)
		return string(data)
	}
	for name, c := range map[string]struct{ config, want string }{
		"another XML":    {"<VirtualBox/>", "is a <VirtualBox> and no configuration"},
		"no hardware":    {generation1("a", "", "a.vhdx", "")[:0] + `<configuration><properties><name>a</name></properties><settings><processors><count>99999</count></processors></settings></configuration>`, "are no hardware"},
		"no number":      {`<configuration><settings><processors><count>two</count></processors></settings></configuration>`, "is no number"},
		"deep":           {strings.Repeat("<configuration>", 500) + strings.Repeat("</configuration>", 500), "deeper than there can be"},
		"an entity bomb": {`<!DOCTYPE a [<!ENTITY a "a">]><configuration/>`, "document type"},
		"cut off":        {string(whole[:0x2004]), "cut off"},
		"headers":        {damaged(func(d []byte) { d[9]++; d[0x1009]++ }), "neither of its headers"},
		"tables":         {damaged(func(d []byte) { d[objectsAt]++ }), "no table of objects"},
		"lengths":        {damaged(func(d []byte) { d[0x3000+keysLength+4] = 0x7f }), "cut off"},
		"a circle": {damaged(func(d []byte) {
			binary.LittleEndian.PutUint16(d[0x3000+keysLength+6:], 1)
			binary.LittleEndian.PutUint32(d[0x3000+keysLength+8:], keysLength)
		}), "in a circle"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(fstest.MapFS{"a.vmcx": {Data: []byte(c.config)}}, "a.vmcx")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestNamesFindTheirFiles(t *testing.T) {
	files := fstest.MapFS{"Virtual Hard Disks/Web.vhdx": {}, "a/twice.vhdx": {}, "b/twice.vhdx": {}}
	for ref, want := range map[string]string{
		`D:\x\Virtual Hard Disks\Web.vhdx`: "Virtual Hard Disks/Web.vhdx",
		`D:\x\web.VHDX`:                    "Virtual Hard Disks/Web.vhdx",
		`\\server\share\a\twice.vhdx`:      "a/twice.vhdx",
	} {
		if got, found := locate(files, ref); !found || got != want {
			t.Errorf("%s: got %q, %t", ref, got, found)
		}
	}
	for _, ref := range []string{`D:\twice.vhdx`, `..\..\etc\passwd`, "/", ""} {
		if got, found := locate(files, ref); found {
			t.Errorf("%s: found %q", ref, got)
		}
	}
}

func TestTheGenerationDecidesTheFirmware(t *testing.T) {
	for subtype, want := range map[string]api.FirmwareType{"0": api.BIOS, "1": api.UEFI, "": api.BIOS} {
		config := `<configuration><properties><name>a</name><subtype>` + subtype + `</subtype></properties></configuration>`
		a, err := Read(fstest.MapFS{"a.xml": {Data: []byte(config)}}, "a.xml")
		if err != nil || a.Machines[0].Spec.Firmware.Type != want {
			t.Errorf("subtype %q: %v, %+v", subtype, err, a)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(generation1("web", then, "web.vhdx", "")), []byte(generation1("then", "", "web.vhdx", "")))
	f.Add(store(f, generation2()), []byte{})
	f.Fuzz(func(_ *testing.T, config, snapshot []byte) {
		files := fstest.MapFS{"Virtual Machines/a.vmcx": {Data: config}, "Snapshots/" + then + ".vmcx": {Data: snapshot}}
		_, _ = Read(files, "Virtual Machines/a.vmcx")
	})
}
