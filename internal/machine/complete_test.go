package machine

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/panalvm/panal/api"
	"pgregory.net/rapid"
)

const someUUID = "5f8a6bb2-0c3e-4b8e-9d6f-0d9f6f0a7c11"

var host = Defaults{Architecture: api.X8664, UUID: someUUID}

// pick draws one of the values, the zero value among them.
func pick[T any](t *rapid.T, label string, values ...T) T {
	var zero T
	return rapid.SampledFrom(append(values, zero)).Draw(t, label)
}

// anySpec draws specs that are half filled, and sometimes wrong.
func anySpec(t *rapid.T) api.Spec {
	s := api.Spec{
		Name:         pick(t, "name", "web", "-x", "a/b"),
		UUID:         pick(t, "uuid", someUUID, "x"),
		Architecture: pick(t, "arch", api.X8664, api.AArch64, api.RISCV64, "vax"),
		MachineType:  pick(t, "machine", "pc", "q35", "virt", "pc-q35-7.2", "xenpv"),
		Firmware:     api.Firmware{Type: pick(t, "fw", api.BIOS, api.UEFI), SecureBoot: rapid.Bool().Draw(t, "sb")},
		CPU: api.CPU{
			Count: rapid.IntRange(-1, 9).Draw(t, "count"), Maximum: rapid.IntRange(0, 9).Draw(t, "max"),
			Sockets: rapid.IntRange(0, 3).Draw(t, "s"), Cores: rapid.IntRange(0, 3).Draw(t, "c"), Threads: rapid.IntRange(0, 3).Draw(t, "t"),
		},
		Memory:  api.Memory{Size: api.Size(rapid.Int64Range(-1, 1<<33).Draw(t, "mem"))},
		Display: api.Display{Type: pick(t, "display", "vnc", "none"), Video: pick(t, "video", "std", "none", "vmware")},
	}
	if rapid.Bool().Draw(t, "tpm") {
		s.TPM = &api.TPM{Version: pick(t, "tpmv", "1.2")}
	}
	if rapid.Bool().Draw(t, "kernel") {
		s.Kernel = &api.Kernel{Image: "/boot/vmlinuz"}
	}
	types := []api.ControllerType{api.IDE, api.SATA, api.VirtioSCSI, api.LSILogic, api.MegaRAID, api.VirtioBlk, api.NVMe, api.USB, api.Floppy, "drum"}
	s.Controllers = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) api.Controller {
		return api.Controller{Name: pick(t, "cn", "sata0", "c1", "disk0"), Type: rapid.SampledFrom(types).Draw(t, "ct")}
	}), 0, 5).Draw(t, "controllers")
	s.Drives = rapid.SliceOfN(rapid.Custom(anyDrive), 0, 12).Draw(t, "drives")
	s.Adapters = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) api.Adapter {
		return api.Adapter{Name: pick(t, "an", "net0", "net7"), MAC: pick(t, "mac", "52:54:00:00:00:0A"), Forwards: pick(t, "fwd", []api.Forward{{HostPort: 1, GuestPort: 2}})}
	}), 0, 3).Draw(t, "adapters")
	s.Serials = pick(t, "serials", []api.Serial{}, []api.Serial{{Name: "serial0"}, {}})
	return s
}

func anyDrive(t *rapid.T) api.Drive {
	d := api.Drive{
		Name:       pick(t, "dn", "disk0", "disk1"),
		Controller: pick(t, "dc", "sata0", "c1", "nvme0", "floppy0", "nowhere"),
		Kind:       pick(t, "dk", api.Disk, api.Optical, api.FloppyDiskette),
		Source:     pick(t, "ds", "/a.vmdk", "/b.ISO", "relative"),
	}
	if rapid.Bool().Draw(t, "has port") {
		port := rapid.IntRange(-1, 7).Draw(t, "port")
		d.Port = &port
	}
	return d
}

func TestCompleteTwiceIsCompleteOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := anySpec(t)
		before, _ := json.Marshal(spec)
		once := Complete(spec, host)
		if diff := cmp.Diff(once, Complete(once, host)); diff != "" {
			t.Fatalf("completing again changed something:\n%s", diff)
		}
		if after, _ := json.Marshal(spec); string(before) != string(after) {
			t.Fatalf("the spec given was changed from\n%s to\n%s", before, after)
		}
		Validate(once)
	})
}

func TestACompleteSpecSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		complete := Complete(anySpec(t), host)
		if complete.Memory.Size < 0 {
			return // sizes are never read as negative
		}
		text, err := json.Marshal(complete)
		if err != nil {
			t.Fatal(err)
		}
		var back api.Spec
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(complete, Complete(back, host)); diff != "" {
			t.Fatalf("came back different:\n%s", diff)
		}
	})
}

// The least that people write must become a machine without errors.
func TestCompleteMakesValidMachinesOfLittle(t *testing.T) {
	for _, arch := range []api.Architecture{"", api.X8664, api.AArch64, api.RISCV64} {
		for _, machineType := range []string{"", "pc", "q35", "virt"} {
			if BoardOf(api.X8664, machineType) != BoardOther && arch != "" && arch != api.X8664 || machineType == "virt" && (arch == "" || arch == api.X8664) {
				continue
			}
			spec := api.Spec{Name: "web", Architecture: arch, MachineType: machineType}
			for range 9 {
				spec.Drives = append(spec.Drives, api.Drive{Source: "/images/web.vmdk"}, api.Drive{Kind: api.Optical})
			}
			complete := Complete(spec, host)
			if errors := Validate(complete); errors != nil {
				t.Errorf("%s %s: %v", arch, machineType, errors)
			}
			t.Logf("%s %s: %v", complete.Architecture, complete.MachineType, complete.Controllers)
		}
	}
}
