package machine

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
)

var long = strings.Repeat("x", 20000)

// wrongSpecs are changes that make a valid machine wrong in the fields listed,
// and in no others.
var wrongSpecs = []struct {
	set   string // changes, with | between them
	where string // paths, with spaces between them
}{
	{"name=", "name"},
	{"name=../../etc", "name"},
	{"name=.hidden", "name"},
	{"name=-rf", "name"},
	{"name= x", "name"},
	{"name=x ", "name"},
	{"name=a/b", "name"},
	{"name=a\x00b", "name"},
	{"name=5F8A6BB2-0c3e-4b8e-9d6f-0d9f6f0a7c11", "name"},
	{"name=5f8a6bb20c3e4b8e9d6f0d9f6f0a7c11", "name"},
	{"name=" + long[:64], "name"},
	{"name=" + long[:63], ""},
	{"name=Büro (alt) +1@x_y-z.2", ""},
	{"uuid=nonsense", "uuid"},
	{"uuid=5F8A6BB2-0C3E-4B8E-9D6F-0D9F6F0A7C11", "uuid"},
	{"description=" + long, "description"},
	{"description=a\x1b[2Jb", "description"},
	{"labels.a b=1", "labels.a b"},
	{"labels.a=" + long[:256], "labels.a"},
	{"arch=vax", "architecture"},
	{"machine=virt", "machineType"},
	{"machine=q35,accel=kvm", "machineType"},
	{"machine=pc-q35-7.2", ""},
	{"machine=pc-q35-7.2,dump=x", "machineType"},
	{"firmware.secureBoot=on|firmware.type=bios", "firmware.secureBoot"},
	{"firmware=uefi-secure|machine=pc", "firmware.secureBoot"},
	{"tpm=3", "tpm.version"},
	{"cpus=|cpu.maximum=4", ""},
	{"cpus=-1", "cpu.count"},
	{"cpus=5|cpu.maximum=4", "cpu.count"},
	{"cpus=5|cpu.cores=2", "cpu"},
	{"cpu.model=max,+avx2,-x2apic", ""},
	{"cpu.model=max,migratable=off", "cpu.model"},
	{"cpu.model=+x", "cpu.model"},
	{"memory=1M", "memory.size"},
	{"memory=512.5M", "memory.size"},
	{"memory.start=3G|memory.maximum=2G", "memory.start"},
	{"memory.reserve=3G", "memory.reserve"},
	{"memory.control=automatic", "memory.control"},
	{"memory.control=never", "memory.control"},
	{"memory.shares=20000", "memory.shares"},
	{"balloon=2G", "memory.balloon"},
	{"memory.minimum=1G|memory.control=manual|balloon=1.5G", "memory.balloon"},
	{"memory=1G..4G|balloon=512M", "memory.balloon"},
	{"memory.maximum=4G|memory=4G|memory.start=1G|balloon=2G", "memory.balloon"},
	{"drives.disk0.name=-x", "drives[0].name"},
	{"drives.disk0.name=panal-x", "drives[0].name"},
	{"drives.disk0.name=net0", "adapters[0].name"},
	{"drives.disk0.name=a,b", "drives[0].name"},
	{"drives.disk0.controller=sata7", ""},
	{"drives.disk0.controller=tape0", "drives[0].controller"},
	{"drives.disk0.controller=floppy0", "drives[0].controller"},
	{"drives.disk0.controller=ide0", "controllers[1].type"},
	{"drives.disk0.port=30", "drives[0].port"},
	{"drives.disk0.port=-1", "drives[0].port"},
	{"drives.b=new|drives.b.size=1G|drives.b.port=0|drives.disk0.port=0", "drives[1].port"},
	{"drives.b=new", "drives[1].size"},
	{"drives.b=new|drives.b.mode=overlay", "drives[1].source"},
	{"drives.b=new|drives.b.kind=optical", ""},
	{"drives.b=new|drives.b.kind=floppy", ""},
	{"drives.b=new|drives.b.kind=optical|drives.b.mode=own", "drives[1].mode"},
	{"drives.disk0.mode=readonly", "drives[0].mode"},
	{"drives.disk0.mode=readonly|drives.disk0.controller=scsi0", ""},
	{"drives.disk0.source=relative", "drives[0].source"},
	{"drives.disk0.source=/a/../b", "drives[0].source"},
	{"drives.disk0.serial=123456789012345678901", "drives[0].serial"},
	{"drives.disk0.size=513", "drives[0].size"},
	{"drives.disk0.format=cow", "drives[0].format"},
	{"drives.disk0.kind=tape", "drives[0].kind drives[0].controller"},
	{"adapters.net0.mac=52:54:00:12:34:5", "adapters[0].mac"},
	{"adapters.net0.mac=01:00:5e:00:00:01", "adapters[0].mac"},
	{"adapters.net0.mac=52-54-00-12-34-56", "adapters[0].mac"},
	{"adapters.net0.mac=52:54:00:AB:CD:EF", ""},
	{"adapters.b=new|adapters.b.mac=52:54:00:00:00:01|adapters.net0.mac=52:54:00:00:00:01", "adapters[1].mac"},
	{"adapters.net0.model=ne2000", "adapters[0].model"},
	{"adapters.net0.network=bridge", "adapters[0].network"},
	{"adapters.net0.forwards=22:22,22:23", "adapters[0].forwards[1].hostPort"},
	{"adapters.net0.forwards=22:22,udp:22:23,127.0.0.2:22:22", ""},
	{"adapters.net0.forwards=22:22|adapters.b=new|adapters.b.forwards=0.0.0.0:22:22", "adapters[1].forwards[0].hostPort"},
	{"adapters.net0.forwards=0:70000", "adapters[0].forwards[0].hostPort adapters[0].forwards[0].guestPort"},
	{"serials.a=new|serials.b=new|serials.c=new", ""},
	{"serials.a=new|serials.b=new|serials.c=new|serials.d=new", "serials"},
	{"serials.serial0.logSize=1K", "serials[0].logSize"},
	{"display=spice", "display.type"},
	{"video=none", "display.video"},
	{"rtc.base=mars", "rtc.base"},
	{"boot.order=disk0,disk0,disk9", "boot.order[1] boot.order[2]"},
	{"kernel=vmlinuz", "kernel.image"},
	{"kernel.initrd=/x", "kernel.image"},
	{"kernel=/k|kernel.commandLine=" + long[:2048], "kernel.commandLine"},
	{"autostart.delay=-1", "autostart.delay"},
	{"snapshots.hourly=-1", "snapshots.hourly"},
	{"snapshots.daily=501", "snapshots.daily snapshots"},
	{"snapshots=hourly:300,daily:300", "snapshots"},
	{"restart=sometimes", "restart.policy"},
	{"restart.maxAttempts=-1", "restart.maxAttempts"},
}

func TestValidateSaysWhere(t *testing.T) {
	for _, test := range wrongSpecs {
		spec, errors := Assign(web(), strings.Split(test.set, "|"))
		if errors != nil {
			t.Errorf("%.60q: %v", test.set, errors)
			continue
		}
		var where []string
		for _, e := range Validate(Complete(spec, host)) {
			where = append(where, e.Field)
		}
		// Completing names drives and MAC addresses anew; only what is wrong counts.
		if got := strings.Join(where, " "); got != test.where && (test.set != "name=" || got != "name") {
			t.Errorf("%.60q is wrong in %q, want %q", test.set, got, test.where)
		}
	}
}

func TestValidateOtherArchitectures(t *testing.T) {
	arm := Complete(api.Spec{Name: "arm", Architecture: api.AArch64, Drives: []api.Drive{{Source: "/a"}}}, host)
	tests := map[string]string{
		"firmware=bios":                    "firmware.type",
		"firmware=bios kernel=/k":          "",
		"tpm=1.2":                          "tpm.version",
		"tpm=2.0 firmware=uefi-secure":     "",
		"video=vmware":                     "display.video",
		"drives.disk0.controller=ide0":     "controllers[1].type",
		"drives.disk0.kind=floppy":         "drives[0].controller",
		"machine=q35":                      "machineType",
		"drives.disk0.controller=sata0":    "",
		"drives.disk0.port=31":             "",
		"drives.disk0.port=32":             "drives[0].port",
		"drives.disk0.controller=nvme0":    "",
		"adapters.net0.model=vmxnet3":      "",
		"adapters.net0.isolated=on":        "",
		"drives.disk0=none adapters.a=new": "",
	}
	for set, want := range tests {
		spec, errors := Assign(arm, strings.Fields(set))
		if errors != nil {
			t.Fatal(errors)
		}
		errors = Validate(Complete(spec, host))
		if want == "" && errors != nil || want != "" && (len(errors) != 1 || errors[0].Field != want) {
			t.Errorf("%s: %v, want %q", set, errors, want)
		}
	}
}

func TestADriveBeyondAllPortsIsAnError(t *testing.T) {
	spec := api.Spec{Name: "many", MachineType: "q35"}
	for range 8*30 + 1 {
		spec.Drives = append(spec.Drives, api.Drive{Source: "/a"})
	}
	errors := Validate(Complete(spec, host))
	if len(errors) != 1 || errors[0].Field != "drives[240].controller" {
		t.Errorf("got %v", errors)
	}
}
