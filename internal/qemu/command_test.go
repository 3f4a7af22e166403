package qemu

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"pgregory.net/rapid"
)

// parseOptions reads QEMU's key=value syntax as QEMU does: a doubled comma is
// a comma of the value (util/qemu-option.c, get_opt_value).
func parseOptions(text string) map[string]string {
	values := map[string]string{}
	for len(text) > 0 {
		key, rest, _ := strings.Cut(text, "=")
		var value strings.Builder
		for len(rest) > 0 {
			if strings.HasPrefix(rest, ",,") {
				value.WriteByte(',')
				rest = rest[2:]
				continue
			}
			if rest[0] == ',' {
				rest = rest[1:]
				break
			}
			value.WriteByte(rest[0])
			rest = rest[1:]
		}
		values[key], text = value.String(), rest
	}
	return values
}

func TestOptionsAreReadAsTheyWereMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[a-z,=:/ "\\]*`)
		name, file := value.Draw(t, "name"), value.Draw(t, "file")
		text := options("guest", name, "debug-threads", "on", "logfile", file, "last", "1")
		got := parseOptions(text)
		if got["guest"] != name || got["logfile"] != file || got["debug-threads"] != "on" || got["last"] != "1" || len(got) != 4 {
			t.Fatalf("%q and %q became %s, which is read as %q", name, file, text, got)
		}
	})
}

// No value of a spec or a path may become an option of its own, or leave its
// place in one.
func TestNoValueBreaksOutOfItsOption(t *testing.T) {
	plain, err := Command(launchWith(t, "x", "/images/x.vmdk"))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z,=:/ "\\{}-]{1,40}`).Draw(t, "text")
		got, err := Command(launchWith(t, text, "/images/"+text))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Args) != len(plain.Args) {
			t.Fatalf("%q changes the number of arguments", text)
		}
		for i, arg := range got.Args {
			checkArg(t, got.Args, i, arg, text)
		}
	})
}

func checkArg(t *rapid.T, args []string, i int, arg, text string) {
	switch {
	case i > 0 && args[i-1] == "-append":
		if arg != text {
			t.Fatalf("the command line %q became %q", text, arg)
		}
	case strings.HasPrefix(arg, "{"):
		var o map[string]any
		if err := json.Unmarshal([]byte(arg), &o); err != nil {
			t.Fatalf("%s: %v", arg, err)
		}
		if server, served := o["server"].(map[string]any); served && (server["path"] != "/images/"+text || o["export"] != "/images/"+text) {
			t.Fatalf("the path %q became %v", text, o)
		}
	case i > 0 && args[i-1] == "-name":
		if got := parseOptions(arg); got["guest"] != text || len(got) != 2 {
			t.Fatalf("the name %q became %q", text, got)
		}
	}
}

// launchWith makes a launch with text wherever a spec can have some.
func launchWith(t interface {
	Helper()
	Fatal(...any)
}, text, image string,
) Launch {
	port := 0
	spec := api.Spec{
		Name: text, UUID: "5f8a6bb2-0c3e-4b8e-9d6f-0d9f6f0a7c11", Architecture: api.X8664, MachineType: "q35",
		Firmware: api.Firmware{Type: api.BIOS}, Memory: api.Memory{Size: api.GiB},
		CPU:         api.CPU{Count: 1, Maximum: 1, Sockets: 1, Cores: 1, Threads: 1},
		Controllers: []api.Controller{{Name: "sata0", Type: api.SATA}},
		Drives:      []api.Drive{{Name: "disk0", Controller: "sata0", Port: &port, Kind: api.Disk, Serial: text}},
		Kernel:      &api.Kernel{Image: "/" + text, CommandLine: text},
		RTC:         api.RTC{Base: "utc"}, Display: api.Display{Type: "none", Video: "none"},
	}
	return Launch{
		Spec: spec, Caps: everything(), Accelerator: "tcg", RuntimeDir: "/run/x", LogDir: "/log",
		Images: map[string]Chain{"disk0": {{Path: image, Format: "vdi", Export: image}}}, ImageSocket: image,
	}
}

// everything are the capabilities of a QEMU that has all that Command asks for.
func everything() Capabilities {
	caps := Capabilities{
		Binary: "qemu", Version: "7.2.0", Architecture: api.X8664, Accelerators: []string{"kvm", "tcg"},
		MachineTypes: []MachineType{{Name: "pc-q35-7.2", Alias: "q35", MaxCPUs: 288}}, CPUModels: []string{"host", "max"},
	}
	for name := range usedDevices {
		caps.Devices = append(caps.Devices, name)
	}
	slices.Sort(caps.Devices)
	return caps
}

func TestCommandSaysWhatQEMULacks(t *testing.T) {
	without := func(device string) func(*Launch) {
		return func(l *Launch) {
			l.Caps.Devices = slices.DeleteFunc(l.Caps.Devices, func(name string) bool { return name == device })
		}
	}
	tests := map[string]struct {
		change func(*Launch)
		field  string
	}{
		"machine type":             {func(l *Launch) { l.Spec.MachineType = "pc-q35-99.0" }, "machineType"},
		"saved on another version": {func(l *Launch) { l.MachineType = "pc-q35-99.0" }, "machineType"},
		"model":                    {func(l *Launch) { l.Spec.CPU.Model = "Zen9,+x" }, "cpu.model"},
		"unknown feature":          {func(l *Launch) { l.Spec.CPU.Model, l.CPUFlags = "max,+nosuch", []string{"cmov"} }, "cpu.model"},
		"feature that is not here": {func(l *Launch) {
			l.Spec.CPU.Model, l.CPUFlags, l.Caps.CPUFlags = "max,-cmov,+avx512f", []string{"cmov"}, []string{"avx512f", "cmov"}
		}, "cpu.model"},
		"level":       {func(l *Launch) { l.Spec.CPU.Model, l.CPUFlags = "x86-64-v4", []string{"cmov", "avx512f"} }, "cpu.model"},
		"nested":      {func(l *Launch) { l.Spec.CPU.Nested, l.NestedFlag, l.NestedWhy = "on", "", "no" }, "cpu.nested"},
		"host on tcg": {func(l *Launch) { l.Spec.CPU.Model = "host" }, "cpu.model"},
		"cpus": {func(l *Launch) {
			l.Caps.MachineTypes[0].MaxCPUs = 0
			l.Spec.CPU.Maximum = 999
			l.Caps.MachineTypes[0].MaxCPUs = 1
		}, "cpu.maximum"},
		"accelerator": {func(l *Launch) { l.Accelerator = "hvf" }, "architecture"},
		"drive":       {without("ide-hd"), "drives[0].controller"},
		"controller": {func(l *Launch) {
			l.Spec.Controllers = append(l.Spec.Controllers, api.Controller{Name: "m", Type: api.MegaRAID})
			without("megasas")(l)
		}, "controllers[1].type"},
		"adapter": {func(l *Launch) {
			l.Spec.Adapters = []api.Adapter{{Name: "n", Model: api.AdapterVMXNet3}}
			without("vmxnet3")(l)
		}, "adapters[0].model"},
		"video": {func(l *Launch) { l.Spec.Display.Video = "vmware"; without("vmware-svga")(l) }, "display.video"},
		"tpm":   {func(l *Launch) { l.Spec.TPM = &api.TPM{Version: "2.0"}; l.TPMSocket = "/t"; without("tpm-crb")(l) }, "tpm"},
		"uefi":  {func(l *Launch) { l.Spec.Firmware.Type = api.UEFI }, "firmware.type"},
		"secure boot": {func(l *Launch) {
			l.Spec.Firmware = api.Firmware{Type: api.UEFI, SecureBoot: true}
			l.Firmware = Firmware{Code: "/c", Vars: "/v", CodeFormat: "raw", VarsFormat: "raw"}
		}, "firmware.secureBoot"},
	}
	for name, test := range tests {
		launch := launchWith(t, "x", "/x")
		test.change(&launch)
		_, err := Command(launch)
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Field != test.field {
			t.Errorf("%s: %v, want field %s", name, err, test.field)
		}
	}
}

func TestModels(t *testing.T) {
	for _, c := range []struct {
		model, nested, want string
	}{
		{"x86-64-v1", "", "qemu64,svm=off,+cmov,+cx8,+fpu,+fxsr,+mmx,+sse,+sse2,+syscall"},
		{"x86-64-v1,+aes", "off", "qemu64,svm=off,+cmov,+cx8,+fpu,+fxsr,+mmx,+sse,+sse2,+syscall,+aes,-vmx,-svm"},
		{"max", "on", "max,+svm"},
		{"max,-avx2", "", "max,-avx2"},
	} {
		launch := launchWith(t, "x", "/x")
		launch.Accelerator, launch.NestedFlag = "tcg", "svm"
		launch.Spec.CPU.Model, launch.Spec.CPU.Nested = c.model, c.nested
		invocation, err := Command(launch)
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.Index(invocation.Args, "-cpu"); i < 0 || invocation.Args[i+1] != c.want {
			t.Errorf("%s, nested %q: %v, want %s", c.model, c.nested, invocation.Args[i+1], c.want)
		}
	}
}

func TestCommandRefusesWhatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*Launch){
		"no image":          func(l *Launch) { l.Images = nil },
		"raw as difference": func(l *Launch) { l.Images["disk0"] = Chain{{Path: "/a", Format: "raw"}, {Path: "/b", Format: "raw"}} },
		"vdi, not served":   func(l *Launch) { l.Images["disk0"] = Chain{{Path: "/a", Format: "vdi"}} },
		"below a served image": func(l *Launch) {
			l.Images["disk0"] = Chain{{Path: "/a", Format: "vdi", Export: "disk0"}, {Path: "/b", Format: "raw"}}
		},
		"long image socket": func(l *Launch) {
			l.Images["disk0"], l.ImageSocket = Chain{{Path: "/a", Export: "disk0"}}, "/"+strings.Repeat("x", 110)
		},
		"long socket path": func(l *Launch) { l.RuntimeDir = "/" + strings.Repeat("x", 110) },
		"no TPM socket":    func(l *Launch) { l.Spec.TPM = &api.TPM{Version: "2.0"} },
		"no port":          func(l *Launch) { l.Spec.Drives[0].Port = nil },
	} {
		launch := launchWith(t, "x", "/x")
		change(&launch)
		if got, err := Command(launch); err == nil || got.Args != nil {
			t.Errorf("%s: no error", name)
		}
	}
}
