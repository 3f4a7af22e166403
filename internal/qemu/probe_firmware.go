package qemu

import "os"

// InstalledFirmwares reads the descriptors of this computer.
func InstalledFirmwares(configDir string) (Firmwares, error) {
	return ReadFirmwares(os.DirFS("/"), FirmwareDirs(configDir)...)
}
