package machine

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
)

func (c *checker) drives() {
	c.limitGroups()
	places := map[string]int{}
	for i, drive := range c.spec.Drives {
		field := fmt.Sprintf("drives[%d]", i)
		c.medium(field, drive)
		c.image(field, drive)
		if kind, known := c.place(field, drive); known {
			c.suits(field, drive, kind)
		}
		c.dials(field, drive)
		if drive.Port == nil || drive.Controller == "" {
			continue
		}
		place := fmt.Sprintf("%s port %d", drive.Controller, *drive.Port)
		if other, taken := places[place]; taken {
			c.add(field+".port", "%s is taken by drives[%d]", clip(place), other)
		} else {
			places[place] = i
		}
	}
}

// maxInstanceID is how long an instance-id of cloud-init may be.
const maxInstanceID = 100

// inInstanceID tells whether a character means itself in YAML, at any place.
func inInstanceID(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
}

// medium checks what the drive is.
func (c *checker) medium(field string, drive api.Drive) {
	member(c, field+".kind", drive.Kind, api.Disk, api.Optical, api.FloppyDiskette)
	member(c, field+".mode", drive.Mode, api.Overlay, api.Own, api.ReadOnly, api.Attach)
	c.writeMode(field, drive)
	if drive.Format != "" {
		member(c, field+".format", drive.Format, "raw", "qcow2", "vdi", "vmdk", "vhd", "vpc", "vhdx", "parallels", "xva", "qcow", "luks")
	}
	c.encryption(field, drive)
	if drive.Snapshot != "" && (drive.Source == "" || drive.Mode == api.Own || drive.Mode == api.Attach && !Layered(drive)) {
		c.add(field+".snapshot", "is of an image that the drive stands on; this drive has none")
	}
	if drive.Kind == api.Optical && drive.Mode != api.ReadOnly {
		c.add(field+".mode", "must be readonly for an optical drive")
	}
	if drive.InstanceID != "" && drive.Kind != api.Optical {
		c.add(field+".instanceID", "is for optical drives, with a disc for cloud-init")
	}
	if len(drive.InstanceID) > maxInstanceID || !only(drive.InstanceID, inInstanceID) {
		c.add(field+".instanceID", "is not at most %d letters, digits, dots, underscores and hyphens", maxInstanceID)
	}
	if len(drive.Serial) > 20 || !only(drive.Serial, func(r rune) bool { return r >= ' ' && r <= '~' }) {
		c.add(field+".serial", "is not at most 20 printable ASCII characters")
	}
	switch {
	case drive.Size < 0 || drive.Size > maxBytes:
		c.add(field+".size", "is %d bytes; it must be at most %d", int64(drive.Size), int64(maxBytes))
	case drive.Size%512 != 0:
		c.add(field+".size", "is %d bytes; it must be a multiple of 512", int64(drive.Size))
	}
}

// encryption checks how an encrypted drive comes to its passphrase.
func (c *checker) encryption(field string, drive api.Drive) {
	if drive.PassphraseFile != "" {
		c.absolute(field+".passphraseFile", drive.PassphraseFile)
	}
	switch {
	case drive.PassphraseFile != "" && drive.KeyCommand != "":
		c.add(field+".keyCommand", "contradicts passphraseFile: the passphrase comes from one of them")
	case len(drive.KeyCommand) > maxPath || !isPrintable(drive.KeyCommand):
		c.add(field+".keyCommand", "is not a printable command of at most %d bytes", maxPath)
	case drive.Encrypted && IsRemote(drive.Source):
		c.add(field+".encrypted", "is for images; a disk that is served over the network is used as it is")
	}
}

// image checks where the drive's content is.
func (c *checker) image(field string, drive api.Drive) {
	if drive.Source != "" {
		c.source(field, drive)
	}
	if drive.File != "" && !isLocal(drive.File) {
		c.add(field+".file", "%q is not a path within the machine's folder", clip(drive.File))
	}
	if drive.Source != "" || drive.File != "" {
		return
	}
	switch {
	case drive.Kind == api.Disk && drive.Mode == api.Own && drive.Size == 0:
		c.add(field+".size", "is missing; a new disk needs it, or drives[].source an image")
	case drive.Kind == api.Disk && drive.Mode != api.Own:
		c.add(field+".source", "is missing; mode %s needs an image", clip(string(drive.Mode)))
	}
}

// isLocal says whether a relative path stays in the folder it is relative to.
func isLocal(name string) bool {
	return len(name) <= maxPath && isPrintable(name) && !path.IsAbs(name) && path.Clean(name) == name &&
		name != "." && name != ".." && !strings.HasPrefix(name, "../")
}

// place checks where the drive is attached, and returns its controller's type.
func (c *checker) place(field string, drive api.Drive) (api.ControllerType, bool) {
	at := slices.IndexFunc(c.spec.Controllers, func(k api.Controller) bool { return k.Name == drive.Controller })
	switch {
	case drive.Controller == "":
		c.add(field+".controller", "is missing, and no controller has a place for it; add one to controllers")
		return "", false
	case at < 0:
		c.add(field+".controller", "there is no controller %q", clip(drive.Controller))
		return "", false
	}
	kind := c.spec.Controllers[at].Type
	ports := PortsOf(c.board, kind)
	switch {
	case ports == 0:
		return "", false // the controller's own error says it
	case drive.Port == nil:
		c.add(field+".port", "is missing: all %d ports of %s are taken, and it has no more: %s", ports, clip(drive.Controller), reasonOf(c.board, kind))
	case *drive.Port < 0 || *drive.Port >= ports:
		c.add(field+".port", "is %d; the ports of %s are 0 to %d: %s", *drive.Port, clip(drive.Controller), ports-1, reasonOf(c.board, kind))
	}
	return kind, true
}

// suits checks the drive against its controller.
func (c *checker) suits(field string, drive api.Drive, kind api.ControllerType) {
	if !slices.Contains(controllerTraits[kind].kinds, drive.Kind) {
		c.add(field+".controller", "a controller of type %s takes no drive of kind %s", kind, clip(string(drive.Kind)))
	}
	if drive.Kind == api.Disk && WriteModeOf(drive) == api.WriteNothing && (kind == api.IDE || kind == api.SATA) {
		c.add(field+".mode", "an %s disk cannot be read-only; use another controller or mode", kind)
	}
	if drive.SSD && (drive.Kind != api.Disk || kind == api.VirtioBlk || kind == api.NVMe) {
		c.add(field+".ssd", "is to be had for disks on IDE, SATA, SCSI, SAS and USB controllers")
	}
	if drive.Serial != "" && (kind == api.NVMe || kind == api.Floppy) {
		c.add(field+".serial", "a drive on an %s controller has no serial number", kind)
	}
}
