package qemu

import (
	"os/exec"

	"github.com/panalvm/panal/api"
)

// programs are the names that QEMU's system emulator has, by architecture.
var programs = map[api.Architecture][]string{
	api.X8664:   {"qemu-system-x86_64", "/usr/libexec/qemu-kvm", "qemu-kvm", "kvm"},
	api.AArch64: {"qemu-system-aarch64"},
	api.RISCV64: {"qemu-system-riscv64"},
}

// packages bring them.
var packages = map[api.Architecture]string{
	api.X8664:   "qemu-system-x86",
	api.AArch64: "qemu-system-arm",
	api.RISCV64: "qemu-system-misc",
}

// Find returns the path of the QEMU that emulates an architecture. The error is
// a *MissingError if there is none on PATH, and an *UnsupportedError if the
// architecture is unknown.
func Find(arch api.Architecture) (string, error) {
	names := programs[arch]
	if len(names) == 0 {
		return "", &UnsupportedError{Field: "architecture", What: "there is no QEMU for architecture " + string(arch)}
	}
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", &MissingError{Program: names[0], Package: packages[arch]}
}
