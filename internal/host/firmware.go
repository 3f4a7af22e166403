package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/qemu"
)

// Firmware chooses the firmware of a machine. The machine's own variables are
// a copy of the firmware's template, made in the directory when the machine
// first needs one; secure boot has others, with keys enrolled.
func (h *Host) Firmware(spec api.Spec, machineType, dir string) (qemu.Firmware, error) {
	if spec.Firmware.Type == api.BIOS && spec.Architecture == api.X8664 {
		return qemu.Firmware{}, nil // QEMU brings it along
	}
	chosen, err := h.firmwares().For(spec, machineType)
	if err != nil || chosen.VarsTemplate == "" {
		return chosen, err
	}
	name := "vars.fd"
	if chosen.SecureBoot {
		name = "vars-secure.fd"
	}
	chosen.Vars = filepath.Join(dir, name)
	if err := copyOnce(chosen.VarsTemplate, chosen.Vars); err != nil {
		return chosen, fmt.Errorf("make the firmware's variables: %w", err)
	}
	return chosen, nil
}

// firmwares reads what is installed, anew each time: it takes a millisecond,
// and what was just installed counts. Descriptors that cannot be read are
// somebody else's mistake; the rest is good.
func (h *Host) firmwares() qemu.Firmwares {
	config, err := os.UserConfigDir()
	if err != nil {
		config = "" // without HOME there are no descriptors of the user's
	}
	installed, err := qemu.InstalledFirmwares(config)
	if err != nil {
		h.log.Warn("some firmware descriptors cannot be read", "error", err)
	}
	return installed
}

// copyOnce copies a file to a place where none is yet, whole or not at all.
func copyOnce(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	part := to + ".part"
	target, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	err = errors.Join(err, target.Sync(), target.Close())
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, to)
}
