package pvs_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/internal/appliance/pvs"
)

const small = `<?xml version="1.0" encoding="UTF-8"?>
<ParallelsVirtualMachine schemaVersion="1.0"><AppVersion>18.0.0-53049</AppVersion>
<Identification><VmUuid>{1E5A4D3C-0000-4000-8000-000000000001}</VmUuid><VmName>web</VmName></Identification>
<Settings><General><VmDescription>a web server</VmDescription></General><Startup><Bios><EfiEnabled>1</EfiEnabled></Bios></Startup></Settings>
<Hardware><Cpu><Number>2</Number></Cpu><Memory><RAM>2048</RAM></Memory>
<Hdd><Enabled>1</Enabled><Connected>1</Connected><EmulatedType>1</EmulatedType><SystemName>/Users/me/web.pvm/web.hdd</SystemName><InterfaceType>2</InterfaceType><StackIndex>0</StackIndex><Size>65536</Size></Hdd>
<Hdd><Enabled>1</Enabled><Connected>1</Connected><EmulatedType>3</EmulatedType><SystemName>/dev/disk2</SystemName><InterfaceType>2</InterfaceType><StackIndex>1</StackIndex></Hdd>
<CdRom><Enabled>1</Enabled><Connected>1</Connected><EmulatedType>1</EmulatedType><SystemName>prl-tools.iso</SystemName><InterfaceType>2</InterfaceType><StackIndex>2</StackIndex></CdRom>
<NetworkAdapter><Enabled>1</Enabled><Connected>1</Connected><EmulatedType>1</EmulatedType><MAC>001C42010203</MAC><AdapterType>3</AdapterType></NetworkAdapter>
<Serial><Enabled>1</Enabled></Serial><Sound><Enabled>1</Enabled></Sound><Parallel><Enabled>0</Enabled></Parallel>
</Hardware></ParallelsVirtualMachine>`

const tree = `<?xml version="1.0" encoding="UTF-8"?>
<ParallelsSavedStates schemaVersion="1.0"><SavedStateItem guid=""><SavedStateItem guid="{a1}"><Name>fresh</Name><CreationDate>2024-02-29 12:00:00</CreationDate><Description>new</Description>
<SavedStateItem guid="{b2}" current="yes"><Name>later</Name></SavedStateItem></SavedStateItem></SavedStateItem></ParallelsSavedStates>`

func TestAMachineWithSnapshots(t *testing.T) {
	a, err := pvs.Read(fstest.MapFS{"config.pvs": {Data: []byte(small)}, "Snapshots.xml": {Data: []byte(tree)}, "web.hdd/DiskDescriptor.xml": {}}, "config.pvs")
	if err != nil {
		t.Fatal(err)
	}
	appliancetest.Valid(t, "web", a.Machines[0].Spec)
	appliancetest.Golden(t, "testdata/small.golden", appliancetest.Summary(a))
	if s := a.Machines[0].Snapshots; len(s) != 2 || s[1].Disks[0].Snapshot != "{b2}" || s[1].Parent != "{a1}" {
		t.Errorf("snapshots %+v", s)
	}
}

func TestADiskThatCameAfterASnapshotIsNotInItsHardware(t *testing.T) {
	a, err := pvs.Read(fstest.MapFS{
		"config.pvs": {Data: []byte(small)}, "Snapshots.xml": {Data: []byte(tree)},
		"web.hdd/DiskDescriptor.xml": {Data: []byte("<Snapshots><Shot><GUID>{B2}</GUID></Shot></Snapshots>")},
	}, "config.pvs")
	if err != nil {
		t.Fatal(err)
	}
	first, second := a.Machines[0].Snapshots[0], a.Machines[0].Snapshots[1]
	if len(first.Disks) != 0 || len(first.Spec.Drives) != len(second.Spec.Drives)-1 {
		t.Errorf("the first snapshot has the disks %+v and the drives %+v", first.Disks, first.Spec.Drives)
	}
	if len(second.Disks) != 1 || second.Disks[0].Snapshot != "{b2}" {
		t.Errorf("the second snapshot has the disks %+v", second.Disks)
	}
}

// What a description does not say of a device makes it neither the host's nor unplugged.
func TestDevicesAreConnectedUnlessTheyAreNot(t *testing.T) {
	brief := strings.NewReplacer("<Connected>1</Connected>", "", "<EmulatedType>1</EmulatedType>", "").Replace(small)
	a, err := pvs.Read(fstest.MapFS{"config.pvs": {Data: []byte(brief)}, "web.hdd/DiskDescriptor.xml": {}}, "config.pvs")
	if err != nil {
		t.Fatal(err)
	}
	if m := a.Machines[0]; len(m.Disks) == 0 || m.Disks[0].File != "web.hdd" || m.Spec.Adapters[0].Network != "user" {
		t.Errorf("disks %+v, adapters %+v", m.Disks, m.Spec.Adapters)
	}
}

func TestWhatIsNoMachineIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ config, tree, want string }{
		"another XML": {"<VirtualBox/>", "", "expected element type <ParallelsVirtualMachine>"},
		"no hardware": {`<ParallelsVirtualMachine><Hardware><Cpu><Number>99999</Number></Cpu></Hardware></ParallelsVirtualMachine>`, "", "are no hardware"},
		"twins":       {small, `<a><SavedStateItem guid="1"/><SavedStateItem guid="1"/></a>`, "which another has"},
		"deep trees":  {small, "<a>" + strings.Repeat(`<SavedStateItem guid="">`, 3000) + strings.Repeat("</SavedStateItem>", 3000) + "</a>", "deeper than there can be"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{"config.pvs": {Data: []byte(c.config)}}
			if c.tree != "" {
				files["Snapshots.xml"] = &fstest.MapFile{Data: []byte(c.tree)}
			}
			_, err := pvs.Read(files, "config.pvs")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(small, tree)
	f.Fuzz(func(_ *testing.T, config, tree string) {
		_, _ = pvs.Read(fstest.MapFS{"config.pvs": {Data: []byte(config)}, "Snapshots.xml": {Data: []byte(tree)}}, "config.pvs")
	})
}
