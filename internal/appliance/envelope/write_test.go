package envelope_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/ovf"
)

// hardware is what of a spec a descriptor carries.
func hardware(s api.Spec) api.Spec {
	kept := api.Spec{
		Name: s.Name, Description: s.Description, Architecture: api.X8664, Firmware: s.Firmware, CPU: api.CPU{Count: s.CPU.Count}, Memory: s.Memory,
		Controllers: s.Controllers,
	}
	for _, d := range s.Drives {
		kept.Drives = append(kept.Drives, api.Drive{Name: d.Name, Controller: d.Controller, Port: d.Port, Kind: d.Kind, Size: d.Size})
	}
	for _, a := range s.Adapters {
		kept.Adapters = append(kept.Adapters, api.Adapter{Name: a.Name, Model: a.Model, MAC: a.MAC, Network: a.Network})
	}
	return kept
}

// TestWhatIsWrittenIsReadAgain describes machines and reads the descriptions, in
// every dialect and version.
func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	kinds := []api.ControllerType{api.IDE, api.SATA, api.VirtioSCSI, api.LSILogic, api.LSISAS, api.MegaRAID, api.PVSCSI, api.NVMe}
	rapid.Check(t, func(t *rapid.T) {
		b := appliance.NewBuilder("x")
		b.Name(rapid.StringMatching(`[a-z][a-z0-9 ]{0,20}[a-z]`).Draw(t, "name"))
		b.CPUs(rapid.IntRange(1, 8).Draw(t, "CPUs"), 0)
		b.Spec().Memory.Size = api.Size(rapid.IntRange(1, 4096).Draw(t, "memory")) * api.MiB
		b.Spec().Description = rapid.SampledFrom([]string{"", "a web server"}).Draw(t, "description")
		b.Spec().Firmware.Type = rapid.SampledFrom([]api.FirmwareType{api.BIOS, api.UEFI}).Draw(t, "firmware")
		for _, kind := range rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 1, 3, rapid.ID).Draw(t, "controllers") {
			name := b.Controller(kind)
			for port := range rapid.IntRange(0, 4).Draw(t, "drives") {
				b.Drive(api.Disk, name, port, &appliance.Disk{File: "f", Size: 1 << 20})
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "adapters") {
			b.Adapter(rapid.SampledFrom([]api.AdapterModel{api.AdapterE1000, api.AdapterVirtio, api.AdapterPCnet, api.AdapterVMXNet3, api.AdapterRTL8139, api.AdapterE1000E}).Draw(t, "model"), "", "NAT", true)
		}
		m := b.Finish()
		out := envelope.Outgoing{Spec: m.Spec}
		for _, d := range m.Disks {
			out.Disks = append(out.Disks, envelope.OutgoingDisk{Drive: d.Drive, File: d.Drive + ".vmdk", Format: "vmdk", Size: d.Size})
		}
		dialect := rapid.SampledFrom(envelope.Dialects()).Draw(t, "dialect")
		version := rapid.SampledFrom([]ovf.Version{ovf.Version10, ovf.Version11, ovf.Version20}).Draw(t, "version")
		var text bytes.Buffer
		if err := ovf.Write(&text, envelope.Write("all", []envelope.Outgoing{out}, dialect), version); err != nil {
			t.Fatal(err)
		}
		env, err := ovf.Parse(bytes.NewReader(text.Bytes()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text.String())
		}
		for _, f := range ovf.Check(env) {
			if f.Severity != ovf.Note {
				t.Errorf("%s", f)
			}
		}
		back, err := envelope.Read(env, appliance.Choices{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(hardware(m.Spec), hardware(back.Machines[0].Spec)); diff != "" {
			t.Errorf("%s\nin\n%s", diff, text.String())
		}
	})
}

func TestSeveralMachinesBecomeACollection(t *testing.T) {
	var machines []envelope.Outgoing
	for _, name := range []string{"db", "web"} {
		b := appliance.NewBuilder(name)
		b.Name(name)
		b.CPUs(1, 0)
		b.Spec().Memory.Size = api.GiB
		machines = append(machines, envelope.Outgoing{Spec: b.Finish().Spec})
	}
	a, err := envelope.Read(envelope.Write("shop", machines, envelope.ForAny), appliance.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Name != "shop" || len(a.Machines) != 2 || a.Machines[0].Spec.Name != "db" || a.Machines[1].Start.Order <= a.Machines[0].Start.Order {
		t.Errorf("%+v", a)
	}
}

// TestNetworksAreNamed describes machines on the same networks and on others: each network is declared once, and adapters
// name the one that they are on.
func TestNetworksAreNamed(t *testing.T) {
	on := func(name string, adapters ...api.Adapter) envelope.Outgoing {
		b := appliance.NewBuilder(name)
		b.CPUs(1, 0)
		b.Spec().Memory.Size = api.GiB
		out := envelope.Outgoing{Spec: b.Finish().Spec}
		out.Spec.Adapters = adapters
		return out
	}
	machines := []envelope.Outgoing{
		on("db", api.Adapter{Name: "net0", Network: "user", NetworkName: "lan"}),
		on("web", api.Adapter{Name: "net0", Network: "user"}, api.Adapter{Name: "net1", Network: "none", NetworkName: "lan"},
			api.Adapter{Name: "net2", Network: "user", NetworkName: "a \"dmz\" & more"}, api.Adapter{Name: "net3", Network: "none"}),
	}
	for _, dialect := range envelope.Dialects() {
		unplugged := map[bool]string{true: "Null", false: "NAT"}[dialect == envelope.ForVirtualBox]
		for _, version := range []ovf.Version{ovf.Version10, ovf.Version11, ovf.Version20} {
			var text bytes.Buffer
			if err := ovf.Write(&text, envelope.Write("shop", machines, dialect), version); err != nil {
				t.Fatal(err)
			}
			env, err := ovf.Parse(&text)
			if err != nil {
				t.Fatal(err)
			}
			var declared []string
			for section := range ovf.All[*ovf.NetworkSection](env.Sections) {
				for _, n := range section.Networks {
					declared = append(declared, n.ID)
				}
			}
			want := []string{"lan", "NAT", "a \"dmz\" & more"}
			if unplugged != "NAT" {
				want = append(want, unplugged)
			}
			if diff := cmp.Diff(want, declared); diff != "" {
				t.Errorf("%s: %s", dialect, diff)
			}
			back, err := envelope.Read(env, appliance.Choices{})
			if err != nil {
				t.Fatal(err)
			}
			networks := map[string]string{"net0": "NAT", "net1": "lan", "net2": "a \"dmz\" & more", "net3": unplugged}
			if diff := cmp.Diff(networks, back.Machines[1].Networks); diff != "" || back.Machines[0].Networks["net0"] != "lan" {
				t.Errorf("%s: %v %s", dialect, back.Machines[0].Networks, diff)
			}
			if a := back.Machines[1].Spec.Adapters; a[1].Network != "none" || a[2].Network != "user" {
				t.Errorf("%s: what was plugged in, and what was not: %+v", dialect, a)
			}
		}
	}
}
