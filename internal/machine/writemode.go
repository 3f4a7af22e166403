package machine

import (
	"slices"

	"github.com/panalvm/panal/api"
)

// WriteModeOf is a drive's write mode: what the spec says, or what the drive's
// mode means where it says nothing, as every spec did once.
func WriteModeOf(drive api.Drive) api.WriteMode {
	switch {
	case drive.WriteMode != "":
		return drive.WriteMode
	case drive.Mode == api.ReadOnly:
		return api.WriteNothing
	}
	return api.Normal
}

// InSnapshots tells whether snapshots take a drive's content in and back. It
// is the one place that says so: disks that keep what is written whatever
// happens, and those that throw it away, are left out.
func InSnapshots(drive api.Drive) bool {
	mode := WriteModeOf(drive)
	return drive.Kind == api.Disk && (mode == api.Normal || mode == api.Multiattach)
}

// Differs tells whether a drive writes into a differencing image above its
// content, which power-ons may throw away.
func Differs(drive api.Drive) bool { return WriteModeOf(drive) == api.Immutable }

// Resets tells whether a power-on throws away what was written to a drive.
func Resets(drive api.Drive) bool {
	return Differs(drive) && (drive.AutoReset == nil || *drive.AutoReset)
}

// Layered tells whether the image that is the drive's own stands on its source,
// and does not take its place.
func Layered(drive api.Drive) bool {
	return drive.File != "" && drive.Source != "" && (drive.Mode == api.Overlay || drive.Mode == api.Attach)
}

// WritesSource tells whether a guest writes the source itself, where it lies.
func WritesSource(drive api.Drive) bool {
	mode := WriteModeOf(drive)
	return drive.Mode == api.Attach && drive.File == "" && mode != api.Immutable && mode != api.WriteNothing
}

// defaultMode is the mode of a drive that has none, as far as the write mode
// says.
func defaultMode(drive api.Drive) api.DriveMode {
	switch {
	case drive.Source == "":
	case drive.WriteMode == api.Shareable, IsRemote(drive.Source) && drive.WriteMode != api.WriteNothing:
		return api.Attach
	case drive.WriteMode == api.WriteNothing:
		return api.ReadOnly
	}
	return ""
}

// writeMode checks that what becomes of writes fits where the content lives.
func (c *checker) writeMode(field string, drive api.Drive) {
	mode := WriteModeOf(drive)
	if !member(c, field+".writeMode", mode, api.Normal, api.Writethrough, api.Shareable, api.Immutable, api.Multiattach, api.WriteNothing) {
		return
	}
	field += ".writeMode"
	switch {
	case drive.Mode == api.ReadOnly && mode != api.WriteNothing:
		c.add(field, "is %s, but mode readonly attaches an image that is never written", mode)
	case drive.Kind != api.Disk && !slices.Contains([]api.WriteMode{api.Normal, api.WriteNothing}, mode):
		c.add(field, "is %s, which is for disks", mode)
	case mode == api.Multiattach && drive.Mode != api.Overlay:
		c.add(field, "is multiattach, which needs mode overlay: a source that no machine writes")
	case mode == api.Shareable && drive.Mode != api.Attach:
		c.add(field, "is shareable, which needs mode attach: a source that several machines write where it lies")
	case mode == api.Shareable && drive.File != "":
		c.add(field, "is shareable, but since a snapshot was taken of it the machine has an image of its own above the source, which it shares with nobody")
	case mode == api.Shareable && drive.Format != "" && drive.Format != "raw":
		c.add(field, "is shareable, but the source is %s: only raw images have a fixed size and nothing of their own to keep in order", clip(drive.Format))
	}
	if drive.AutoReset != nil && mode != api.Immutable {
		c.add(field[:len(field)-len("writeMode")]+"autoReset", "is for drives with writeMode immutable")
	}
}
