package envelope_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/ovf"
)

// lost are what an export does not keep of a spec, each with the reason.
var lost = []struct {
	why  string
	drop func(*api.Spec)
}{
	{"two machines must not have one UUID", func(s *api.Spec) { s.UUID = "" }},
	{"whether and when it starts with its host is for the new host to say", func(s *api.Spec) { s.Autostart = api.Autostart{} }},
	{"when snapshots are taken is for the new host to say", func(s *api.Spec) { s.Snapshots = api.SnapshotSchedule{} }},
	{"a template is exported as the machine that it is a model of", func(s *api.Spec) { s.Template = false }},
	{"the kernel is a file of the host's", func(s *api.Spec) { s.Kernel = nil }},
	{"devices that are not in the boot order are tried after those that are", func(s *api.Spec) {
		if len(s.Boot.Order) > 0 {
			short := *s
			short.Boot.Order = nil
			usual := machine.BootOrder(short)
			for _, name := range usual {
				if !slices.Contains(s.Boot.Order, name) {
					s.Boot.Order = append(s.Boot.Order, name)
				}
			}
			if slices.Equal(s.Boot.Order, usual) {
				s.Boot.Order = nil
			}
		}
	}},
	{"what networks are called is beside the spec, since the user says what takes their place", func(s *api.Spec) {
		for i := range s.Adapters {
			s.Adapters[i].NetworkName = ""
		}
	}},
	{"BusLogic's controller is the LSI Logic that stands for it", func(s *api.Spec) {
		for i := range s.Controllers {
			s.Controllers[i].Hardware = ""
		}
	}},
	{"what becomes of what is written to a drive, and where its content lies, is for who imports it to say", func(s *api.Spec) {
		for i := range s.Drives {
			d := &s.Drives[i]
			d.Mode, d.WriteMode, d.AutoReset, d.Source, d.Format, d.File, d.SecretFile, d.InstanceID = "", "", nil, "", "", "", "", ""
		}
	}},
}

func without(s api.Spec) api.Spec {
	s = machine.Clone(s)
	for _, l := range lost {
		l.drop(&s)
	}
	return s
}

// anySpec draws a machine that the daemon would take.
func anySpec(t *rapid.T) api.Spec {
	arch := rapid.SampledFrom([]api.Architecture{api.X8664, api.X8664, api.AArch64, api.RISCV64}).Draw(t, "architecture")
	s := api.Spec{
		Name: rapid.StringMatching(`[a-z][a-z0-9 ]{0,20}[a-z]`).Draw(t, "name"), Architecture: arch,
		Description: rapid.SampledFrom([]string{"", "two\nlines <&>"}).Draw(t, "description"),
		Adapters:    []api.Adapter{}, Serials: []api.Serial{},
	}
	s.MachineType = string(rapid.SampledFrom(machine.BoardsOf(arch)).Draw(t, "board"))
	if rapid.Bool().Draw(t, "labelled") {
		s.Labels = map[string]string{"os": "Debian 12", "tier": "a=b, \"c\""}
	}
	s.CPU.Sockets, s.CPU.Cores, s.CPU.Threads = rapid.IntRange(1, 3).Draw(t, "sockets"), rapid.IntRange(1, 3).Draw(t, "cores"), rapid.IntRange(1, 2).Draw(t, "threads")
	s.CPU.Maximum = s.CPU.Sockets * s.CPU.Cores * s.CPU.Threads
	s.CPU.Count = rapid.IntRange(1, s.CPU.Maximum).Draw(t, "CPUs")
	if rapid.Bool().Draw(t, "dealt out") {
		s.CPU.Cap, s.CPU.Limit, s.CPU.Reservation, s.CPU.Shares = 50, "150%", "500MHz", 200
	}
	s.CPU.Model = rapid.SampledFrom([]string{"", "max"}).Draw(t, "model")
	s.Memory.Size = api.Size(rapid.IntRange(64, 4096).Draw(t, "memory")) * api.MiB
	s.Firmware.Type = rapid.SampledFrom([]api.FirmwareType{api.BIOS, api.UEFI}).Draw(t, "firmware")
	s.Firmware.SecureBoot = s.Firmware.Type == api.UEFI && s.MachineType == "q35" && rapid.Bool().Draw(t, "secure boot")
	if rapid.Bool().Draw(t, "with TPM") {
		s.TPM = &api.TPM{Version: rapid.SampledFrom([]string{"2.0", "1.2"}).Draw(t, "TPM")}
	}
	s.RTC.Base = rapid.SampledFrom([]string{"utc", "localtime"}).Draw(t, "clock")
	s.Display.Video = rapid.SampledFrom([]string{"std", "virtio", "vmware", "none"}).Draw(t, "video")
	s.Boot.Menu = rapid.Bool().Draw(t, "menu")
	s.Restart.Policy = rapid.SampledFrom([]api.RestartPolicy{api.RestartNever, api.RestartAlways}).Draw(t, "restart")
	controllersAndDrives(t, &s)
	for i := range rapid.IntRange(0, 3).Draw(t, "adapters") {
		a := api.Adapter{
			Name: fmt.Sprintf("lan%d", i), Network: rapid.SampledFrom([]string{"user", "none"}).Draw(t, "network"), MAC: fmt.Sprintf("52:54:00:00:00:%02x", i),
			Model:       rapid.SampledFrom([]api.AdapterModel{api.AdapterE1000, api.AdapterVirtio, api.AdapterRTL8139, api.AdapterE1000E}).Draw(t, "model"),
			NetworkName: rapid.SampledFrom([]string{"", "VM Network", "lan <&> \"dmz\"", "büro"}).Draw(t, "network's name"),
		}
		if a.Network == "user" && rapid.Bool().Draw(t, "forwarding") {
			a.Isolated = true
			a.Forwards = []api.Forward{{Protocol: "tcp", HostAddress: "127.0.0.1", HostPort: 2200 + i, GuestPort: 22}}
		}
		s.Adapters = append(s.Adapters, a)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "serial lines") {
		s.Serials = append(s.Serials, api.Serial{Name: fmt.Sprintf("line%d", i), LogSize: api.Size(i+1) * api.MiB})
	}
	if rapid.Bool().Draw(t, "ordered") {
		s.Boot.Order = rapid.Permutation(machine.BootOrder(s)).Draw(t, "order")
		s.Boot.Order = s.Boot.Order[:rapid.IntRange(0, len(s.Boot.Order)).Draw(t, "tried")]
	}
	return s
}

func controllersAndDrives(t *rapid.T, s *api.Spec) {
	kinds := []api.ControllerType{api.IDE, api.SATA, api.VirtioSCSI, api.LSILogic, api.LSISAS, api.MegaRAID, api.PVSCSI, api.NVMe, api.VirtioBlk, api.USB}
	for n, kind := range rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 0, 4, rapid.ID).Draw(t, "controllers") {
		ports := machine.PortsOf(machine.BoardOf(s.Architecture, s.MachineType), kind)
		if ports == 0 {
			continue
		}
		drives := rapid.SliceOfNDistinct(rapid.IntRange(0, min(ports, 12)-1), 1, 3, rapid.ID).Draw(t, "ports")
		slices.Sort(drives)
		c := api.Controller{Name: fmt.Sprintf("bus%d", n), Type: kind, IOThread: kind == api.VirtioSCSI && rapid.Bool().Draw(t, "thread")}
		s.Controllers = append(s.Controllers, c)
		for _, port := range drives {
			d := api.Drive{Name: fmt.Sprintf("data%d-%d", n, port), Controller: c.Name, Port: &port, Kind: api.Disk, Size: api.GiB, Mode: api.Own}
			d.Cache = rapid.SampledFrom([]api.CacheMode{"", api.CacheNone, api.CacheUnsafe}).Draw(t, "cache")
			d.Discard = rapid.SampledFrom([]string{"", "off"}).Draw(t, "discard")
			d.DetectZeroes = rapid.SampledFrom([]string{"", "on"}).Draw(t, "zeroes")
			d.Serial = rapid.SampledFrom([]string{"", "WD-1"}).Draw(t, "serial")
			d.SSD = kind != api.NVMe && kind != api.VirtioBlk && kind != api.USB && rapid.Bool().Draw(t, "SSD")
			if rapid.Bool().Draw(t, "limited") {
				d.IOPS, d.Bandwidth = 500, 3*api.MiB
			}
			s.Drives = append(s.Drives, d)
		}
	}
}

// TestEverythingThatCanComeBackDoes exports machines of all sorts and imports them again.
func TestEverythingThatCanComeBackDoes(t *testing.T) {
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		defaults := machine.Defaults{Architecture: api.X8664, UUID: "0d26f28e-95dc-4a46-9a3f-511ebcdeb1a2"}
		spec := machine.Complete(anySpec(t), defaults)
		if wrong := machine.Validate(spec); len(wrong) > 0 {
			t.Skip(wrong)
		}
		valid++
		out := envelope.Outgoing{Spec: spec}
		for _, d := range spec.Drives {
			out.Disks = append(out.Disks, envelope.OutgoingDisk{Drive: d.Name, File: d.Name + ".vmdk", Format: "vmdk", Size: int64(d.Size)})
		}
		dialect := rapid.SampledFrom(envelope.Dialects()).Draw(t, "dialect")
		var text bytes.Buffer
		if err := ovf.Write(&text, envelope.Write("all", []envelope.Outgoing{out}, dialect), rapid.SampledFrom([]ovf.Version{ovf.Version10, ovf.Version11, ovf.Version20}).Draw(t, "version")); err != nil {
			t.Fatal(err)
		}
		env, err := ovf.Parse(bytes.NewReader(text.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		a, err := envelope.Read(env, appliance.Choices{})
		if err != nil {
			t.Fatal(err)
		}
		m := a.Machines[0]
		back := machine.Complete(m.Spec, defaults)
		if wrong := machine.Validate(back); len(wrong) > 0 {
			t.Errorf("it comes back wrong: %v", wrong)
		}
		if diff := cmp.Diff(without(spec), without(back), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s\n%v\n%s", diff, m.Notes, text.String())
		}
		for _, a := range spec.Adapters {
			if got := m.Networks[a.Name]; a.NetworkName != "" && got != a.NetworkName {
				t.Errorf("%s was on %q, and comes back on %q", a.Name, a.NetworkName, got)
			}
		}
		for i, d := range m.Disks {
			if d.Drive != spec.Drives[i].Name || d.File != d.Drive+".vmdk" {
				t.Errorf("the content of %s is %s", d.Drive, d.File)
			}
		}
	})
	if valid < 50 && !testing.Short() {
		t.Errorf("only %d of the machines were valid", valid)
	}
}

// TestAnAppliancesOwnSettingsAreNoOthers says in our own section what an appliance may not say.
func TestAnAppliancesOwnSettingsAreNoOthers(t *testing.T) {
	for _, attack := range []string{
		`panal:key="kernel.image" panal:value="/etc/shadow"`, `panal:item="3" panal:key="source" panal:value="/etc/shadow"`, `panal:item="3" panal:key="secretFile" panal:value="/etc/shadow"`,
		`panal:key="autostart.enabled" panal:value="on"`, `panal:item="99" panal:key="cache" panal:value="none"`, `panal:key="cpu.maximum" panal:value="many"`,
		`panal:key="drives.disk0.source" panal:value="/etc/shadow"`, `panal:key="template" panal:value="on"`, `panal:item="3" panal:key="mode" panal:value="attach"`,
	} {
		text := oneDisk + system(items) // item 4 is the disk
		element := `<panal:Machine xmlns:panal="http://www.panalvm.org/ovf/machine" ovf:required="false"><panal:Setting ` + attack + `/></panal:Machine></VirtualHardwareSection>`
		a, err := ofText(t, replaceLast(text, `</VirtualHardwareSection>`, element), appliance.Choices{})
		if err != nil {
			t.Fatal(err)
		}
		section := `<panal:MachineSection xmlns:panal="http://www.panalvm.org/ovf/machine" ovf:required="false"><Info/><panal:Setting ` + attack + `/></panal:MachineSection></VirtualSystem>`
		earlier, err := ofText(t, replaceLast(text, `</VirtualSystem>`, section), appliance.Choices{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, earlier); diff != "" {
			t.Errorf("%s, in a section: %s", attack, diff)
		}
		plain, err := ofText(t, text, appliance.Choices{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(plain.Machines[0].Spec, a.Machines[0].Spec); diff != "" {
			t.Errorf("%s: %s", attack, diff)
		}
		if !slices.ContainsFunc(a.Machines[0].Notes, func(n appliance.Note) bool { return n.Subject == "settings of Panal's" }) {
			t.Errorf("%s is not told", attack)
		}
	}
}

func replaceLast(text, old, with string) string {
	at := bytes.LastIndex([]byte(text), []byte(old))
	return text[:at] + with + text[at+len(old):]
}
