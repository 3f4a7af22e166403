package qemu

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

// Firmware is the firmware that a machine starts with.
type Firmware struct {
	Code         string // path of the flash image with the code
	CodeFormat   string // raw or qcow2
	VarsTemplate string // path of the image that a new machine's variables are a copy of
	Vars         string // path of the machine's own flash image with the variables
	VarsFormat   string // of both
	SecureBoot   bool   // only starts what is signed, as keys enrolled in VarsTemplate demand
	SMM          bool   // protects its variables by system management mode
	// Loader is the path of a boot loader that the board's own firmware
	// starts, where it cannot boot from drives itself (riscv64 without UEFI).
	Loader string
}

// Firmwares is the firmware that is installed on a computer.
type Firmwares struct {
	descriptors []descriptor // the preferred first
	loader      string       // of riscv64
}

// descriptor is a firmware's description in the format that QEMU's
// docs/interop/firmware.json (7.2) defines, as far as it matters here.
type descriptor struct {
	InterfaceTypes []string `json:"interface-types"`
	Mapping        struct {
		Device     string    `json:"device"`
		Mode       string    `json:"mode"` // since QEMU 7.0; left out for split
		Executable flashFile `json:"executable"`
		Template   flashFile `json:"nvram-template"`
	} `json:"mapping"`
	Targets []struct {
		Architecture string   `json:"architecture"`
		Machines     []string `json:"machines"` // glob patterns
	} `json:"targets"`
	Features []string `json:"features"`
}

type flashFile struct {
	Filename string `json:"filename"`
	Format   string `json:"format"`
}

// FirmwareDirs returns where descriptors are installed: the distribution's, the
// administrator's, and the user's if configDir (as of XDG) is not empty.
func FirmwareDirs(configDir string) []string {
	dirs := []string{"/usr/share/qemu/firmware", "/etc/qemu/firmware"}
	if configDir != "" {
		dirs = append(dirs, path.Join(configDir, "qemu/firmware"))
	}
	return dirs
}

// uBootPaths are where distributions install the U-Boot that OpenSBI can
// start: Debian, Fedora.
var uBootPaths = []string{
	"/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf",
	"/usr/share/uboot/qemu-riscv64_smode/u-boot.bin",
}

// ReadFirmwares reads the descriptors in dirs; one in a later directory takes
// the place of one with the same name in an earlier one, and an empty file only
// takes it away. root is the whole file system (os.DirFS("/")), dirs and the
// paths within the descriptors are absolute. Firmware whose files are missing
// is left out. Descriptors that cannot be read are left out too, and are what
// the error tells of; the rest is good all the same.
func ReadFirmwares(root fs.FS, dirs ...string) (Firmwares, error) {
	files := map[string]string{}
	for _, dir := range dirs {
		found, _ := fs.Glob(root, strings.TrimPrefix(path.Join(dir, "*.json"), "/"))
		for _, file := range found {
			files[path.Base(file)] = file
		}
	}
	var all Firmwares
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		d, wanted, err := readDescriptor(root, files[name])
		if err != nil {
			failed = append(failed, fmt.Errorf("read the firmware descriptor /%s: %w", files[name], err))
		} else if wanted {
			all.descriptors = append(all.descriptors, d)
		}
	}
	for _, loader := range uBootPaths {
		if exists(root, loader) {
			all.loader = cmp.Or(all.loader, loader)
		}
	}
	return all, errors.Join(failed...)
}

// readDescriptor reads one descriptor. It is not wanted when it is empty, is
// of firmware in one piece, or its files are not there.
func readDescriptor(root fs.FS, file string) (d descriptor, wanted bool, err error) {
	data, err := fs.ReadFile(root, file)
	if err != nil || len(data) == 0 {
		return d, false, err
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return d, false, err
	}
	m := d.Mapping
	wanted = slices.Contains(d.InterfaceTypes, "uefi") && m.Device == "flash" && (m.Mode == "" || m.Mode == "split") &&
		exists(root, m.Executable.Filename) && exists(root, m.Template.Filename)
	return d, wanted, nil
}

func exists(root fs.FS, name string) bool {
	name = strings.TrimPrefix(path.Clean(name), "/")
	info, err := fs.Stat(root, name)
	return err == nil && info.Mode().IsRegular()
}

// For chooses the firmware for a complete spec and a versioned machine type.
// The error is an *UnsupportedError or a *MissingError.
func (f Firmwares) For(spec api.Spec, machineType string) (Firmware, error) {
	if spec.Firmware.Type == api.UEFI {
		return f.uefi(spec, machineType)
	}
	if spec.Architecture != api.RISCV64 || spec.Kernel != nil {
		return Firmware{}, nil // the board's own will do
	}
	if f.loader == "" {
		return Firmware{}, &MissingError{Program: "U-Boot for riscv64, which boots from drives,", Package: "u-boot-qemu"}
	}
	return Firmware{Loader: f.loader}, nil
}

func (f Firmwares) uefi(spec api.Spec, machineType string) (Firmware, error) {
	if chosen, found := f.choose(spec.Architecture, machineType, spec.Firmware.SecureBoot); found {
		return chosen, nil
	}
	field, what := "firmware.type", "no UEFI firmware"
	if spec.Firmware.SecureBoot {
		field, what = "firmware.secureBoot", "no UEFI firmware with secure boot and enrolled keys"
	}
	return Firmware{}, &UnsupportedError{
		Field: field, What: fmt.Sprintf("%s is installed for %s on %s", what, spec.Architecture, machineType),
		Help: map[api.Architecture]string{
			api.X8664:   "on Debian or Ubuntu, `apt install ovmf` installs it",
			api.AArch64: "on Debian or Ubuntu, `apt install qemu-efi-aarch64` installs it",
			api.RISCV64: "on Debian 13 or newer, `apt install qemu-efi-riscv64` installs it",
		}[spec.Architecture],
	}
}

// choose returns the first firmware that fits. Without secure boot, one that
// could do it but has no keys enrolled is as good, if there is no plainer one.
func (f Firmwares) choose(arch api.Architecture, machineType string, secure bool) (Firmware, bool) {
	wanted := []func(descriptor) bool{
		func(d descriptor) bool { return !d.has("secure-boot") && !d.has("enrolled-keys") },
		func(d descriptor) bool { return !d.has("enrolled-keys") },
	}
	if secure {
		wanted = []func(descriptor) bool{func(d descriptor) bool { return d.has("secure-boot") && d.has("enrolled-keys") }}
	}
	for _, fits := range wanted {
		for _, d := range f.descriptors {
			if fits(d) && d.targets(arch, machineType) {
				return d.firmware(), true
			}
		}
	}
	return Firmware{}, false
}

func (d descriptor) has(feature string) bool { return slices.Contains(d.Features, feature) }

func (d descriptor) targets(arch api.Architecture, machineType string) bool {
	for _, target := range d.Targets {
		for _, pattern := range target.Machines {
			if fits, _ := path.Match(pattern, machineType); fits && target.Architecture == string(arch) {
				return true
			}
		}
	}
	return false
}

func (d descriptor) firmware() Firmware {
	return Firmware{
		Code:         d.Mapping.Executable.Filename,
		CodeFormat:   cmp.Or(d.Mapping.Executable.Format, "raw"),
		VarsTemplate: d.Mapping.Template.Filename,
		VarsFormat:   cmp.Or(d.Mapping.Template.Format, "raw"),
		SecureBoot:   d.has("secure-boot") && d.has("enrolled-keys"),
		SMM:          d.has("requires-smm"),
	}
}

// Kinds lists what machines of an architecture can choose of: bios, uefi,
// uefi-secure.
func (f Firmwares) Kinds(caps Capabilities) []string {
	arch := caps.Architecture
	var kinds []string
	if arch != api.AArch64 { // which has none that boots from drives
		kinds = append(kinds, "bios")
	}
	for _, secure := range []bool{false, true} {
		for _, m := range caps.MachineTypes {
			if _, found := f.choose(arch, m.Name, secure); found {
				kinds = append(kinds, map[bool]string{false: "uefi", true: "uefi-secure"}[secure])
				break
			}
		}
	}
	return kinds
}
