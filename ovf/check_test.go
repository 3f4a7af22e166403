package ovf_test

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/ovf"
)

// TestRules breaks one rule after the other.
func TestRules(t *testing.T) {
	hardware := func(items string) string {
		return `<VirtualHardwareSection><Info>h</Info>` + items + `</VirtualHardwareSection>`
	}
	files := func(list string) string { return "@files" + list }
	for name, c := range map[string]struct{ sections, machine, where, want string }{
		"a file without ID":          {files(`<File ovf:href="a"/>`), "", "References/File ", "has no id"},
		"two files of an ID":         {files(`<File ovf:id="f" ovf:href="a"/><File ovf:id="f" ovf:href="b"/>`), "", "References/File f", `two with the id "f"`},
		"two files of a name":        {files(`<File ovf:id="f" ovf:href="a"/><File ovf:id="g" ovf:href="a"/>`), "", "References/File g", `two with the href "a"`},
		"a file outside":             {files(`<File ovf:id="f" ovf:href="x/../../a"/>`), "", "References/File f", "leads out"},
		"an absolute file":           {files(`<File ovf:id="f" ovf:href="C:\a"/>`), "", "References/File f", "absolute"},
		"a file on this computer":    {files(`<File ovf:id="f" ovf:href="file:///etc/passwd"/>`), "", "References/File f", "this computer"},
		"a remote file":              {files(`<File ovf:id="f" ovf:href="https://example.org/a"/>`), "", "References/File f", "not in the package"},
		"a compression":              {files(`<File ovf:id="f" ovf:href="a" ovf:compression="lzma"/>`), "", "References/File f", "lzma"},
		"empty chunks":               {files(`<File ovf:id="f" ovf:href="a" ovf:chunkSize="0"/>`), "", "References/File f", "chunks"},
		"a negative size":            {files(`<File ovf:id="f" ovf:href="a" ovf:size="-1"/>`), "", "References/File f", "size is"},
		"a disk without capacity":    {`<DiskSection><Info>d</Info><Disk ovf:diskId="d"/></DiskSection>`, "", "DiskSection/Disk d", "says none"},
		"a disk of no bytes":         {`<DiskSection><Info>d</Info><Disk ovf:diskId="d" ovf:capacity="0"/></DiskSection>`, "", "DiskSection/Disk d", "capacity is 0"},
		"a disk's missing file":      {`<DiskSection><Info>d</Info><Disk ovf:diskId="d" ovf:capacity="1" ovf:fileRef="f"/></DiskSection>`, "", "DiskSection/Disk d", `the file "f"`},
		"a disk's missing parent":    {`<DiskSection><Info>d</Info><Disk ovf:diskId="d" ovf:capacity="1" ovf:parentRef="e"/></DiskSection>`, "", "DiskSection/Disk d", `parent is the disk "e"`},
		"a circle of disks":          {`<DiskSection><Info>d</Info><Disk ovf:diskId="d" ovf:capacity="1" ovf:parentRef="d"/></DiskSection>`, "", "DiskSection/Disk d", "comes back to itself"},
		"more in it than room":       {`<DiskSection><Info>d</Info><Disk ovf:diskId="d" ovf:capacity="1" ovf:populatedSize="2"/></DiskSection>`, "", "DiskSection/Disk d", "more than its capacity"},
		"disks in a machine":         {"", `<DiskSection><Info>d</Info></DiskSection>`, "VirtualSystem vm/DiskSection", "may not stand here"},
		"two disk sections":          {`<DiskSection><Info>d</Info></DiskSection><DiskSection><Info>d</Info></DiskSection>`, "", "DiskSection", "two of this section"},
		"a required, unknown one":    {`<FooSection><Info>d</Info></FooSection>`, "", "FooSection", "required, and not known"},
		"no Info":                    {`<NetworkSection/>`, "", "NetworkSection", "no Info"},
		"two networks of a name":     {`<NetworkSection><Info>d</Info><Network ovf:name="n"/><Network ovf:name="n"/></NetworkSection>`, "", "NetworkSection/Network n", "two"},
		"an undeclared prefix":       {`<NetworkSection><Info>d</Info><Network foo:name="n"/></NetworkSection>`, "", "", "prefix foo"},
		"two defaults":               {strings.Replace(deployable, `"large"`, `"large" ovf:default="true"`, 1), "", "DeploymentOptionSection", "2 configurations are the default"},
		"no hardware":                {"", "", "VirtualSystem vm", "no VirtualHardwareSection"},
		"an item without ID":         {"", hardware(`<Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>`), "VirtualSystem vm/VirtualHardwareSection/Item ", "no InstanceID"},
		"two items of an ID":         {"", hardware(item("1", "3", "1", "") + item("1", "4", "1", "")), "VirtualSystem vm/VirtualHardwareSection/Item 1", "two with the InstanceID"},
		"an item of no type":         {"", hardware(`<Item><rasd:InstanceID>1</rasd:InstanceID></Item>`), "VirtualSystem vm/VirtualHardwareSection/Item 1", "no ResourceType"},
		"no number of processors":    {"", hardware(item("1", "3", "two", "")), "VirtualSystem vm/VirtualHardwareSection/Item 1", `"two"`},
		"no processor":               {"", hardware(item("1", "3", "0", "")), "VirtualSystem vm/VirtualHardwareSection/Item 1", "quantity is 0"},
		"a bound":                    {"", hardware(item("1", "3", "1", `ovf:bound="most"`)), "VirtualSystem vm/VirtualHardwareSection/Item 1", "most"},
		"a missing configuration":    {"", hardware(item("1", "3", "1", `ovf:configuration="big"`)), "VirtualSystem vm/VirtualHardwareSection/Item 1", `configuration "big"`},
		"required is no bool":        {"", hardware(item("1", "3", "1", `ovf:required="maybe"`)), "VirtualSystem vm/VirtualHardwareSection/Item 1", "true or false"},
		"an unknown unit":            {"", hardware(strings.Replace(item("1", "4", "1", ""), "<rasd:Inst", "<rasd:AllocationUnits>byte ^ 2</rasd:AllocationUnits><rasd:Inst", 1)), "VirtualSystem vm/VirtualHardwareSection/Item 1", "byte ^ 2"},
		"a missing parent":           {"", hardware(strings.Replace(item("1", "17", "1", ""), "<rasd:Inst", "<rasd:Parent>9</rasd:Parent><rasd:Inst", 1)), "VirtualSystem vm/VirtualHardwareSection/Item 1", `Parent is the item "9"`},
		"its own parent":             {"", hardware(strings.Replace(item("1", "17", "1", ""), "<rasd:Inst", "<rasd:Parent>1</rasd:Parent><rasd:Inst", 1)), "VirtualSystem vm/VirtualHardwareSection/Item 1", "its own Parent"},
		"a missing disk":             {"", hardware(strings.Replace(item("1", "17", "1", ""), "<rasd:Inst", "<rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:Inst", 1)), "VirtualSystem vm/VirtualHardwareSection/Item 1", `the disk "d"`},
		"a missing image":            {"", hardware(strings.Replace(item("1", "15", "1", ""), "<rasd:Inst", "<rasd:HostResource>ovf:/file/f</rasd:HostResource><rasd:Inst", 1)), "VirtualSystem vm/VirtualHardwareSection/Item 1", `the file "f"`},
		"a missing network":          {"", hardware(strings.Replace(item("1", "10", "1", ""), "<rasd:Inst", "<rasd:Connection>lan</rasd:Connection><rasd:Inst", 1)), "VirtualSystem vm/VirtualHardwareSection/Item 1", `network "lan"`},
		"a property without key":     {"", `<ProductSection><Info>p</Info><Property ovf:type="string"/></ProductSection>`, "VirtualSystem vm/ProductSection/Property ", "no key"},
		"a property twice":           {"", `<ProductSection><Info>p</Info><Property ovf:key="k" ovf:type="string"/><Property ovf:key="k" ovf:type="string"/></ProductSection>`, "VirtualSystem vm/ProductSection/Property k", "two with the key"},
		"a property of no type":      {"", `<ProductSection><Info>p</Info><Property ovf:key="k" ovf:type="colour"/></ProductSection>`, "VirtualSystem vm/ProductSection/Property k", "colour"},
		"a default that fits not":    {"", `<ProductSection><Info>p</Info><Property ovf:key="k" ovf:type="uint8" ovf:value="256"/></ProductSection>`, "VirtualSystem vm/ProductSection/Property k", `"256" is no uint8`},
		"an icon without file":       {"", `<ProductSection><Info>p</Info><Icon ovf:fileRef="f"/></ProductSection>`, "VirtualSystem vm/ProductSection/Icon", `the file "f"`},
		"a system without ID":        {"", `<OperatingSystemSection><Info>o</Info></OperatingSystemSection>`, "VirtualSystem vm/OperatingSystemSection", "no id"},
		"an unknown element":         {"", `<AnnotationSection><Info>o</Info><Annotation/><Foo/></AnnotationSection>`, "VirtualSystem vm/AnnotationSection", "<Foo> is not known"},
		"text between":               {"", `<NetworkSection><Info>o</Info>hello</NetworkSection>`, "VirtualSystem vm/NetworkSection", "text where only elements"},
		"start order in the machine": {"", `<StartupSection><Info>o</Info></StartupSection>`, "VirtualSystem vm/StartupSection", "may not stand here"},
	} {
		t.Run(name, func(t *testing.T) {
			text := minimal(c.sections, c.machine)
			if list, ok := strings.CutPrefix(c.sections, "@files"); ok {
				text = strings.Replace(minimal("", ""), "<References/>", "<References>"+list+"</References>", 1)
			}
			all := ovf.Check(parse(t, text))
			for _, f := range all {
				if f.Where == c.where && strings.Contains(f.Text, c.want) {
					return
				}
			}
			t.Errorf("found was %v", all)
		})
	}
}

func TestRulesOfTheWhole(t *testing.T) {
	system := `<VirtualSystem ovf:id="vm"><Info>a machine</Info></VirtualSystem>`
	for name, c := range map[string]struct{ from, to, want string }{
		"no machine":               {system, "", "there is no machine"},
		"two machines":             {system, system + strings.Replace(system, `"vm"`, `"vn"`, 1), "2 machines"},
		"one ID twice":             {system, `<VirtualSystemCollection ovf:id="vm"><Info>c</Info>` + system + `</VirtualSystemCollection>`, `two with the id "vm"`},
		"sections behind":          {system, system + `<NetworkSection><Info>n</Info></NetworkSection>`, "behind what it should precede"},
		"a start of nobody":        {system, `<VirtualSystemCollection ovf:id="c"><Info>c</Info><StartupSection><Info>s</Info><Item ovf:id="x"/></StartupSection>` + system + `</VirtualSystemCollection>`, "a member that the collection does not have"},
		"a start action":           {system, `<VirtualSystemCollection ovf:id="c"><Info>c</Info><StartupSection><Info>s</Info><Item ovf:id="vm" ovf:startAction="hop"/></StartupSection>` + system + `</VirtualSystemCollection>`, `"hop"`},
		"texts of no language":     {system, system + "<Strings/>", "does not say its language"},
		"one text twice":           {system, system + `<Strings xml:lang="de"><Msg ovf:msgid="a"/><Msg ovf:msgid="a"/></Strings>`, `two with the msgid "a"`},
		"texts in a missing file":  {system, system + `<Strings xml:lang="de" ovf:fileRef="f"/>`, `the file "f"`},
		"a second element of text": {"<Info>a machine</Info>", "<Info>a machine</Info><Info>again</Info>", "second <Info>"},
	} {
		found := ovf.Check(parse(t, strings.Replace(minimal("", ""), c.from, c.to, 1)))
		ok := false
		for _, f := range found {
			ok = ok || strings.Contains(f.Text, c.want)
		}
		if !ok {
			t.Errorf("%s: found was %v", name, found)
		}
	}
}

// A hostile descriptor cannot make endless findings.
func TestFindingsAreBounded(t *testing.T) {
	env := parse(t, minimal("", `<VirtualHardwareSection><Info>h</Info>`+strings.Repeat("<Item/>", 5000)+`</VirtualHardwareSection>`))
	if n := len(ovf.Check(env)); n != 1000 {
		t.Errorf("there are %d findings", n)
	}
}
