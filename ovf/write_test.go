package ovf_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/panalvm/panal/ovf"
)

func number(n int64) *int64 { return &n }

// full has a section of each kind that a version has.
func full(version ovf.Version) *ovf.Envelope {
	head := func(info string) ovf.Head { return ovf.Head{Info: ovf.Plain(info)} }
	machine := &ovf.VirtualSystem{ID: "web", Info: ovf.Plain("a machine"), Title: ovf.Text{Value: "Web", MsgID: "web.name"}, Sections: []ovf.Section{
		&ovf.OperatingSystemSection{Head: head("system"), ID: number(96), Version: "12", Description: ovf.Plain("Debian")},
		&ovf.InstallSection{Head: head("install")},
		&ovf.VirtualHardwareSection{
			Head: ovf.Head{Info: ovf.Plain("hardware"), Extra: []ovf.Element{ovf.NewConfig("firmware", "efi")}}, ID: "h", Transport: []string{"iso", "com.vmware.guestInfo"},
			System: &ovf.SystemSetting{ElementName: ovf.Plain("family"), InstanceID: "0", Identifier: "web", Type: "vmx-13 qemu", ConfigurationID: "1", Notes: []ovf.Text{ovf.Plain("n")}},
			Items: []ovf.Item{
				{InstanceID: "1", ElementName: ovf.Plain("2 processors"), ResourceType: ovf.Processor, VirtualQuantity: "2", AllocationUnits: "hertz * 10^6", Reservation: "500", Limit: "2000", Weight: "1000"},
				{InstanceID: "2", ElementName: ovf.Plain("memory"), ResourceType: ovf.Memory, VirtualQuantity: "512", AllocationUnits: "byte * 2^20"},
				{InstanceID: "2", ElementName: ovf.Plain("memory"), ResourceType: ovf.Memory, VirtualQuantity: "1024", AllocationUnits: "byte * 2^20", Configurations: []string{"big"}, Bound: "max"},
				{InstanceID: "3", ElementName: ovf.Plain("SCSI"), ResourceType: ovf.ParallelSCSI, ResourceSubType: "VirtualSCSI", Address: "0", Optional: true},
				{InstanceID: "4", ElementName: ovf.Plain("disk"), ResourceType: ovf.DiskDrive, Parent: "3", AddressOnParent: "0", HostResources: []ovf.Text{ovf.Plain("ovf:/disk/disk1")}},
				{InstanceID: "5", ElementName: ovf.Plain("adapter"), ResourceType: ovf.EthernetAdapter, AutomaticAllocation: "true", Connections: []ovf.Text{ovf.Plain("lan")}, ResourceSubType: "E1000"},
			},
		},
		&ovf.ProductSection{
			Head: head("product"), Class: "org.example", Instance: "1", Product: ovf.Plain("Web"), Vendor: ovf.Plain("Acme"), Version: ovf.Plain("1"), FullVersion: ovf.Plain("1.0"),
			ProductURL: ovf.Plain("http://example.org"), VendorURL: ovf.Plain("http://example.org"), AppURL: ovf.Plain("http://${ip}"), Icons: []ovf.Icon{{Height: 1, Width: 1, MimeType: "image/png", FileRef: "file2"}},
			Properties: []ovf.Property{
				{Key: "first", Type: "string"},
				{
					Category: ovf.Plain("Network"), Key: "ip", Type: "string", Qualifiers: "MinLen(1)", UserConfigurable: true, Default: "10.0.0.1", Label: ovf.Plain("Address"), Description: ovf.Plain("d"),
					Values: []ovf.PropertyValue{{Value: "10.0.0.2", Configuration: "big"}},
				},
				{Category: ovf.Plain("Network"), Key: "secret", Type: "string", Password: true, UserConfigurable: true},
				{Category: ovf.Plain("Other"), Key: "n", Type: "uint8", Default: "7"},
			},
		},
		&ovf.EulaSection{Head: head("licence"), License: ovf.Plain("Line 1\n<Line> 2 & \"more\"\n")},
		&ovf.AnnotationSection{Head: head("note"), Annotation: ovf.Plain("text")},
	}}
	env := &ovf.Envelope{
		Lang:  "en-GB",
		Files: []ovf.File{{ID: "file1", Href: "disk1.vmdk", Size: number(3), Compression: "gzip", ChunkSize: number(2)}, {ID: "file2", Href: "icon.png"}, {ID: "file3", Href: "shared.img"}},
		Sections: []ovf.Section{
			&ovf.DiskSection{Head: head("disks"), Disks: []ovf.Disk{
				{ID: "disk1", FileRef: "file1", Capacity: "8", Units: "byte * 2^30", Format: "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized", PopulatedSize: number(1000)},
				{ID: "disk2", Capacity: "8589934592", ParentRef: "disk1"},
			}},
			&ovf.NetworkSection{Head: head("networks"), Networks: []ovf.Network{{ID: "lan", Descriptions: []ovf.Text{ovf.Plain("the LAN")}}}},
			&ovf.DeploymentOptionSection{Head: head("options"), Configurations: []ovf.Configuration{{ID: "small", Label: ovf.Plain("S"), Description: ovf.Plain("s"), Default: true}, {ID: "big", Label: ovf.Plain("B"), Description: ovf.Plain("b")}}},
		},
		Content: []ovf.Content{&ovf.Collection{
			ID: "all", Info: ovf.Plain("machines"), Title: ovf.Plain("All"),
			Sections: []ovf.Section{
				&ovf.StartupSection{Head: head("order"), Items: []ovf.StartupItem{{ID: "web", Order: 1, StartDelay: 5, WaitingForGuest: true, StopDelay: 6, StartAction: "powerOn", StopAction: "guestShutdown"}, {ID: "inner"}}},
				&ovf.ResourceAllocationSection{Head: head("resources"), Items: []ovf.Item{{InstanceID: "1", ElementName: ovf.Plain("CPU"), ResourceType: ovf.Processor, AllocationUnits: "hertz * 10^6", Reservation: "500"}}},
			},
			Content: []ovf.Content{machine, &ovf.Collection{ID: "inner", Info: ovf.Plain("none")}},
		}},
		Strings: []ovf.Strings{{Lang: "de-DE", Messages: []ovf.Text{{MsgID: "web.name", Value: "Netz"}}}},
	}
	if version >= ovf.Version20 {
		addVersion2(env, machine, head)
	}
	return env
}

// addVersion2 adds what OVF 2 brought.
func addVersion2(env *ovf.Envelope, machine *ovf.VirtualSystem, head func(string) ovf.Head) {
	env.Sections = append(env.Sections,
		&ovf.SharedDiskSection{Head: head("shared"), Disks: []ovf.Disk{{ID: "disk3", FileRef: "file3", Capacity: "1024", Format: "http://example.org/raw", ReadOnly: true}}},
		&ovf.PlacementGroupSection{Head: head("group"), ID: "group", Policy: "availability", Description: ovf.Plain("d")})
	networks := ovf.First[*ovf.NetworkSection](env.Sections).Networks
	networks[0].Profiles = []ovf.PortProfile{{Items: []ovf.Item{{InstanceID: "1", ElementName: ovf.Plain("port"), ResourceType: ovf.EthernetSwitchPort}}}}
	networks[0].ProfileURIs = []ovf.Text{ovf.Plain("http://example.org/profile.xml")}
	hardware := ovf.First[*ovf.VirtualHardwareSection](machine.Sections)
	hardware.System.SoID = "s" // CIM 2.29
	hardware.Items = append(hardware.Items,
		ovf.Item{Kind: ovf.EthernetPortItem, InstanceID: "6", ElementName: ovf.Plain("port"), ResourceType: ovf.EthernetAdapter, Address: "52:54:00:00:00:01", Connections: []ovf.Text{ovf.Plain("lan")}, DefaultPriority: "1", AllowedToReceiveVLANs: []ovf.Text{ovf.Plain("7"), ovf.Plain("8")}, GroupID: "1", VSITypeID: "1", VirtualQuantity: "1"},
		ovf.Item{Kind: ovf.StorageItem, InstanceID: "7", ElementName: ovf.Plain("storage"), ResourceType: ovf.LogicalDisk, Access: "1", HostResources: []ovf.Text{ovf.Plain("ovf:/disk/disk3")}, VirtualResourceBlockSize: "512"})
	machine.Sections = append(machine.Sections,
		&ovf.BootDeviceSection{Head: head("boot"), Orders: []ovf.BootOrder{{
			Caption: ovf.Plain("c"), Description: ovf.Plain("d"), ElementName: ovf.Plain("e"), InstanceID: "1",
			Sources: []ovf.BootSource{{Caption: ovf.Plain("disk"), InstanceID: "4", StructuredBootString: "CIM:Hard-Disk:1"}},
		}}},
		&ovf.EnvironmentFilesSection{Head: head("files"), Transport: []string{"iso"}, Files: []ovf.EnvironmentFile{{FileRef: "file2", Path: "etc/x"}}},
		&ovf.ScaleOutSection{Head: head("scale"), ID: "s", Description: ovf.Plain("d"), Counts: []ovf.InstanceCount{{Default: "2", Minimum: "1", Maximum: "3"}, {Default: "4", Configuration: "big"}}},
		&ovf.PlacementSection{Head: head("place"), Group: "group"})
}

// TestAllIsWritten writes all that the model has, and compares the text with
// one that was validated against DMTF's schemas.
func TestAllIsWritten(t *testing.T) {
	for version, name := range map[ovf.Version]string{ovf.Version10: "1.0", ovf.Version11: "1.1", ovf.Version20: "2.0", ovf.Version21: "2.1"} {
		t.Run(name, func(t *testing.T) {
			env := full(version)
			var b bytes.Buffer
			if err := ovf.Write(&b, env, version); err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/full-"+name+".ovf", b.String())
			env.Version = version
			if diff := roundTrip(env); diff != "" {
				t.Error(diff)
			}
			again, err := ovf.Parse(&b)
			if err != nil || again.Version != version {
				t.Fatalf("it is of version %s, %v", again.Version, err)
			}
			for _, f := range ovf.Check(again) {
				if f.Severity > ovf.Note {
					t.Error(f)
				}
			}
		})
	}
}

func TestWhatAVersionDoesNotHave(t *testing.T) {
	var b bytes.Buffer
	if err := ovf.Write(&b, full(ovf.Version20), ovf.Version11); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "EthernetPortItem") {
		t.Errorf("items of version 2 in 1.1: %v", err)
	}
	env := simple()
	env.Sections = []ovf.Section{&ovf.PlacementGroupSection{ID: "g", Policy: "affinity"}}
	if err := ovf.Write(&b, env, ovf.Version11); err != nil || !strings.Contains(b.String(), "<ovf2:PlacementGroupSection") {
		t.Errorf("a section of version 2 in 1.1: %v\n%s", err, &b)
	}
	for _, version := range []ovf.Version{ovf.VersionUnknown, ovf.Version09, 99} {
		if err := ovf.Write(io.Discard, simple(), version); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

func TestWhatXMLCannotHold(t *testing.T) {
	env := simple()
	env.Files[0].Href = "a\x01b"
	if err := ovf.Write(io.Discard, env, ovf.Version11); err == nil || !strings.Contains(err.Error(), "U+0001") {
		t.Error(err)
	}
	env = simple()
	env.Files[0].Attrs = []xml.Attr{{Name: xml.Name{Space: ovf.NSEnvelope, Local: "id"}}}
	if err := ovf.Write(io.Discard, env, ovf.Version11); err == nil {
		t.Error("two attributes of one name are written")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	if err := ovf.Write(full, simple(), ovf.Version11); err == nil {
		t.Error("a full disk goes unnoticed")
	}
}

// TestPrefixes are those that people know namespaces by.
func TestPrefixes(t *testing.T) {
	env := parse(t, minimal("", `<a:Machine xmlns:a="`+ovf.NSPanal+`"/><b:Notes xmlns:b="http://example.org/notes"/>`))
	var text strings.Builder
	if err := ovf.Write(&text, env, ovf.Version11); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`xmlns:panal="http://www.panalvm.org/ovf/machine"`, "<panal:Machine", `xmlns:ns1="http://example.org/notes"`} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("%s is not in %s", part, text.String())
		}
	}
}
