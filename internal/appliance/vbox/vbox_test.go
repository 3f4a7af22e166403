package vbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/internal/appliance/vbox"
)

func TestCorpus(t *testing.T) {
	appliancetest.Corpus(t, "vbox", ".vbox", "testdata/corpus.golden", appliancetest.Summary, func(path string) (*appliance.Appliance, error) {
		return vbox.Read(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	})
}

// small is a machine of VirtualBox 7, with two snapshots in a row of which the
// second is a branch that was left.
const small = `<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
 <Machine uuid="{1e5a4d3c-0000-4000-8000-000000000001}" name="web" OSType="Debian_64" currentSnapshot="{00000000-0000-4000-8000-00000000000a}" snapshotFolder="Snapshots">
  <Description>a web server</Description>
  <MediaRegistry>
   <HardDisks>
    <HardDisk uuid="{d1}" location="web.vdi" format="VDI" type="Normal">
     <HardDisk uuid="{d2}" location="Snapshots/{d2}.vdi" format="VDI">
      <HardDisk uuid="{d3}" location="Snapshots/{d3}.vdi" format="VDI"/>
     </HardDisk>
    </HardDisk>
    <HardDisk uuid="{e1}" location="/other/data.vmdk" format="VMDK" type="Immutable"/>
   </HardDisks>
   <DVDImages><Image uuid="{f1}" location="/isos/netinst.iso"/></DVDImages>
  </MediaRegistry>
  <Snapshot uuid="{00000000-0000-4000-8000-00000000000a}" name="fresh" timeStamp="2024-02-29T12:00:00Z" stateFile="Snapshots/x.sav">
   <Description>after the installation</Description>
   <Hardware><CPU count="1"/><Memory RAMSize="512"/>
    <StorageControllers><StorageController name="SATA" type="AHCI"><AttachedDevice type="HardDisk" port="0" device="0"><Image uuid="{d1}"/></AttachedDevice></StorageController></StorageControllers>
   </Hardware>
   <Snapshots>
    <Snapshot uuid="{00000000-0000-4000-8000-00000000000b}" name="left" timeStamp="2024-03-01T12:00:00Z">
     <Hardware><CPU count="1"/><Memory RAMSize="512"/>
      <StorageControllers><StorageController name="SATA" type="AHCI"><AttachedDevice type="HardDisk" port="0" device="0"><Image uuid="{d2}"/></AttachedDevice></StorageController></StorageControllers>
     </Hardware>
    </Snapshot>
   </Snapshots>
  </Snapshot>
  <Hardware>
   <CPU count="2" executionCap="50"/><Memory RAMSize="1024"/>
   <Firmware type="EFI"/><Chipset type="ICH9"/>
   <TrustedPlatformModule type="v2_0"/>
   <Network>
    <Adapter slot="0" enabled="true" MACAddress="080027010203" type="82540EM">
     <DisabledModes><InternalNetwork name="intnet"/></DisabledModes>
     <NAT><Forwarding name="ssh" proto="1" hostip="127.0.0.1" hostport="2222" guestport="22"/></NAT>
    </Adapter>
    <Adapter slot="1" enabled="true" MACAddress="080027010204" type="virtio" cable="false"><HostOnlyInterface name="vboxnet0"/></Adapter>
    <Adapter slot="2" enabled="false" MACAddress="080027010205"/>
   </Network>
   <UART><Port slot="0" enabled="true" hostMode="HostPipe" path="/tmp/x"/></UART>
   <AudioAdapter enabled="true"/>
   <RTC localOrUTC="UTC"/>
   <StorageControllers>
    <StorageController name="SATA" type="AHCI" PortCount="30">
     <AttachedDevice type="HardDisk" port="0" device="0"><Image uuid="{d3}"/></AttachedDevice>
     <AttachedDevice type="HardDisk" port="29" device="0"><Image uuid="{e1}"/></AttachedDevice>
    </StorageController>
    <StorageController name="IDE" type="PIIX4"><AttachedDevice type="DVD" port="1" device="0"><Image uuid="{f1}"/></AttachedDevice></StorageController>
   </StorageControllers>
  </Hardware>
 </Machine>
</VirtualBox>`

func TestAMachineWithSnapshots(t *testing.T) {
	files := fstest.MapFS{"web.vbox": {Data: []byte(small)}, "web.vdi": {}, "Snapshots/{d2}.vdi": {}, "Snapshots/{d3}.vdi": {}}
	a, err := vbox.Read(files, "web.vbox")
	if err != nil {
		t.Fatal(err)
	}
	m := a.Machines[0]
	appliancetest.Valid(t, "web.vbox", m.Spec)
	appliancetest.Golden(t, "testdata/small.golden", appliancetest.Summary(a))
	if diff := cmp.Diff([]string{"Snapshots/{d2}.vdi", "web.vdi"}, m.Disks[0].Parents); diff != "" {
		t.Errorf("the disk stands on others:\n%s", diff)
	}
	if f := m.Spec.Adapters[0].Forwards; len(f) != 1 || f[0].HostPort != 2222 || f[0].Protocol != "tcp" {
		t.Errorf("forwards %v", f)
	}
	if s := m.Snapshots[0]; s.Disks[0].File != "web.vdi" || s.Memory == "" || s.Description != "after the installation" || s.Spec.CPU.Count != 1 {
		t.Errorf("the first snapshot is %+v", s)
	}
}

func TestWhatIsNoMachineIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"another text":    {"hello", "it holds no XML"},
		"another XML":     {"<html></html>", "expected element type <VirtualBox>"},
		"global settings": {`<VirtualBox version="1.12-linux"><Global/></VirtualBox>`, "holds no machine"},
		"entities":        {`<!DOCTYPE x [<!ENTITY a "b">]><VirtualBox><Machine name="&a;"/></VirtualBox>`, "document type"},
		"a controller":    {`<VirtualBox><Machine name="x"><StorageControllers><StorageController name="A" type="quantum"/></StorageControllers></Machine></VirtualBox>`, `type "quantum", which is unknown`},
		"no hardware":     {`<VirtualBox><Machine name="x"><Hardware><Memory RAMSize="-5"/></Hardware></Machine></VirtualBox>`, "are no hardware"},
		"twins": {
			`<VirtualBox><Machine name="x"><Snapshot uuid="{1}"><Snapshots><Snapshot uuid="{1}"/></Snapshots></Snapshot></Machine></VirtualBox>`,
			"which another has",
		},
		"deep disks": {`<VirtualBox><Machine name="x"><MediaRegistry><HardDisks>` + strings.Repeat(`<HardDisk uuid="{1}">`, 3000) + strings.Repeat(`</HardDisk>`, 3000) +
			`</HardDisks></MediaRegistry></Machine></VirtualBox>`, "deeper than there can be"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := vbox.Read(fstest.MapFS{"web.vbox": {Data: []byte(c.text)}}, "web.vbox")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(small)
	for _, text := range disktest.Seeds("vbox", ".vbox") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := vbox.Read(fstest.MapFS{"web.vbox": {Data: []byte(text)}, "web.vdi": {}}, "web.vbox")
		if err != nil {
			return
		}
		for _, m := range a.Machines {
			for _, d := range m.Disks {
				if d.File != "web.vdi" && strings.Contains(d.File, "/") {
					t.Errorf("a disk leads out: %q", d.File)
				}
			}
		}
	})
}
