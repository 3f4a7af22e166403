package machine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
)

// TestLimitsOfControllers is the table of docs/drives.md: the last port of each
// type of controller on each board, and why there is none after it.
func TestLimitsOfControllers(t *testing.T) {
	tests := []struct {
		board  string
		name   string
		ports  int
		reason string
	}{
		{"pc", "ide0", 4, "2 channels of 2 devices"},
		{"q35", "sata0", 30, "5 AHCI adapters of 6"},
		{"q35", "scsi0", 256, "256 targets"},
		{"q35", "lsi0", 15, "16 addresses"},
		{"q35", "buslogic0", 15, "16 addresses"},
		{"q35", "lsisas0", 256, "32 adapters"},
		{"q35", "megasas0", 64, "64 logical drives"},
		{"q35", "pvscsi0", 64, "64 targets"},
		{"q35", "virtio0", 32, "32 have a place"},
		{"pc", "virtio0", 10, "room for 10"},
		{"q35", "nvme0", 255, "255 namespaces"},
		{"q35", "usb0", 8, "8 ports"},
		{"q35", "floppy0", 2, "two drives"},
	}
	for _, test := range tests {
		t.Run(test.board+" "+test.name, func(t *testing.T) {
			at := func(port int) []api.FieldError {
				drive := api.Drive{Name: "d", Controller: test.name, Port: &port, Size: api.GiB}
				if test.name == "floppy0" {
					drive.Kind, drive.Size = api.FloppyDiskette, 0
				}
				return Validate(Complete(api.Spec{Name: "x", MachineType: test.board, Drives: []api.Drive{drive}}, host))
			}
			if wrong := at(test.ports - 1); wrong != nil {
				t.Errorf("the last port is refused: %v", wrong)
			}
			wrong := at(test.ports)
			if len(wrong) != 1 || wrong[0].Field != "drives[0].port" || !strings.Contains(wrong[0].Message, test.reason) {
				t.Errorf("the port after the last: %v, want the reason %q", wrong, test.reason)
			}
		})
	}
}

// TestLimitsAreChecked holds what the limits of drives ask of one another.
func TestLimitsAreChecked(t *testing.T) {
	tests := []struct{ set, where string }{
		{"drives.disk0.iops=500", ""},
		{"drives.disk0.iops=500 drives.disk0.burstIops=900 drives.disk0.burstSeconds=5", ""},
		{"drives.disk0.readIops=500 drives.disk0.writeIops=5 drives.disk0.bandwidth=1M", ""},
		{"drives.disk0.iops=500 drives.disk0.readIops=5", "drives[0].iops"},
		{"drives.disk0.bandwidth=1M drives.disk0.writeBandwidth=1M", "drives[0].bandwidth"},
		{"drives.disk0.iops=-1", "drives[0].iops"},
		{"drives.disk0.burstIops=5", "drives[0].burstIops"},
		{"drives.disk0.iops=5 drives.disk0.burstIops=5", "drives[0].burstIops"},
		{"drives.disk0.burstSeconds=5", "drives[0].burstSeconds"},
		{"drives.disk0.iops=5 drives.disk0.limitGroup=a,b", "drives[0].limitGroup"},
		{"drives.b=new drives.b.size=1M drives.b.limitGroup=g drives.disk0.limitGroup=g", ""},
		{"drives.b=new drives.b.size=1M drives.b.limitGroup=g drives.disk0.limitGroup=g drives.b.iops=5", "drives[1].limitGroup"},
		{"drives.disk0.cache=unsafe drives.disk0.discard=off drives.disk0.ssd=on drives.disk0.detectZeroes=on", ""},
		{"drives.disk0.cache=some", "drives[0].cache"},
		{"drives.disk0.discard=off drives.disk0.detectZeroes=unmap", "drives[0].detectZeroes"},
		{"drives.disk0.controller=virtio0 drives.disk0.ssd=on", "drives[0].ssd"},
		{"controllers.sata0.ioThread=on", "controllers[0].ioThread"},
		{"controllers.sata0.chipset=ich6", "controllers[0].chipset"},
		{"drives.disk0.controller=virtio0 controllers.virtio0.ioThread=on", ""},
	}
	for _, test := range tests {
		spec, wrong := Assign(web(), strings.Fields(test.set))
		if wrong != nil {
			t.Errorf("%s: %v", test.set, wrong)
			continue
		}
		var where []string
		for _, e := range Validate(Complete(spec, host)) {
			where = append(where, e.Field)
		}
		if got := strings.Join(where, " "); got != test.where {
			t.Errorf("%s is wrong in %q, want %q", test.set, got, test.where)
		}
	}
}

// TestWhatIsThereInsteadIsSaid holds that nobody gets other hardware unawares.
func TestWhatIsThereInsteadIsSaid(t *testing.T) {
	for set, want := range map[string]string{
		"drives.disk0.controller=buslogic0": "LSI 53C895A",
		"machine=pc controllers.sata0=none drives.disk0.controller=ide0 controllers.ide0.chipset=piix4": "PIIX3",
		"machine=pc controllers.sata0=none drives.disk0.controller=ide0 controllers.ide0.chipset=piix3": "",
	} {
		spec, wrong := Assign(web(), strings.Fields(set))
		spec = Complete(spec, host)
		wrong = append(wrong, Validate(spec)...)
		hardware := spec.Controllers[len(spec.Controllers)-1].Hardware
		if wrong != nil || !strings.HasPrefix(hardware, want) || (want == "") != (hardware == "") {
			t.Errorf("%s: hardware is %q, %v; want %q", set, hardware, wrong, want)
		}
	}
}

// TestLimitsAloneChangeWhileItRuns holds what a running machine takes.
func TestLimitsAloneChangeWhileItRuns(t *testing.T) {
	before := web()
	for set, allowed := range map[string]bool{
		"drives.disk0.iops=500": true, "drives.disk0.bandwidth=1M drives.disk0.limitGroup=g": true,
		"drives.disk0.cache=none": false, "drives.disk0.serial=x": false, "drives.b=new drives.b.size=1M": false, "drives.disk0=none": false,
	} {
		after, wrong := Assign(before, strings.Fields(set))
		after = Complete(after, host)
		wrong = append(wrong, Immutable(before, after, api.StateRunning)...)
		if (wrong == nil) != allowed {
			t.Errorf("%s on a running machine: %v", set, wrong)
		}
		if saved := Immutable(before, after, api.StateSaved); saved == nil {
			t.Errorf("%s is taken of a saved machine", set)
		}
	}
}

// TestPlacesForWhatComesWhileItRuns holds where drives go, and why some cannot.
func TestPlacesForWhatComesWhileItRuns(t *testing.T) {
	spec := func(set ...string) api.Spec {
		s, wrong := Assign(web(), set)
		if wrong != nil {
			t.Fatal(wrong)
		}
		return Complete(s, host)
	}
	tests := []struct {
		on    api.Spec
		drive api.Drive
		want  string
	}{
		{spec(), api.Drive{Kind: api.Disk}, "virtio0 0"},
		{spec(), api.Drive{Kind: api.Disk, Controller: "sata0"}, "sata0 -"},
		{spec(), api.Drive{Kind: api.Optical}, " -"},
		{spec("controllers.scsi0=new", "controllers.scsi0.type=virtio-scsi"), api.Drive{Kind: api.Optical}, "scsi0 0"},
		{spec("controllers.lsi0=new", "controllers.lsi0.type=lsilogic"), api.Drive{Kind: api.Disk}, "lsi0 0"},
	}
	for _, test := range tests {
		placed := PlaceHot(test.on, test.drive)
		port := "-"
		if placed.Port != nil {
			port = fmt.Sprint(*placed.Port)
		}
		if got := placed.Controller + " " + port; got != test.want {
			t.Errorf("a %s on %q is placed at %q, want %q", test.drive.Kind, test.drive.Controller, got, test.want)
		}
	}
	seven, eight := 7, 8
	full := spec("drives.disk0.controller=virtio0")
	if reason := HotPlug(full, api.Drive{Controller: "virtio0", Port: &seven}); reason != "" {
		t.Errorf("virtio-blk port 7: %s", reason)
	}
	if reason := HotPlug(full, api.Drive{Controller: "virtio0", Port: &eight}); !strings.Contains(reason, "ports 0 to 7") {
		t.Errorf("virtio-blk port 8: %q", reason)
	}
	if reason := HotPlug(spec(), spec().Drives[0]); !strings.Contains(reason, "AHCI") {
		t.Errorf("SATA: %q", reason)
	}
}
