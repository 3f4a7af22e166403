package media

import (
	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
)

// OpenDrive opens what the guest sees on a drive, for reading: the machine's own
// image, which is at path, "" if it has none, over what the drive was made from. It
// fails while a machine writes to it, or to the attached image that the drive writes, and holds machines off until it is closed.
//
// A differencing image is not asked what it stands on: the drive says that, and
// it may lie in directories that no image may refer to. Keys opens what is encrypted.
func OpenDrive(drive api.Drive, path string, keys disk.Keys) (disk.Image, error) {
	attached := drive.Mode == api.Attach && drive.WriteMode != api.Shareable && drive.WriteMode != api.WriteNothing
	return openStack(StackOf(drive, path), path != "" || attached, keys)
}

// OpenDifference is OpenDrive for a drive that writes a differencing image above all that, the QCOW2 one at difference.
func OpenDifference(difference string, drive api.Drive, path string, keys disk.Keys) (disk.Image, error) {
	return openStack(append([]Ref{{Path: difference, Format: "qcow2"}}, StackOf(drive, path)...), true, keys)
}
