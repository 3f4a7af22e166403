package qemu

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/panalvm/panal/api"
)

// descriptorText writes a descriptor of firmware at /fw/NAME.code and .vars.
func descriptorText(name, arch, machines, features string) string {
	return fmt.Sprintf(`{"description": %q, "interface-types": ["uefi"], "tags": [],
		"mapping": {"device": "flash", "executable": {"filename": "/fw/%[1]s.code", "format": "raw"},
			"nvram-template": {"filename": "/fw/%[1]s.vars", "format": "qcow2"}},
		"targets": [{"architecture": %[2]q, "machines": [%[3]s]}], "features": [%[4]s]}`, name, arch, machines, features)
}

// firmwareTree is a file system with the firmware that Debian has, in short,
// and some that must not be taken.
func firmwareTree() fstest.MapFS {
	tree := fstest.MapFS{}
	add := func(dir, file, name, arch, machines, features string) {
		tree[dir+"/"+file] = &fstest.MapFile{Data: []byte(descriptorText(name, arch, machines, features))}
		for _, part := range []string{".code", ".vars"} {
			tree["fw/"+name+part] = &fstest.MapFile{Data: []byte(part)}
		}
	}
	const system = "usr/share/qemu/firmware"
	add(system, "40-enrolled.json", "enrolled", "x86_64", `"pc-q35-*"`, `"secure-boot", "enrolled-keys", "requires-smm"`)
	add(system, "50-secure.json", "secure", "x86_64", `"pc-q35-*"`, `"secure-boot", "requires-smm"`)
	add(system, "60-plain.json", "plain", "x86_64", `"pc-q35-*", "pc-i440fx-*"`, `"acpi-s3"`)
	add(system, "60-arm.json", "arm", "aarch64", `"virt-*"`, ``)
	add(system, "10-gone.json", "gone", "x86_64", `"pc-q35-*"`, ``)
	delete(tree, "fw/gone.vars")
	tree[system+"/README"] = &fstest.MapFile{Data: []byte("not a descriptor")}
	return tree
}

func TestFirmwareIsChosen(t *testing.T) {
	installed, err := ReadFirmwares(firmwareTree(), FirmwareDirs("")...)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		arch    api.Architecture
		machine string
		secure  bool
		want    string
	}{
		{api.X8664, "pc-q35-7.2", false, "plain"},
		{api.X8664, "pc-q35-7.2", true, "enrolled"},
		{api.X8664, "pc-i440fx-7.2", false, "plain"},
		{api.X8664, "pc-i440fx-7.2", true, ""},
		{api.AArch64, "virt-7.2", false, "arm"},
		{api.AArch64, "virt-7.2", true, ""},
		{api.RISCV64, "virt", false, ""},
	}
	for _, test := range tests {
		spec := api.Spec{Architecture: test.arch, Firmware: api.Firmware{Type: api.UEFI, SecureBoot: test.secure}}
		got, err := installed.For(spec, test.machine)
		var unsupported *UnsupportedError
		if test.want == "" {
			if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "apt install") {
				t.Errorf("%+v: %+v, %v", test, got, err)
			}
			continue
		}
		want := Firmware{
			Code: "/fw/" + test.want + ".code", CodeFormat: "raw", VarsTemplate: "/fw/" + test.want + ".vars", VarsFormat: "qcow2",
			SecureBoot: test.secure, SMM: test.secure,
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%+v: %v\n%s", test, err, diff)
		}
	}
}

func TestFirmwareOfTheAdministratorComesFirst(t *testing.T) {
	tree := firmwareTree()
	tree["etc/qemu/firmware/60-plain.json"] = &fstest.MapFile{Data: []byte(descriptorText("arm", "x86_64", `"pc-*"`, ``))}
	tree["home/me/.config/qemu/firmware/40-enrolled.json"] = &fstest.MapFile{}
	tree["etc/qemu/firmware/00-broken.json"] = &fstest.MapFile{Data: []byte("{")}
	installed, err := ReadFirmwares(tree, FirmwareDirs("/home/me/.config")...)
	if err == nil || !strings.Contains(err.Error(), "/etc/qemu/firmware/00-broken.json") {
		t.Errorf("the broken descriptor gives %v", err)
	}
	spec := api.Spec{Architecture: api.X8664, Firmware: api.Firmware{Type: api.UEFI}}
	if got, err := installed.For(spec, "pc-q35-7.2"); err != nil || got.Code != "/fw/arm.code" {
		t.Errorf("replaced: %+v, %v", got, err)
	}
	spec.Firmware.SecureBoot = true
	if got, err := installed.For(spec, "pc-q35-7.2"); err == nil {
		t.Errorf("taken away, but found %+v", got)
	}
}

func TestFirmwareWithoutPlainOne(t *testing.T) {
	tree := firmwareTree()
	delete(tree, "fw/plain.code")
	installed, err := ReadFirmwares(tree, FirmwareDirs("")...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := installed.For(api.Spec{Architecture: api.X8664, Firmware: api.Firmware{Type: api.UEFI}}, "pc-q35-7.2")
	if err != nil || got.Code != "/fw/secure.code" || got.SecureBoot || !got.SMM {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestLoaderOfRISCV(t *testing.T) {
	tree := firmwareTree()
	spec := api.Spec{Architecture: api.RISCV64, Firmware: api.Firmware{Type: api.BIOS}}
	none, _ := ReadFirmwares(tree, FirmwareDirs("")...)
	_, err := none.For(spec, "virt")
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Package != "u-boot-qemu" {
		t.Errorf("without a loader: %v", err)
	}
	tree["usr/lib/u-boot/qemu-riscv64_smode/uboot.elf"] = &fstest.MapFile{}
	some, _ := ReadFirmwares(tree, FirmwareDirs("")...)
	if got, err := some.For(spec, "virt"); err != nil || got.Loader != "/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf" {
		t.Errorf("with a loader: %+v, %v", got, err)
	}
	spec.Kernel = &api.Kernel{Image: "/k"}
	if got, err := none.For(spec, "virt"); err != nil || got.Loader != "" {
		t.Errorf("with a kernel: %+v, %v", got, err)
	}
}

func TestFirmwareKinds(t *testing.T) {
	installed, _ := ReadFirmwares(firmwareTree(), FirmwareDirs("")...)
	for arch, want := range map[api.Architecture]string{
		api.X8664: "bios uefi uefi-secure", api.AArch64: "uefi", api.RISCV64: "bios",
	} {
		got := strings.Join(installed.Kinds(fixtureCaps(t, arch)), " ")
		if got != want {
			t.Errorf("%s: %q, want %q", arch, got, want)
		}
	}
}

func FuzzDescriptor(f *testing.F) {
	f.Add(descriptorText("plain", "x86_64", `"pc-q35-*"`, ``))
	f.Add(`{"targets":[{"machines":["["]}],"mapping":{"executable":{"filename":"../.."}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		tree := firmwareTree()
		tree["etc/qemu/firmware/99-fuzz.json"] = &fstest.MapFile{Data: []byte(text)}
		installed, _ := ReadFirmwares(tree, FirmwareDirs("")...)
		spec := api.Spec{Architecture: api.X8664, Firmware: api.Firmware{Type: api.UEFI}}
		if _, err := installed.For(spec, "pc-q35-7.2"); err != nil {
			t.Fatal(err)
		}
	})
}
