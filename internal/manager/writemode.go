package manager

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
)

// differenceOf is where an immutable drive writes, relative to the machine's
// folder. It is not in the spec: what is there may be gone tomorrow.
func differenceOf(drive api.Drive) string {
	return filepath.Join(folder.Disks, drive.Name+".difference.qcow2")
}

// renewDifferences makes the images that immutable drives write, at a power-on:
// new ones, but for drives that keep theirs. A saved machine is not powered on.
func renewDifferences(dir folder.Folder, spec api.Spec, saved bool) error {
	for _, drive := range spec.Drives {
		if !machine.Differs(drive) || saved {
			continue
		}
		if err := renewDifference(dir, drive); err != nil {
			return fmt.Errorf("drive %s: %w", drive.Name, err)
		}
	}
	return nil
}

func renewDifference(dir folder.Folder, drive api.Drive) error {
	path := dir.Path(differenceOf(drive))
	_, err := os.Lstat(path)
	if err == nil && !machine.Resets(drive) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return media.CreateDifference(path, media.StackOf(drive, ownImage(dir, drive))[0])
}

// openKept opens what a machine without a process keeps on a drive, for reading: what is written on an immutable one is
// part of that only where no power-on throws it away.
func openKept(dir folder.Folder, drive api.Drive, keys disk.Keys) (disk.Image, error) {
	difference := dir.Path(differenceOf(drive))
	if machine.Differs(drive) && !machine.Resets(drive) {
		if _, err := os.Lstat(difference); err == nil {
			return media.OpenDifference(difference, drive, ownImage(dir, drive), keys)
		}
	}
	return media.OpenDrive(drive, ownImage(dir, drive), keys)
}

// attachable tells whether a machine can write an image where it lies.
func attachable(drive api.Drive, chain media.Chain) error {
	if drive.Mode != api.Attach || !machine.WritesSource(drive) {
		return nil
	}
	if drive.WriteMode == api.Shareable && (chain[0].Format != "raw" || !chain.Plain()) {
		return problem.New(api.KindUnsupported, "`panal medium copy --format raw` makes one",
			"image %s is %s: shareable is for raw images, which have a fixed size and nothing of their own to keep in order",
			drive.Source, chain[0].Format)
	}
	if chain.Plain() {
		return nil
	}
	return media.Writable(media.RefOf(drive))
}
