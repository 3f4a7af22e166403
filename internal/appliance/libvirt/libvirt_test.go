package libvirt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/internal/appliance/libvirt"
)

func TestCorpus(t *testing.T) {
	appliancetest.Corpus(t, "libvirt", ".xml", "testdata/corpus.golden", appliancetest.Brief, func(path string) (*appliance.Appliance, error) {
		return libvirt.Read(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	})
}

const small = `<domain type="kvm">
 <name>web</name><uuid>1e5a4d3c-0000-4000-8000-000000000001</uuid>
 <memory unit="GiB">2</memory><vcpu current="2">4</vcpu>
 <metadata><libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0"><libosinfo:os id="http://microsoft.com/win/11"/></libosinfo:libosinfo></metadata>
 <os firmware="efi"><type arch="x86_64" machine="pc-q35-7.2">hvm</type><firmware><feature enabled="yes" name="secure-boot"/></firmware></os>
 <clock offset="localtime"/>
 <devices>
  <disk type="file" device="disk"><driver type="qcow2"/><source file="/var/lib/libvirt/images/web.qcow2"/><target dev="vda" bus="virtio"/><serial>S1</serial></disk>
  <disk type="file" device="disk"><source file="/srv/other.img"/><target dev="sdb" bus="scsi"/><address type="drive" controller="0" target="3" unit="0"/></disk>
  <disk type="network" device="disk"><source protocol="rbd" name="pool/image"/><target dev="vdc" bus="virtio"/></disk>
  <disk type="file" device="cdrom"><target dev="sda" bus="sata"/></disk>
  <controller type="scsi" index="0" model="virtio-scsi"/>
  <interface type="network"><mac address="52:54:00:01:02:03"/><source network="default"/><model type="virtio"/></interface>
  <interface type="hostdev"><mac address="52:54:00:01:02:04"/></interface>
  <serial type="pty"/><console type="pty"><target type="serial"/></console>
  <tpm model="tpm-crb"><backend type="emulator" version="2.0"/></tpm>
  <sound model="ich9"/><hostdev mode="subsystem" type="pci"/>
 </devices>
</domain>`

func TestADomain(t *testing.T) {
	a, err := libvirt.Read(fstest.MapFS{"web.xml": {Data: []byte(small)}, "web.qcow2": {}}, "web.xml")
	if err != nil {
		t.Fatal(err)
	}
	appliancetest.Valid(t, "web.xml", a.Machines[0].Spec)
	appliancetest.Golden(t, "testdata/small.golden", appliancetest.Summary(a))
}

func TestWhatIsNoMachineIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"another XML":          {"<network/>", "expected element type <domain>"},
		"another architecture": {`<domain><os><type arch="s390x">hvm</type></os></domain>`, "its architecture is s390x"},
		"a container":          {`<domain type="lxc"><os><type>exe</type></os></domain>`, "is a container"},
		"no CPUs":              {`<domain><vcpu>none</vcpu></domain>`, `"none" is no number of CPUs`},
		"too much memory":      {`<domain><memory unit="TiB">99999999999</memory></domain>`, "are no hardware"},
		"memory of nothing":    {`<domain><memory unit="apples">5</memory></domain>`, "no amount of memory"},
		"an unknown device":    {`<domain><devices><disk device="tape"><target dev="sda"/></disk></devices></domain>`, `is a "tape", which is unknown`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := libvirt.Read(fstest.MapFS{"web.xml": {Data: []byte(c.text)}}, "web.xml")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(small)
	for _, text := range disktest.Seeds("libvirt", ".xml") {
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = libvirt.Read(fstest.MapFS{"web.xml": {Data: []byte(text)}}, "web.xml")
	})
}
