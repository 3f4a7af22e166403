package machine

import (
	"fmt"
	"strings"

	"github.com/panalvm/panal/api"
)

// shorthand is a key that is not a field's path.
type shorthand struct {
	key   string
	path  string // the field's path that it stands for, if it is just another word for it
	doc   string
	apply func(a *assigner, value string) error
}

// shorthandNamed finds a shorthand by its key.
func shorthandNamed(key string) (shorthand, bool) {
	for _, s := range shorthands() {
		if s.key == key {
			return s, true
		}
	}
	return shorthand{}, false
}

// shorthands returns all of them.
func shorthands() []shorthand {
	return []shorthand{
		alias("cpus", "cpu.count"),
		{"cap", "cpu.cap", "short for cpu.cap, in percent", func(a *assigner, value string) error {
			return alias("cap", "cpu.cap").apply(a, strings.TrimSuffix(value, "%"))
		}},
		alias("balloon", "memory.balloon"),
		alias("arch", "architecture"),
		alias("machine", "machineType"),
		alias("restart", "restart.policy"),
		alias("autostart", "autostart.enabled"),
		alias("display", "display.type"),
		alias("video", "display.video"),
		{"memory", "memory.size", "short for memory.size; MINIMUM..MAXIMUM for both ends of a range", assignMemory},
		{"firmware", "", "bios, uefi, or uefi-secure for UEFI with secure boot", assignFirmware},
		{"tpm", "", "2.0 or 1.2 for an emulated TPM, none for none", assignTPM},
		{"environment", "", "short for environment.drive; none tells the guest nothing any more", assignEnvironment},
		{"snapshots", "", "the whole schedule, such as hourly:24,daily:7; none takes no more", assignSnapshots},
		{"kernel", "", "short for kernel.image; none boots from the drives again", assignKernel},
	}
}

// alias makes a key that stands for a field's path.
func alias(key, path string) shorthand {
	return shorthand{key, path, "short for " + path, func(a *assigner, value string) error {
		before := len(a.errors)
		a.assign(path + "=" + value)
		for i := range a.errors[before:] {
			a.errors[before+i].Field = key
		}
		return nil
	}}
}

func assignFirmware(a *assigner, value string) error {
	switch strings.ToLower(value) {
	case "":
		a.spec.Firmware = api.Firmware{}
	case "bios":
		a.spec.Firmware = api.Firmware{Type: api.BIOS}
	case "uefi":
		a.spec.Firmware = api.Firmware{Type: api.UEFI}
	case "uefi-secure":
		a.spec.Firmware = api.Firmware{Type: api.UEFI, SecureBoot: true}
	default:
		return fmt.Errorf("is %q; it must be one of bios, uefi, uefi-secure", clip(value))
	}
	return nil
}

func assignTPM(a *assigner, value string) error {
	switch value {
	case "", "none", "off":
		a.spec.TPM = nil
	case "on":
		a.spec.TPM = &api.TPM{}
	default:
		a.spec.TPM = &api.TPM{Version: value}
	}
	return nil
}

func assignEnvironment(a *assigner, value string) error {
	if value == "" || value == "none" {
		a.spec.Environment = nil
		return nil
	}
	if a.spec.Environment == nil {
		a.spec.Environment = &api.Environment{}
	}
	a.spec.Environment.Drive = value
	return nil
}

func assignKernel(a *assigner, value string) error {
	if value == "" || value == "none" {
		a.spec.Kernel = nil
		return nil
	}
	if a.spec.Kernel == nil {
		a.spec.Kernel = &api.Kernel{}
	}
	a.spec.Kernel.Image = value
	return nil
}
