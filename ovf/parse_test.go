package ovf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/ovf"
)

// minimal is an envelope with what goes into the document in between.
func minimal(sections, machine string) string {
	return `<?xml version="1.0"?><ovf:Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf"
 xmlns:vbox="http://www.virtualbox.org/ovf/machine" xmlns:xen="http://schemas.citrix.com/ovf/envelope/1"><References/>` + sections +
		`<VirtualSystem ovf:id="vm"><Info>a machine</Info>` + machine + `</VirtualSystem></ovf:Envelope>`
}

func parse(t testing.TB, text string) *ovf.Envelope {
	t.Helper()
	env, err := ovf.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestEncodings(t *testing.T) {
	text := strings.Replace(minimal("<AnnotationSection><Info>é–😀</Info><Annotation>Grüße 😀</Annotation></AnnotationSection>", ""), `<?xml version="1.0"?>`, `<?xml version="1.0" encoding="@"?>`, 1)
	wide := func(order binary.AppendByteOrder, mark bool) string {
		var p []byte
		units := utf16.Encode([]rune(strings.Replace(text, "@", "UTF-16", 1)))
		if mark {
			units = append([]uint16{0xfeff}, units...)
		}
		for _, u := range units {
			p = order.AppendUint16(p, u)
		}
		return string(p)
	}
	for name, c := range map[string]string{
		"UTF-8":                    strings.Replace(text, "@", "UTF-8", 1),
		"UTF-8 with a mark":        "\ufeff" + strings.Replace(text, "@", "utf-8", 1),
		"UTF-16, little endian":    wide(binary.LittleEndian, true),
		"UTF-16, big endian":       wide(binary.BigEndian, true),
		"UTF-16 without a mark":    wide(binary.LittleEndian, false),
		"UTF-16 of the other kind": wide(binary.BigEndian, false),
	} {
		env := parse(t, c)
		if s := ovf.First[*ovf.AnnotationSection](env.Sections); s.Annotation.Value != "Grüße 😀" || s.Info.Value != "é–😀" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	env := parse(t, strings.NewReplacer("@", "windows-1252", "é–😀", "\x80\xe9", " 😀", "", "üß", "\xfc\xdf").Replace(text))
	if s := ovf.First[*ovf.AnnotationSection](env.Sections); s.Annotation.Value != "Grüße" || s.Info.Value != "€é" {
		t.Errorf("windows-1252: %+v", s)
	}
	if _, err := ovf.Parse(strings.NewReader(strings.Replace(text, "@", "EBCDIC", 1))); err == nil {
		t.Error("EBCDIC is read")
	}
}

func TestHostileDescriptors(t *testing.T) {
	repeat := strings.Repeat
	for name, text := range map[string]string{
		"entities":         `<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>` + minimal("", ""),
		"external entity":  `<!DOCTYPE x SYSTEM "file:///etc/passwd">` + minimal("", ""),
		"unknown entity":   minimal("", "<Name>&x;</Name>"),
		"deep":             repeat("<a>", 1000),
		"many elements":    minimal(repeat("<a/>", 300_000), ""),
		"many comments":    minimal("<a>"+repeat("x<!---->", 300_000)+"</a>", ""),
		"many attributes":  minimal("<a"+repeat(` b="c"`, 2000)+"/>", ""),
		"equals signs":     minimal("<a>"+repeat("=", 300_000)+"</a>", ""),
		"many namespaces":  minimal("<a"+namespaces(300)+"/>", ""),
		"long":             minimal("<a>"+repeat("x", 17<<20)+"</a>", ""),
		"cut short":        minimal("", "")[:400],
		"two roots":        minimal("", "") + minimal("", ""),
		"crossed":          minimal("<a><b></a></b>", ""),
		"text behind":      minimal("", "") + "x",
		"nothing":          "",
		"no XML":           "hello",
		"a NUL":            minimal("\x00", ""),
		"attributes twice": minimal(`<a b="c" b="d"/>`, ""),
		"twice, prefixed":  minimal(`<a xmlns:x="u" xmlns:y="u" x:b="c" y:b="d"/>`, ""),
		"HTML":             "<html><body>Not found</body></html>",
		"odd UTF-16":       "\xff\xfe<\x00x",
	} {
		_, err := ovf.Parse(strings.NewReader(text))
		var format *ovf.FormatError
		if !errors.As(err, &format) || format.Reason == "" || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ovf.Parse(strings.NewReader(strings.ReplaceAll(minimal("", ""), "envelope/1", "envelope/3"))); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("version 3: %v", err)
	}
}

func namespaces(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ` xmlns:n%d="u%d"`, i, i)
	}
	return b.String()
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		space, attribute string
		want             ovf.Version
	}{
		{"http://schemas.dmtf.org/ovf/envelope/1", ` ovf:version="1.0"`, ovf.Version10},
		{"http://schemas.dmtf.org/ovf/envelope/1", ` ovf:version="1.1.0"`, ovf.Version11},
		{"http://schemas.dmtf.org/ovf/envelope/1", ``, ovf.Version11},
		{"http://schemas.dmtf.org/ovf/envelope/1/", ` ovf:version="4.4.0.0"`, ovf.Version11},
		{"http://schemas.dmtf.org/ovf/envelope/2", ` ovf:version="2.0"`, ovf.Version20},
		{"http://schemas.dmtf.org/ovf/envelope/2", ` ovf:version="2.1.1"`, ovf.Version21},
		{"http://www.vmware.com/schema/ovf/1/envelope", ` ovf:version="0.9"`, ovf.Version09},
	} {
		env := parse(t, `<Envelope xmlns="`+c.space+`" xmlns:ovf="`+c.space+`"`+c.attribute+`/>`)
		if env.Version != c.want {
			t.Errorf("%+v is %s", c, env.Version)
		}
	}
}

// oVirt writes OVF as version 0.9 had it, with elements in no namespace and
// sizes in GiB.
func TestOVirt(t *testing.T) {
	env := parse(t, `<?xml version='1.0' encoding='UTF-8'?>
<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ovf:version="4.4.0.0">
<References><File ovf:href="group/image" ovf:id="image" ovf:size="1000"/></References>
<NetworkSection><Info>networks</Info><Network ovf:name="ovirtmgmt"/></NetworkSection>
<Section xsi:type="ovf:DiskSection_Type"><Info>disks</Info><Disk ovf:diskId="image" ovf:size="3" ovf:fileRef="group/image" ovf:boot="true"/></Section>
<Content ovf:id="out" xsi:type="ovf:VirtualSystem_Type"><Name>web</Name><TemplateId>000</TemplateId>
<Section ovf:id="1" ovf:required="false" xsi:type="ovf:OperatingSystemSection_Type"><Info>Guest</Info><Description>debian_9</Description></Section>
<Section xsi:type="ovf:VirtualHardwareSection_Type"><Info>2 CPU, 1024 Memory</Info>
<Item><rasd:Caption>2 virtual cpu</rasd:Caption><rasd:InstanceId>1</rasd:InstanceId><rasd:ResourceType>3</rasd:ResourceType><rasd:num_of_sockets>2</rasd:num_of_sockets></Item>
<Item><rasd:InstanceId>2</rasd:InstanceId><rasd:ResourceType>4</rasd:ResourceType><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:VirtualQuantity>1024</rasd:VirtualQuantity></Item>
<Item><rasd:InstanceId>image</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>group/image</rasd:HostResource><Type>disk</Type></Item>
</Section></Content></ovf:Envelope>`)
	machine := env.Systems()[0]
	hardware := ovf.First[*ovf.VirtualHardwareSection](machine.Sections)
	if machine.ID != "out" || machine.Title.Value != "web" || len(machine.Extra) != 1 || len(hardware.Items) != 3 {
		t.Errorf("the machine is %+v", machine)
	}
	if n, err := env.Disks()[0].Bytes(nil); n != 3<<30 || err != nil {
		t.Errorf("the disk has %d bytes, %v", n, err)
	}
	if n, err := hardware.Items[1].Bytes(); n != 1<<30 || err != nil {
		t.Errorf("the memory has %d bytes, %v", n, err)
	}
	if b := hardware.Items[2].Backing(); b != (ovf.Backing{Kind: ovf.BackedByOther, ID: "group/image"}) {
		t.Errorf("the disk is backed by %+v", b)
	}
}

func TestBacking(t *testing.T) {
	for text, want := range map[string]ovf.Backing{
		"ovf:/disk/vmdisk1": {ovf.BackedByDisk, "vmdisk1"}, "ovf://disk/vmdisk1": {ovf.BackedByDisk, "vmdisk1"}, "/disk/vmdisk1": {ovf.BackedByDisk, "vmdisk1"},
		"OVF:/disk/a%20b/c": {ovf.BackedByDisk, "a b/c"}, " ovf:/file/iso ": {ovf.BackedByFile, "iso"}, "/file/iso": {ovf.BackedByFile, "iso"},
		"": {}, "disk/x": {ovf.BackedByOther, "disk/x"}, "/disk/": {ovf.BackedByOther, "/disk/"}, "[ds1] web/web.vmdk": {ovf.BackedByOther, "[ds1] web/web.vmdk"}, "ovf:/other/x": {ovf.BackedByOther, "ovf:/other/x"},
	} {
		item := ovf.Item{HostResources: []ovf.Text{ovf.Plain(text)}}
		if have := item.Backing(); have != want {
			t.Errorf("%q is %+v", text, have)
		}
	}
}

// What one program means and nobody else is kept, and has names.
func TestVendors(t *testing.T) {
	env := parse(t, minimal(`<DiskSection><Info>d</Info><Disk ovf:diskId="d" ovf:capacity="1" vbox:uuid="{aa-bb}"/></DiskSection>`,
		`<OperatingSystemSection ovf:id="94" vmw:osType="debian10_64Guest"><Info>os</Info><vbox:OSType ovf:required="false">Debian_64</vbox:OSType></OperatingSystemSection>
<VirtualHardwareSection><Info>h</Info><Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity>
<vmw:CoresPerSocket ovf:required="false">2</vmw:CoresPerSocket></Item>
<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/><vmw:ExtraConfig vmw:key="a.b" vmw:value="c"/>
<xen:VirtualSystemOtherConfigurationData ovf:required="false" Name="HVM_boot_policy"><xen:Value>BIOS order</xen:Value><xen:Info>i</xen:Info></xen:VirtualSystemOtherConfigurationData></VirtualHardwareSection>
<vbox:Machine ovf:required="false" version="1.19-linux" uuid="{x}" name="vm"><Hardware><CPU count="4"/></Hardware></vbox:Machine>
<xen:Extra>y</xen:Extra>`))
	machine := env.Systems()[0]
	hardware, system := ovf.First[*ovf.VirtualHardwareSection](machine.Sections), ovf.First[*ovf.OperatingSystemSection](machine.Sections)
	if system.VMwareType() != "debian10_64Guest" || system.VirtualBoxType() != "Debian_64" || *system.ID != 94 {
		t.Errorf("the system is %+v", system)
	}
	if env.Disk("d").UUID() != "aa-bb" || hardware.Items[0].CoresPerSocket() != 2 {
		t.Errorf("the disk is %+v, the processor %+v", env.Disk("d"), hardware.Items[0])
	}
	want := []ovf.Config{{Key: "firmware", Value: "efi", Optional: true}, {Key: "a.b", Value: "c", Extra: true}}
	if diff := cmp.Diff(want, ovf.Configs(hardware.Extra)); diff != "" {
		t.Error(diff)
	}
	if value, ok := ovf.ConfigValue(hardware.Extra, "firmware"); value != "efi" || !ok {
		t.Errorf("the firmware is %q", value)
	}
	if diff := cmp.Diff(map[string]string{"HVM_boot_policy": "BIOS order"}, ovf.XenConfig(hardware.Extra)); diff != "" {
		t.Error(diff)
	}
	if machine.Unknown("", "Extra").Content() != "y" || machine.Unknown("", "nothing") != nil {
		t.Error("the extra element is not found")
	}
	text, err := machine.VirtualBoxMachine().XML()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`<Machine xmlns="http://www.virtualbox.org/ovf/machine"`, `uuid="{x}"`, `<ovf:CPU count="4"/>`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
}

func TestItemsAreFound(t *testing.T) {
	h := &ovf.VirtualHardwareSection{Items: []ovf.Item{{InstanceID: "1"}, {InstanceID: "2", Parent: "1"}, {InstanceID: "3", Parent: "1"}, {}}}
	if h.Item("2") != &h.Items[1] || h.Item("4") != nil || h.Item("") != nil {
		t.Error("items are not found")
	}
	if c := h.Children("1"); len(c) != 2 || c[1] != &h.Items[2] || h.Children("") != nil {
		t.Errorf("the children are %v", c)
	}
	if have := ovf.Processor.String() + ", " + ovf.ResourceType(32770).String(); have != "processor, type 32770" {
		t.Errorf("the types are %s", have)
	}
}

func TestChunks(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		file  ovf.File
		names string
		sizes []int64
	}{
		{ovf.File{Href: "d"}, "d", []int64{-1}},
		{ovf.File{Href: "d", Size: number(5)}, "d", []int64{5}},
		{ovf.File{Href: "d", Size: number(5), ChunkSize: number(2)}, "d.000000000 d.000000001 d.000000002", []int64{2, 2, 1}},
		{ovf.File{Href: "d", Size: number(4), ChunkSize: number(2)}, "d.000000000 d.000000001", []int64{2, 2}},
		{ovf.File{Href: "d", Size: number(0), ChunkSize: number(2)}, "d.000000000", []int64{0}},
		{ovf.File{Href: "d", ChunkSize: number(2)}, "d.000000000", []int64{-1}},
	} {
		names, sizes, ok := c.file.Names()
		if strings.Join(names, " ") != c.names || !cmp.Equal(sizes, c.sizes) || !ok {
			t.Errorf("%+v is %v, %v", c.file, names, sizes)
		}
	}
	if _, _, ok := (&ovf.File{Href: "d", Size: number(1 << 60), ChunkSize: number(1)}).Names(); ok {
		t.Error("2^60 chunks are listed")
	}
}

// FuzzParse parses anything; what it parses it writes, and that is the same
// again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal("", "")))
	f.Add([]byte(encrypted))
	for _, text := range disktest.Seeds("ovf", ".ovf") {
		f.Add([]byte(text))
	}
	f.Add([]byte(minimal(`<Section xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="ovf:DiskSection_Type"><Disk diskId="a" ovf:diskId="b"/></Section>`,
		`<ProductSection><Category>c</Category><Property ovf:key="k" ovf:type="string"/><Category>d</Category></ProductSection><x:y xmlns:x="u" xmlns="">t<z/></x:y>`)))
	f.Fuzz(func(t *testing.T, p []byte) {
		env, err := ovf.Parse(bytes.NewReader(p))
		if err != nil {
			return
		}
		ovf.Check(env)
		env.StartOrder()
		_, _ = env.EncryptedFiles()
		if _, err := env.Choose(""); err != nil {
			t.Errorf("the default configuration: %v", err)
		}
		if diff := roundTrip(env); diff != "" {
			t.Error(diff)
		}
	})
}
