package adapt_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance/adapt"
	"github.com/panalvm/panal/internal/machine"
)

// imported is a machine as an import describes one: two disks and an optical
// drive on a controller, two adapters.
func imported(disks api.ControllerType, model api.AdapterModel) api.Spec {
	one, two, three := 0, 1, 2
	return api.Spec{
		Name: "web", Architecture: api.X8664, MachineType: "q35", Firmware: api.Firmware{Type: api.UEFI, SecureBoot: true},
		Controllers: []api.Controller{{Name: "old0", Type: disks}, {Name: "sata0", Type: api.SATA}},
		Drives: []api.Drive{
			{Name: "disk0", Kind: api.Disk, Controller: "old0", Port: &one, Size: api.GiB},
			{Name: "disk1", Kind: api.Disk, Controller: "old0", Port: &two, Size: api.GiB},
			{Name: "optical0", Kind: api.Optical, Controller: "sata0", Port: &three},
		},
		Adapters: []api.Adapter{{Name: "net0", Model: model, MAC: "00:50:56:01:02:03", Network: "user"}, {Name: "net1", Model: model, MAC: "00:50:56:01:02:04", Network: "user"}},
		Serials:  []api.Serial{},
	}
}

// places are the types of controllers that the disks are on, and the models of adapters.
func places(spec api.Spec) string {
	types := map[string]string{}
	for _, c := range spec.Controllers {
		types[c.Name] = string(c.Type)
	}
	var out []string
	for _, d := range spec.Drives {
		if d.Kind == api.Disk {
			out = append(out, types[d.Controller])
		}
	}
	return strings.Join(append(out, string(spec.Adapters[0].Model)), " ")
}

func TestSystemsDecide(t *testing.T) {
	for _, c := range []struct {
		system string
		disks  api.ControllerType
		model  api.AdapterModel
		want   string // where the disks are, and the first adapter
	}{
		{"debian10_64Guest", api.PVSCSI, api.AdapterVMXNet3, "virtio-scsi virtio-scsi virtio"},
		{"Debian_64", api.LSILogic, api.AdapterE1000, "virtio-scsi virtio-scsi virtio"},
		{"Ubuntu Linux (64-bit)", api.SATA, api.AdapterE1000, "virtio-scsi virtio-scsi virtio"},
		{"debian5Guest", api.LSILogic, api.AdapterPCnet, "lsilogic lsilogic pcnet"},
		{"rhel7_64Guest", api.PVSCSI, api.AdapterVMXNet3, "pvscsi virtio-scsi virtio"},
		{"CentOS 7 (64-bit)", api.LSILogic, api.AdapterE1000, "sata virtio-scsi virtio"},
		{"rhel5_64Guest", api.LSILogic, api.AdapterE1000, "lsilogic lsilogic e1000"},
		{"sles12_64Guest", api.PVSCSI, api.AdapterE1000, "pvscsi virtio-scsi virtio"},
		{"other24xLinuxGuest", api.LSILogic, api.AdapterPCnet, "lsilogic lsilogic pcnet"},
		{"other5xLinux64Guest", api.SATA, api.AdapterE1000, "sata virtio-scsi virtio"},
		{"windows2019srvNext_64Guest", api.LSISAS, api.AdapterVMXNet3, "lsisas lsisas vmxnet3"},
		{"Windows2016_64", api.LSILogic, api.AdapterPCnet, "sata sata e1000e"},
		{"winXPProGuest", api.LSILogic, api.AdapterPCnet, "lsilogic lsilogic pcnet"},
		{"windows7_64Guest", api.LSISAS, api.AdapterE1000, "lsisas lsisas e1000"},
		{"Windows10_64", api.VirtioSCSI, api.AdapterVirtio, "virtio-scsi virtio-scsi virtio"},
		{"FreeBSD_64", api.SATA, api.AdapterE1000, "sata sata e1000"},
		{"", api.LSISAS, api.AdapterE1000, "lsisas lsisas e1000"},
		{"darwin19_64Guest", api.SATA, api.AdapterE1000, "sata sata e1000"},
	} {
		t.Run(c.system, func(t *testing.T) {
			got, notes := adapt.Machine(imported(c.disks, c.model), adapt.Facts{System: c.system})
			if places(got) != c.want {
				t.Errorf("got %q, want %q: %v", places(got), c.want, notes)
			}
			if len(notes) != 4 {
				t.Errorf("not every device is spoken of: %v", notes)
			}
		})
	}
}

func TestWindowsWithAVirtioDiskHasItsDriver(t *testing.T) {
	spec := imported(api.SATA, api.AdapterE1000)
	spec.Controllers = append(spec.Controllers, api.Controller{Name: "virtio0", Type: api.VirtioBlk})
	spec.Drives[1].Controller, spec.Drives[1].Port = "virtio0", nil
	spec.Adapters[1].Model = api.AdapterVirtio
	got, _ := adapt.Machine(spec, adapt.Facts{System: "windows9_64Guest"})
	if places(got) != "virtio-scsi virtio-blk virtio" {
		t.Errorf("got %q", places(got))
	}
}

func TestWhatIsAdaptedIsWholeAndTheSameOtherwise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := []api.ControllerType{api.SATA, api.PVSCSI, api.LSILogic, api.LSISAS, api.VirtioSCSI, api.NVMe}
		models := []api.AdapterModel{api.AdapterE1000, api.AdapterVMXNet3, api.AdapterVirtio, api.AdapterPCnet}
		spec := imported(rapid.SampledFrom(types).Draw(t, "disks"), rapid.SampledFrom(models).Draw(t, "model"))
		before := machine.Clone(spec)
		system := rapid.OneOf(rapid.SampledFrom([]string{"debian10_64Guest", "rhel8", "Windows2022_64", "FreeBSD", ""}), rapid.String()).Draw(t, "system")
		got, _ := adapt.Machine(spec, adapt.Facts{System: system})
		if diff := cmp.Diff(before, spec); diff != "" {
			t.Fatalf("it changed what it was given: %s", diff)
		}
		if got.Firmware != spec.Firmware || got.Adapters[0].MAC != spec.Adapters[0].MAC || len(got.Drives) != 3 || *got.Drives[2].Port != 2 {
			t.Fatalf("it changed more than it should: %+v", got)
		}
		complete := machine.Complete(got, machine.Defaults{Architecture: api.X8664, UUID: "0d26f28e-95dc-4a46-9a3f-511ebcdeb1a2"})
		for _, wrong := range machine.Validate(complete) {
			t.Errorf("%s %s", wrong.Field, wrong.Message)
		}
		again, _ := adapt.Machine(got, adapt.Facts{System: system})
		if places(again) != places(got) && !strings.HasPrefix(system, "win") {
			t.Errorf("adapted again it is another: %q, %q", places(got), places(again))
		}
	})
}
