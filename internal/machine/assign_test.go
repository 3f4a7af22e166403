package machine

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/panalvm/panal/api"
)

// web is a complete machine with a disk and a network adapter.
func web() api.Spec {
	return Complete(api.Spec{Name: "web", Drives: []api.Drive{{Source: "/images/web.vmdk"}}}, host)
}

func TestAssign(t *testing.T) {
	tests := []struct {
		set  string // changes, with spaces between them
		want func(s *api.Spec)
	}{
		{"cpu.count=4", func(s *api.Spec) { s.CPU.Count, s.CPU.Maximum, s.CPU.Cores = 4, 4, 4 }},
		{"cpus=4 cpu.maximum=8", func(s *api.Spec) { s.CPU.Count, s.CPU.Maximum, s.CPU.Cores = 4, 8, 8 }},
		{"cpus=4 cpu.sockets=2", func(s *api.Spec) { s.CPU = api.CPU{Count: 4, Maximum: 4, Sockets: 2, Cores: 2, Threads: 1} }},
		{"cpu.sockets=2 cpu.cores=4 cpu.threads=2", func(s *api.Spec) { s.CPU = api.CPU{Count: 16, Maximum: 16, Sockets: 2, Cores: 4, Threads: 2} }},
		{"cpu.threads=2", func(s *api.Spec) { s.CPU.Threads, s.CPU.Cores = 2, 1 }},
		{"cpus=1", func(s *api.Spec) { s.CPU.Count = 1 }},
		{"cpus=1 cpu.maximum=", func(s *api.Spec) { s.CPU.Count, s.CPU.Maximum, s.CPU.Cores = 1, 1, 1 }},
		{"memory=4G", func(s *api.Spec) { s.Memory = api.Memory{Size: 4 * api.GiB, Maximum: 4 * api.GiB, Start: 4 * api.GiB} }},
		{"memory=1G..4G", func(s *api.Spec) { s.Memory.Minimum, s.Memory.Maximum = api.GiB, 4*api.GiB }},
		{"memory=3G..4G", func(s *api.Spec) {
			s.Memory = api.Memory{Size: 3 * api.GiB, Start: 3 * api.GiB, Minimum: 3 * api.GiB, Maximum: 4 * api.GiB}
		}},
		{"memory.maximum=4G memory=3G", func(s *api.Spec) { s.Memory = api.Memory{Size: 3 * api.GiB, Start: 3 * api.GiB, Maximum: 4 * api.GiB} }},
		{"memory.maximum=4G memory.start=1G", func(s *api.Spec) { s.Memory.Start, s.Memory.Maximum = api.GiB, 4*api.GiB }},
		{"balloon=512M", func(s *api.Spec) { s.Memory.Balloon = 512 * api.MiB }},
		{"memory=", func(s *api.Spec) {}},
		{"labels.site.rack=b7", func(s *api.Spec) { s.Labels = map[string]string{"site.rack": "b7"} }},
		{"labels.a=1 labels.a=", func(s *api.Spec) {}},
		{"drives.disk0.serial=abc", func(s *api.Spec) { s.Drives[0].Serial = "abc" }},
		{"drives[0].serial=abc", func(s *api.Spec) { s.Drives[0].Serial = "abc" }},
		{"DRIVES.0.Serial=abc", func(s *api.Spec) { s.Drives[0].Serial = "abc" }},
		{"drives.disk0.controller=nvme0", func(s *api.Spec) {
			s.Drives[0].Controller = "nvme0"
			s.Controllers = append(s.Controllers, api.Controller{Name: "nvme0", Type: api.NVMe})
		}},
		{"drives.disk0.port=3", func(s *api.Spec) { three := 3; s.Drives[0].Port = &three }},
		{"adapters.net0.forwards=2222:22,udp:0.0.0.0:53:5353", func(s *api.Spec) {
			s.Adapters[0].Forwards = []api.Forward{{Protocol: "tcp", HostAddress: "127.0.0.1", HostPort: 2222, GuestPort: 22}, {Protocol: "udp", HostAddress: "0.0.0.0", HostPort: 53, GuestPort: 5353}}
		}},
		{"adapters.net0.forwards=tcp:127.0.0.1:2222-22", func(s *api.Spec) {
			s.Adapters[0].Forwards = []api.Forward{{Protocol: "tcp", HostAddress: "127.0.0.1", HostPort: 2222, GuestPort: 22}}
		}},
		{"adapters=none", func(s *api.Spec) { s.Adapters = []api.Adapter{} }},
		{"adapters.net0=none", func(s *api.Spec) { s.Adapters = []api.Adapter{} }},
		{"adapters.net0=none adapters=", func(s *api.Spec) {}},
		{"serials=none", func(s *api.Spec) { s.Serials = []api.Serial{} }},
		{"serials.second=new", func(s *api.Spec) { s.Serials = append(s.Serials, api.Serial{Name: "second", LogSize: DefaultLogSize}) }},
		{"boot.order=net0,disk0", func(s *api.Spec) { s.Boot.Order = []string{"net0", "disk0"} }},
		{"boot.menu=on", func(s *api.Spec) { s.Boot.Menu = true }},
		{"kernel.image=/boot/vmlinuz kernel.commandLine=a=b", func(s *api.Spec) { s.Kernel = &api.Kernel{Image: "/boot/vmlinuz", CommandLine: "a=b"} }},
		{"kernel=/k kernel=none", func(s *api.Spec) {}},
		{"tpm=2.0", func(s *api.Spec) { s.TPM = &api.TPM{Version: "2.0"} }},
		{"tpm=on tpm=none", func(s *api.Spec) {}},
		{"firmware=uefi", func(s *api.Spec) { s.Firmware.Type = api.UEFI }},
		{"firmware=uefi firmware.secureBoot=true", func(s *api.Spec) { s.Firmware = api.Firmware{Type: api.UEFI, SecureBoot: true} }},
		{"firmware=uefi-secure", func(s *api.Spec) { s.Firmware = api.Firmware{Type: api.UEFI, SecureBoot: true} }},
		{"autostart=on autostart.delay=5", func(s *api.Spec) { s.Autostart = api.Autostart{Enabled: true, Delay: 5} }},
		{"snapshots.hourly=24 snapshots.daily=7", func(s *api.Spec) { s.Snapshots = api.SnapshotSchedule{Hourly: 24, Daily: 7} }},
		{"snapshots=weekly:4,monthly:12", func(s *api.Spec) { s.Snapshots = api.SnapshotSchedule{Weekly: 4, Monthly: 12} }},
		{"snapshots=hourly:24 snapshots=none", func(s *api.Spec) {}},
		{"restart=always", func(s *api.Spec) { s.Restart.Policy = api.RestartAlways }},
		{"display=none", func(s *api.Spec) { s.Display.Type = "none" }},
		{"display=none video=none display=vnc video=", func(s *api.Spec) {}},
		{"name=mail", func(s *api.Spec) { s.Name = "mail" }},
		{"machine=pc", func(s *api.Spec) { s.MachineType = "pc" }},
	}
	for _, test := range tests {
		got, errors := Assign(web(), strings.Fields(test.set))
		if errors != nil {
			t.Errorf("%s: %v", test.set, errors)
			continue
		}
		want := web()
		test.want(&want)
		got = Complete(got, host)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", test.set, diff)
		}
		if errors := Validate(got); errors != nil {
			t.Errorf("%s gives an invalid spec: %v", test.set, errors)
		}
	}
}

// A spec that was never completed takes changes of what it has by default.
func TestAssignToABareSpec(t *testing.T) {
	bare := api.Spec{Name: "web", Drives: []api.Drive{{Source: "/a.iso"}, {Size: api.GiB}}}
	spec, errors := Assign(bare, []string{"adapters.net0.forwards=2222:22", "drives.disk0.serial=x", "serials.serial0.logSize=1M", "arch=aarch64"})
	if errors != nil {
		t.Fatal(errors)
	}
	spec = Complete(spec, host)
	if spec.Adapters[0].Forwards[0].HostPort != 2222 || spec.Drives[1].Serial != "x" || spec.Serials[0].LogSize != api.MiB || spec.MachineType != "virt" {
		t.Errorf("got %+v", spec)
	}
	if bare.Drives[1].Serial != "" {
		t.Error("the spec given was changed")
	}
}

func TestAssignSaysEverythingThatIsWrong(t *testing.T) {
	tests := map[string]string{
		"cpu.cuont=4":                    "did you mean cpu.count",
		"serial=x":                       "did you mean drives.NAME.serial",
		"nonsense=1":                     "panal set --keys",
		"cpu.count=many":                 "not a whole number",
		"cpu.count=99999999999999999999": "not a whole number",
		"memory=much":                    "not a number",
		"boot.menu=perhaps":              "neither on nor off",
		"drives.disk9.serial=x":          `there is disk0`,
		"drives[7].serial=x":             `there is no "7"`,
		"drives[0.serial":                "is not key=value",
		"drives..serial=x":               "is not a field's path",
		"drives.disk0.file=../x":         "set by the daemon",
		"cpu=4":                          "has fields of its own",
		"drives=x":                       "is a list",
		"labels=x":                       "labels.NAME=VALUE",
		"drives.disk0=old":               "takes new",
		"drives.disk0=new":               "is there already",
		"cpu.count.x=1":                  "has no fields",
		"drives.disk0.port.x=1":          "has no fields",
		"boot.order.x=1":                 "list of words",
		"boot.order[3]=x":                "no element",
		"adapters.net0.forwards=22":      "such as 2222:22",
		"adapters.net0.forwards[0]=x":    "takes new, to add it",
		"firmware=coreboot":              "bios, uefi, uefi-secure",
		"=":                              "is not key=value",
		"cpus":                           "is not key=value",
	}
	var all []string
	for set, message := range tests {
		spec, errors := Assign(web(), []string{set})
		if len(errors) != 1 || !strings.Contains(errors[0].Message, message) {
			t.Errorf("%s: %v, want %q", set, errors, message)
		}
		if diff := cmp.Diff(web(), Complete(spec, host)); diff != "" {
			t.Errorf("%s is wrong but changed the spec:\n%s", set, diff)
		}
		all = append(all, set)
	}
	if _, errors := Assign(web(), all); len(errors) != len(all) {
		t.Errorf("%d errors for %d wrong changes", len(errors), len(all))
	}
}

// Every key that Keys lists must be one that Assign takes.
func TestKeysAreTaken(t *testing.T) {
	values := map[string]string{"number": "1", "size": "1M", "switch": "on", "word": "x", "list": "1:2"}
	spec := web()
	spec.Drives[0].Name, spec.Controllers[0].Name, spec.Adapters[0].Name, spec.Serials[0].Name = "NAME", "NAME", "NAME", "NAME"
	for _, key := range Keys() {
		value := values[key.Type]
		if len(key.Values) > 0 {
			value = key.Values[len(key.Values)-1]
		}
		if key.Path == "firmware" {
			value = "uefi"
		}
		if key.Path == "snapshots" {
			value = "hourly:24,daily:7"
		}
		if key.Doc == "" && len(key.Values) == 0 {
			t.Logf("%s (%s) has no words for its help", key.Path, key.Type)
		}
		if _, errors := Assign(spec, []string{key.Path + "=" + value}); errors != nil {
			t.Errorf("%s=%s: %v", key.Path, value, errors)
		}
	}
}

func FuzzAssign(f *testing.F) {
	for _, seed := range []string{"cpus=3", "drives[0].port=1", "adapters.net0.forwards=1:2", "kernel.image=/x", "boot.order=a,b", "labels.x=", "drives.x=new"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		spec, _ := Assign(web(), []string{a, b})
		complete := Complete(spec, host)
		if diff := cmp.Diff(complete, Complete(complete, host)); diff != "" {
			t.Fatalf("%q %q: completing twice differs:\n%s", a, b, diff)
		}
		Validate(complete)
	})
}

func FuzzSpec(f *testing.F) {
	text, _ := json.Marshal(web())
	f.Add(string(text))
	f.Add(`{"drives":[{"port":-9223372036854775808}],"cpu":{"sockets":4611686018427387904,"cores":4,"threads":1}}`)
	f.Add(`{"name":"\ud800","controllers":[{"type":"ide"},{"type":"ide"}],"adapters":[{"mac":"xx"},{}],"boot":{"order":["",""]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var spec api.Spec
		if json.Unmarshal([]byte(text), &spec) != nil {
			return
		}
		Validate(spec)
		complete := Complete(spec, host)
		if diff := cmp.Diff(complete, Complete(complete, host)); diff != "" {
			t.Fatalf("completing twice differs:\n%s", diff)
		}
		Validate(complete)
		Immutable(spec, complete, api.StateRunning)
		for _, e := range Validate(complete) {
			if e.Field == "" || e.Message == "" {
				t.Fatalf("an error without a field or words: %v", e)
			}
		}
		_ = fmt.Sprint(BootOrder(complete))
	})
}
