package vmx_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/appliancetest"
	"github.com/panalvm/panal/internal/appliance/vmx"
)

func TestCorpus(t *testing.T) {
	appliancetest.Corpus(t, "vmx", ".vmx", "testdata/corpus.golden", appliancetest.Summary, func(path string) (*appliance.Appliance, error) {
		return vmx.Read(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	})
}

// files makes a folder of text files.
func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

const small = `.encoding = "windows-1252"
config.version = "8"
virtualHW.version = "17"
displayName = "B|fcro"
annotation = "two|0Alines"
guestOS = "windows2019srv-64"
numvcpus = "4"
cpuid.coresPerSocket = "2"
memsize = "2048"
scsi0.present = "TRUE"
scsi0.virtualDev = "lsisas1068"
SCSI0:0.present = "TRUE"
scsi0:0.fileName = "web-000001.vmdk"
scsi0:8.present = "TRUE"
scsi0:8.fileName = "C:\VMs\web\second.vmdk"
ide1:0.present = "TRUE"
ide1:0.deviceType = "cdrom-image"
ide1:0.fileName = "/isos/setup.iso"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "LAN"
ethernet0.generatedAddress = "00:0C:29:01:02:03"
sound.present = "TRUE"
`

const tree = `.encoding = "UTF-8"
snapshot.lastUID = "3"
snapshot.current = "3"
snapshot.numSnapshots = "2"
snapshot0.uid = "3"
snapshot0.parent = "1"
snapshot0.displayName = "after"
snapshot0.createTimeHigh = "373000"
snapshot0.createTimeLow = "-12345"
snapshot0.numDisks = "1"
snapshot0.disk0.fileName = "web-000002.vmdk"
snapshot0.disk0.node = "scsi0:0"
snapshot1.uid = "1"
snapshot1.displayName = "before"
snapshot1.type = "1"
snapshot1.filename = "web-Snapshot1.vmsn"
snapshot1.numDisks = "2"
snapshot1.disk0.fileName = "web.vmdk"
snapshot1.disk0.node = "scsi0:0"
snapshot1.disk1.fileName = "gone.vmdk"
snapshot1.disk1.node = "scsi3:0"
`

func TestAMachineWithSnapshots(t *testing.T) {
	a, err := vmx.Read(files("vms/web.vmx", small, "vms/web.vmsd", tree, "vms/web.vmdk", "", "vms/web-000001.vmdk", "", "vms/web-000002.vmdk", "", "vms/second.vmdk", ""), "vms/web.vmx")
	if err != nil {
		t.Fatal(err)
	}
	appliancetest.Valid(t, "web.vmx", a.Machines[0].Spec)
	appliancetest.Golden(t, "testdata/small.golden", appliancetest.Summary(a))
	m := a.Machines[0]
	if m.Spec.Description != "two\nlines" || m.Spec.RTC.Base != "localtime" {
		t.Errorf("description %q, clock %q", m.Spec.Description, m.Spec.RTC.Base)
	}
	if m.Snapshots[0].Memory != "web-Snapshot1.vmem" {
		t.Errorf("memory %q", m.Snapshots[0].Memory)
	}
}

func TestWhatIsNoMachineIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ vmx, vmsd, want string }{
		"another text":        {"hello", "", `line 1 is no key = "value"`},
		"no machine":          {`a = "b"`, "", "no configuration of VMware's"},
		"no number":           {`displayName = "x"` + "\n" + `memsize = "much"`, "", `memsize is "much", which is no number`},
		"no memory":           {`displayName = "x"` + "\n" + `memsize = "0"`, "", "are no hardware"},
		"an unknown encoding": {`.encoding = "klingon"` + "\n" + `displayName = "x"`, "", `the encoding "klingon"`},
		"a circle":            {small, "snapshot.numSnapshots = \"2\"\nsnapshot0.uid = \"1\"\nsnapshot0.parent = \"2\"\nsnapshot1.uid = \"2\"\nsnapshot1.parent = \"1\"", "in a circle"},
		"a missing parent":    {small, "snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"1\"\nsnapshot0.parent = \"2\"", "no such snapshot"},
		"endless snapshots":   {small, "snapshot.numSnapshots = \"99999999\"", "more than there can be"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := vmx.Read(files("web.vmx", c.vmx, "web.vmsd", c.vmsd), "web.vmx")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(small, tree)
	for _, text := range disktest.Seeds("vmx", ".vmx") {
		f.Add(text, tree)
	}
	f.Add("displayName = \"|\"\nscsi0:0.present=\"true\"\nscsi0:0.fileName=\"../../etc/passwd\"", "")
	f.Fuzz(func(t *testing.T, config, tree string) {
		a, err := vmx.Read(files("web.vmx", config, "web.vmsd", tree), "web.vmx")
		if err != nil {
			return
		}
		for _, m := range a.Machines {
			for _, d := range m.Disks {
				if strings.Contains(d.File, "..") && strings.Contains(d.File, "/") {
					t.Errorf("a disk leads out: %q", d.File)
				}
			}
		}
	})
}
