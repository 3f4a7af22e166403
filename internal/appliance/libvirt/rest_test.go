package libvirt

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
)

const plenty = `<domain type="kvm"><name>web</name><memory unit="MiB">512</memory><vcpu current="1">2</vcpu><cpu mode="host-model"><topology sockets="1" cores="1" threads="2"></topology></cpu>
<os><type arch="x86_64" machine="pc">hvm</type><boot dev="cdrom"></boot><bootmenu enable="yes"></bootmenu></os><cputune></cputune>
<clock offset="utc"></clock><devices><disk type="file" device="disk"><driver name="qemu" type="qcow2" cache="none"></driver><source file="a.qcow2"></source><target dev="vda" bus="virtio"></target><iotune><total_iops_sec>100</total_iops_sec><read_iops_sec>7</read_iops_sec></iotune><boot order="2"></boot></disk>
<disk type="file" device="cdrom"><target dev="hdc" bus="ide"></target><boot order="1"></boot></disk>
<interface type="network"><mac address="52:54:00:00:00:01"></mac><source network="default"></source><model type="virtio"></model></interface>
<serial type="pty"></serial><video><model type="vga"></model></video><tpm model="tpm-tis"><backend type="emulator" version="2.0"></backend></tpm><watchdog model="i6300esb"></watchdog></devices></domain>`

func TestNothingIsDroppedInSilence(t *testing.T) {
	key := func(path string) (string, bool) {
		path = strings.TrimPrefix(strings.TrimPrefix(path, "domain"), "/")
		return path, !strings.HasPrefix(path, "devices/watchdog") && path != "devices/oddThing"
	}
	appliancetest.Told(t, plenty, rules, key, readText)
}

func readText(document string) (*appliance.Appliance, error) {
	return Read(fstest.MapFS{"x.xml": {Data: []byte(document)}, "a.qcow2": {}}, "x.xml")
}

func TestADomainsDrivesAreWorkedWithAsTheyWere(t *testing.T) {
	a, err := readText(plenty)
	if err != nil {
		t.Fatal(err)
	}
	s := a.Machines[0].Spec
	appliancetest.Valid(t, "web", s)
	if order := strings.Join(s.Boot.Order, " "); order != "optical0 disk0 net0" || !s.Boot.Menu {
		t.Errorf("the boot order is %q, menu %v", order, s.Boot.Menu)
	}
	if d := s.Drives[0]; d.Cache != "none" || d.IOPS != 100 || d.ReadIOPS != 0 {
		t.Errorf("the disk is %+v", d)
	}
}
