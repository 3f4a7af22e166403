package manager

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cloudseed"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/task"
)

// seedOf is the disc that a drive has instead of its own, with another instance-id, relative to the machine's folder. It is
// made anew before each power-on.
func seedOf(drive api.Drive) string {
	return filepath.Join(folder.Environment, "seed-"+drive.Name+".iso")
}

// seeded tells whether such a disc was made.
func seeded(dir folder.Folder, drive api.Drive) bool {
	if drive.InstanceID == "" || drive.Source == "" {
		return false
	}
	_, err := os.Lstat(dir.Path(seedOf(drive)))
	return err == nil
}

// seedGuest makes the discs with other instance-ids. A disc that is no seed stays as it is.
func seedGuest(dir folder.Folder, spec api.Spec) error {
	for _, drive := range spec.Drives {
		if drive.Kind != api.Optical {
			continue
		}
		place := dir.Path(seedOf(drive))
		if err := removeFile(place); err != nil {
			return err
		}
		if drive.InstanceID == "" || drive.Source == "" {
			continue
		}
		seed, err := cloudseed.Read(drive.Source)
		if err == nil && seed == nil {
			continue
		}
		if err == nil {
			err = seed.SetInstance(drive.InstanceID)
		}
		if err == nil {
			err = os.MkdirAll(dir.Path(folder.Environment), 0o700)
		}
		if err == nil {
			err = seed.Write(place)
		}
		if err != nil {
			return fmt.Errorf("drive %s: %w", drive.Name, err)
		}
	}
	return nil
}

// giveInstances gives the discs of a clone that cloud-init reads an instance-id of the clone's own.
func giveInstances(r *task.Run, record *inventory.Record) {
	for i := range record.Spec.Drives {
		drive := &record.Spec.Drives[i]
		if drive.Kind != api.Optical || drive.Source == "" {
			continue
		}
		seed, err := cloudseed.Read(drive.Source)
		switch {
		case err != nil:
			r.Warn(fmt.Sprintf("drive %s: %s cannot be read; if cloud-init reads it, clones have the original's instance-id", drive.Name, drive.Source))
		case seed != nil:
			drive.InstanceID = "iid-" + record.Spec.UUID
		}
	}
}

// seedOnDisk warns of a seed that is on a disk: what is on disks is the guest's, and is copied as it is.
func seedOnDisk(drive api.Drive) string {
	if drive.Kind != api.Disk || drive.Source == "" || machine.IsRemote(drive.Source) {
		return ""
	}
	if seed, err := cloudseed.Read(drive.Source); err != nil || seed == nil {
		return ""
	}
	return fmt.Sprintf("drive %s: %s tells cloud-init which instance this is, and clones have the original's instance-id, and host keys; on an optical drive (kind=optical) they would have their own", drive.Name, drive.Source)
}
