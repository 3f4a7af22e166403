package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/machine"
)

var update = flag.Bool("update", false, "write the golden files anew")

// places are the directories of a launch: fixed ones in golden files, real
// ones when the real QEMU is started.
type places struct{ folder, runtime string }

var goldenPlaces = places{folder: "/srv/panal/web", runtime: "/run/panal/web"}

// launchCase is a machine that golden files are made of, and the real QEMU
// is started with.
type launchCase struct {
	name   string
	arch   api.Architecture
	set    string // changes to a machine with a disk, with | between them
	huge   int    // huge pages of 2 MiB that it needs of the host
	adjust func(*Launch)
}

// passphrase opens the encrypted images of launches.
const passphrase = "swordfish, of all fish"

func launchCases() []launchCase {
	everyDrive := "drives.b=new|drives.b.size=1G|drives.b.controller=%s|drives.b.serial=S1|" +
		"drives.c=new|drives.c.kind=optical|drives.c.source=/c.iso|drives.c.controller=%[1]s"
	on := func(controller string) string { return fmt.Sprintf(everyDrive, controller) }
	cases := []launchCase{
		{name: "q35", arch: api.X8664},
		{name: "q35-uefi", arch: api.X8664, set: "firmware=uefi"},
		{name: "q35-uefi-secure-tpm", arch: api.X8664, set: "firmware=uefi-secure|tpm=2.0"},
		{name: "q35-tpm12", arch: api.X8664, set: "tpm=1.2"},
		{name: "q35-kernel", arch: api.X8664, set: "kernel=/boot/vmlinuz|kernel.initrd=/boot/initrd|kernel.commandLine=console=ttyS0, a,b|display=none|drives.disk0=none"},
		{name: "q35-incoming", arch: api.X8664, adjust: func(l *Launch) { l.Incoming = true }},
		{name: "q35-chain", arch: api.X8664, adjust: func(l *Launch) {
			l.Images["disk0"] = Chain{{Path: "top.qcow2", Format: "qcow2"}, {Path: "middle.qcow2", Format: "qcow2"}, {Path: "base.raw", Format: "raw"}}
		}},
		{name: "q35-served", arch: api.X8664, set: on("sata1"), adjust: func(l *Launch) {
			l.Images["disk0"] = Chain{{Path: "top.qcow2", Format: "qcow2"}, {Path: "a, b.vmdk", Format: "vmdk", Export: "disk0", ReadOnly: true}}
			l.Images["b"] = Chain{{Path: "own.vdi", Format: "vdi", Export: "b"}}
			l.ImageSocket = filepath.Join(l.RuntimeDir, "images")
		}},
		{name: "q35-encrypted", arch: api.X8664, set: "drives.b=new|drives.b.size=1G", adjust: func(l *Launch) {
			l.Images["disk0"] = Chain{{Path: "top.qcow2", Format: "qcow2", Encrypted: true}, {Path: "base.raw", Format: "raw"}}
			l.Images["b"] = Chain{{Path: "b.luks", Format: "luks", Encrypted: true}}
			l.Keys = map[string][]byte{"disk0": []byte(passphrase), "b": []byte(passphrase)}
		}},
		{name: "q35-names", arch: api.X8664, set: "name=a @(b)+c_d-e.f|description=x"},
		{name: "q35-sata2", arch: api.X8664, set: on("sata1")},
		{name: "q35-scsi", arch: api.X8664, set: on("scsi0")},
		{name: "q35-lsi", arch: api.X8664, set: on("lsi0")},
		{name: "q35-lsisas", arch: api.X8664, set: on("lsisas0")},
		{name: "q35-lsisas-bridge", arch: api.X8664, set: on("lsisas0") + "|drives.b.port=255|drives.c.port=63|drives.d=new|drives.d.size=1G|drives.d.controller=lsisas0|drives.d.port=55"},
		{name: "q35-megasas", arch: api.X8664, set: on("megasas0")},
		{name: "q35-pvscsi", arch: api.X8664, set: on("pvscsi0")},
		{name: "q35-usb", arch: api.X8664, set: on("usb0")},
		{name: "q35-nvme", arch: api.X8664, set: "drives.disk0.controller=nvme0|drives.b=new|drives.b.size=1G|drives.b.controller=nvme0"},
		{name: "q35-virtio-blk", arch: api.X8664, set: "drives.disk0.controller=virtio0|drives.disk0.port=31|drives.b=new|drives.b.size=1G|drives.b.controller=virtio0|drives.b.serial=x,y"},
		{name: "q35-floppy-empty", arch: api.X8664, set: "drives.a=new|drives.a.kind=floppy|drives.b=new|drives.b.kind=optical|drives.d=new|drives.d.kind=optical|drives.d.controller=scsi0"},
		{name: "q35-adapters", arch: api.X8664, set: "adapters.a=new|adapters.a.model=e1000|adapters.b=new|adapters.b.model=e1000e|adapters.c=new|adapters.c.model=rtl8139|" +
			"adapters.d=new|adapters.d.model=pcnet|adapters.e=new|adapters.e.model=vmxnet3|adapters.e.network=none|adapters.f=new|adapters.f.isolated=on|boot.order=f,disk0"},
		{name: "q35-bare", arch: api.X8664, set: "adapters=none|serials=none|display=none|video=none|drives.disk0=none"},
		{name: "q35-cpus", arch: api.X8664, set: "cpus=3|cpu.maximum=12|cpu.sockets=2|cpu.model=max,+svm,-avx2|rtc.base=localtime|boot.menu=on|memory=768M"},
		{name: "q35-memory", arch: api.X8664, set: "memory=768M|memory.start=512M|memory.maximum=2G"},
		{name: "pc-memory", arch: api.X8664, set: "machine=pc|memory=512M..1100M"},
		{name: "aarch64-memory", arch: api.AArch64, set: "memory=512M..1G"},
		{name: "q35-memory-nodes", arch: api.X8664, set: "memory=512M|memory.maximum=1G|memory.nodes=0|memory.placement=interleave"},
		{name: "pc-memory-locked", arch: api.X8664, set: "machine=pc|memory=64M|memory.locked=on|memory.nodes=0"},
		{name: "q35-memory-huge", arch: api.X8664, set: "memory=64M|memory.pageSize=2M|memory.nodes=0", huge: 32},
		{name: "aarch64-memory-huge", arch: api.AArch64, set: "memory=64M|memory.pageSize=2M", huge: 32},
		{name: "q35-video", arch: api.X8664, set: "video=vmware"},
		{name: "q35-serials", arch: api.X8664, set: "serials.rng=new|serials.agent=new|serials.usb=new"},
		{name: "pc", arch: api.X8664, set: "machine=pc"},
		{name: "pc-uefi", arch: api.X8664, set: "machine=pc|firmware=uefi"},
		{name: "pc-everything", arch: api.X8664, set: "machine=pc|drives.disk0.port=3|drives.a=new|drives.a.kind=floppy|drives.b=new|drives.b.size=1G|drives.b.controller=sata0|" +
			"drives.c=new|drives.c.size=1G|drives.c.controller=virtio0|drives.c.port=9|drives.d=new|drives.d.size=1G|drives.d.controller=scsi0|adapters.n1=new|adapters.n1.model=pcnet|video=virtio"},
		{name: "aarch64", arch: api.AArch64, set: "tpm=2.0"},
		{name: "aarch64-kernel", arch: api.AArch64, set: "firmware=bios|kernel=/boot/vmlinuz|serials.s1=new|display=none"},
		{name: "aarch64-everything", arch: api.AArch64, set: on("scsi0") + "|drives.d=new|drives.d.size=1G|drives.d.controller=sata0|serials.s1=new|serials.s2=new|serials.s3=new|adapters.a=new|adapters.a.model=e1000"},
		{name: "riscv64", arch: api.RISCV64},
		{name: "riscv64-kernel", arch: api.RISCV64, set: "kernel=/boot/vmlinuz|kernel.commandLine=console=ttyS0|cpus=4|cpu.threads=2|serials.s1=new"},
	}
	return cases
}

// launch makes the case's Launch, at the places given.
func (c launchCase) launch(t testing.TB, caps Capabilities, at places, firmware Firmware) Launch {
	t.Helper()
	spec := api.Spec{
		Name: "web", UUID: "5f8a6bb2-0c3e-4b8e-9d6f-0d9f6f0a7c11", Architecture: c.arch,
		Drives: []api.Drive{{Name: "disk0", Size: api.GiB}}, Memory: api.Memory{Size: 256 * api.MiB},
	}
	if c.set != "" {
		var errors []api.FieldError
		if spec, errors = machine.Assign(spec, strings.Split(c.set, "|")); errors != nil {
			t.Fatal(errors)
		}
	}
	spec = machine.Complete(spec, machine.Defaults{})
	if errors := machine.Validate(spec); errors != nil {
		t.Fatal(errors)
	}
	l := Launch{
		Spec: spec, Caps: caps, Accelerator: "tcg", RuntimeDir: at.runtime, LogDir: filepath.Join(at.folder, "log"),
		Images: map[string]Chain{}, Firmware: firmware, Paused: true,
	}
	for _, drive := range spec.Drives {
		switch {
		case drive.Kind == api.Disk:
			l.Images[drive.Name] = Chain{{Path: drive.Name + ".qcow2", Format: "qcow2"}}
		case drive.Source != "":
			l.Images[drive.Name] = Chain{{Path: drive.Name + ".iso", Format: "raw", ReadOnly: true}}
		}
	}
	if c.adjust != nil {
		c.adjust(&l)
	}
	for _, chain := range l.Images {
		for i := range chain {
			chain[i].Path = filepath.Join(at.folder, "disks", chain[i].Path)
		}
	}
	if spec.TPM != nil {
		l.TPMSocket = filepath.Join(at.runtime, "tpm")
	}
	if spec.Firmware.Type == api.UEFI {
		l.Firmware.Vars = filepath.Join(at.folder, "nvram")
	}
	return l
}

// fixtureFirmware stands in golden files for what is installed.
func fixtureFirmware(spec api.Spec) Firmware {
	switch {
	case spec.Firmware.Type == api.UEFI:
		return Firmware{
			Code: "/usr/share/firmware/CODE.fd", CodeFormat: "raw", VarsFormat: "raw",
			SecureBoot: spec.Firmware.SecureBoot, SMM: spec.Firmware.SecureBoot,
		}
	case spec.Architecture == api.RISCV64 && spec.Kernel == nil:
		return Firmware{Loader: "/usr/lib/u-boot/uboot.elf"}
	}
	return Firmware{}
}

// TestFixtureCapabilities writes the capabilities that golden files are made
// with anew, from the QEMU that is installed, when asked to. It stands before the
// tests that read them.
func TestFixtureCapabilities(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	for _, arch := range architectures {
		caps, err := Probe(context.Background(), needQEMU(t, arch))
		if err != nil {
			t.Fatal(err)
		}
		caps.MachineTypes = slices.DeleteFunc(caps.MachineTypes, func(m MachineType) bool {
			return machine.BoardOf(arch, m.Name) == machine.BoardOther || (m.Alias == "" && m.Name != "virt")
		})
		caps.CPUModels = slices.DeleteFunc(caps.CPUModels, func(name string) bool {
			return !slices.Contains([]string{"host", "max", "rv64", "qemu64", "cortex-a72"}, name)
		})
		caps.Devices = slices.DeleteFunc(caps.Devices, func(name string) bool { return !usedDevices[name] })
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(caps); err != nil {
			t.Fatal(err)
		}
		writeFixture(t, filepath.Join("testdata", "capabilities", string(arch)+".json"), text.Bytes())
	}
}

func TestGoldenCommands(t *testing.T) {
	for _, c := range launchCases() {
		t.Run(c.name, func(t *testing.T) {
			l := c.launch(t, fixtureCaps(t, c.arch), goldenPlaces, Firmware{})
			vars := l.Firmware.Vars
			l.Firmware = fixtureFirmware(l.Spec)
			l.Firmware.Vars = vars
			got, err := Command(l)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, c.name+".txt", render(got))
			if again, _ := Command(l); !cmp.Equal(got, again) {
				t.Error("the same launch gave another invocation")
			}
		})
	}
}

// render writes an invocation with one option a line.
func render(i Invocation) string {
	var text strings.Builder
	text.WriteString(i.Binary)
	for _, arg := range i.Args {
		if strings.HasPrefix(arg, "-") {
			text.WriteString("\n")
		} else {
			text.WriteString(" ")
		}
		text.WriteString(arg)
	}
	text.WriteString("\n")
	for n, file := range i.Files {
		fmt.Fprintf(&text, "%d: %s %s\n", FirstFD+n, file.Access, file.Path)
	}
	for _, line := range i.Lines {
		fmt.Fprintf(&text, "line: %s\n", line)
	}
	if len(i.LinksDown) > 0 {
		fmt.Fprintf(&text, "links down: %s\n", strings.Join(i.LinksDown, ", "))
	}
	return text.String()
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "commands", name)
	if *update {
		writeFixture(t, file, []byte(got))
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; `go test -update` writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s; `go test -update` takes it over:\n%s", file, diff)
	}
}

func writeFixture(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// usedDevices are all that Command can ask for.
var usedDevices = func() map[string]bool {
	used := map[string]bool{}
	for _, name := range strings.Fields(`VGA e1000 e1000e floppy ich9-ahci ide-cd ide-hd isa-fdc isa-serial lsi53c895a megasas mptsas1068 nvme
		nvme-ns pci-bridge pci-serial pcie-root-port pcnet pvpanic pvpanic-pci pvscsi qemu-xhci rtl8139 scsi-cd scsi-hd tpm-crb tpm-tis tpm-tis-device
		usb-bot usb-kbd usb-tablet virtio-balloon-pci virtio-blk-pci virtio-gpu-pci virtio-mem-pci virtio-net-pci virtio-rng-pci virtio-scsi-pci virtio-serial-pci
		virtio-vga virtserialport vmware-svga vmxnet3`) {
		used[name] = true
	}
	return used
}()
