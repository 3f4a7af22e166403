package appliance_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/machine"
)

// TestWhateverIsDescribedBecomesAValidSpec builds machines that no board
// could hold as they are described.
func TestWhateverIsDescribedBecomesAValidSpec(t *testing.T) {
	kinds := []api.ControllerType{
		api.IDE, api.SATA, api.VirtioSCSI, api.LSILogic, api.LSISAS, api.MegaRAID, api.PVSCSI, api.VirtioBlk, api.NVMe, api.USB,
	}
	boards := []machine.Board{machine.BoardOther, machine.BoardPC, machine.BoardQ35}
	rapid.Check(t, func(t *rapid.T) {
		b := appliance.NewBuilder("vm")
		b.Board(rapid.SampledFrom(boards).Draw(t, "board"))
		b.Name(rapid.String().Draw(t, "name"))
		b.Spec().Firmware.SecureBoot = rapid.Bool().Draw(t, "secure boot")
		b.CPUs(rapid.IntRange(1, 12).Draw(t, "CPUs"), rapid.IntRange(0, 5).Draw(t, "cores"))
		var disks int
		for range rapid.IntRange(1, 5).Draw(t, "controllers") {
			kind := rapid.SampledFrom(kinds).Draw(t, "controller")
			name := b.Controller(kind)
			for range rapid.IntRange(0, 3).Draw(t, "drives") {
				b.Drive(api.Disk, name, rapid.IntRange(-1, 40).Draw(t, "port"), &appliance.Disk{File: "a.vmdk", Size: 1 << 20})
				disks++
			}
		}
		b.Adapter(api.AdapterE1000, rapid.SampledFrom([]string{"", "00-50-56-01-02-03", "0050.5601.0204", "01:00:00:00:00:01", "x"}).Draw(t, "mac"), "LAN", true)
		b.Serial()
		m := b.Finish()
		if len(m.Spec.Drives) != disks || len(m.Disks) != disks {
			t.Fatalf("%d drives and %d contents of %d", len(m.Spec.Drives), len(m.Disks), disks)
		}
		spec := machine.Complete(m.Spec, machine.Defaults{Architecture: api.X8664, UUID: "0d26f28e-95dc-4a46-9a3f-511ebcdeb1a2"})
		for _, wrong := range machine.Validate(spec) {
			t.Errorf("%s %s", wrong.Field, wrong.Message)
		}
	})
}

func TestNamesBecomeNamesOfMachines(t *testing.T) {
	for name, want := range map[string]string{
		"web":                                  "web",
		"  Windows 10 (2) ":                    "Windows 10 (2)",
		"büro/Server:1":                        "büro-Server-1",
		"...":                                  "machine",
		"0d26f28e-95dc-4a46-9a3f-511ebcdeb1a2": "machine 0d26f28e-95dc-4a46-9a3f-511ebcdeb1a2",
		"":                                     "machine",
		strings.Repeat("ab", 40):               strings.Repeat("ab", 31) + "a",
	} {
		if got := appliance.CleanName(name); got != want {
			t.Errorf("%q became %q, not %q", name, got, want)
		}
	}
}

func TestModelsAreFoundHoweverTheyAreSpelled(t *testing.T) {
	for name, want := range map[string]api.ControllerType{
		"AHCI": api.SATA, "vmware.sata.ahci": api.SATA, "lsilogicsas": api.LSISAS, "LsiLogic": api.LSILogic,
		"VirtualSCSI": api.PVSCSI, "virtio-scsi": api.VirtioSCSI, "PIIX4": api.IDE, "ICH6": api.IDE, "BusLogic": api.LSILogic,
	} {
		if got, _, ok := appliance.ControllerModel(name); !ok || got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	for name, want := range map[string]api.AdapterModel{
		"E1000": api.AdapterE1000, "PCNet32": api.AdapterPCnet, "VmxNet3": api.AdapterVMXNet3, "Am79C973": api.AdapterPCnet,
		"82540EM": api.AdapterE1000, "virtio-net": api.AdapterVirtio,
	} {
		if got, _, ok := appliance.AdapterModel(name); !ok || got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestUnknownModelsAreNotGuessed(t *testing.T) {
	if _, _, ok := appliance.ControllerModel("quantum"); ok {
		t.Error("a controller was made up")
	}
	if _, _, ok := appliance.AdapterModel("quantum"); ok {
		t.Error("an adapter was made up")
	}
}
