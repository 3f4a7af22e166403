package diskfile

import (
	"fmt"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/tarfs"
)

// notArchive refuses a whole archive that would be read as a raw disk only
// because no format has its signature.
func notArchive(img disk.Image, path string, files *hostfs.FS) error {
	if !disk.Describe(img).Guessed {
		return nil
	}
	look := *files
	look.Unlocked = true // it is open, maybe for writing
	file, err := tarfs.Over(&look).Open(path, false)
	if err != nil {
		return err
	}
	defer file.Close()
	return archived(file, path)
}

// mostNamed is how many members of an archive are named.
const mostNamed = 8

// archived is an error that names the members when a file is an archive.
func archived(file disk.File, name string) error {
	members, _ := tarfs.Members(file) // what is no archive has none, and is a raw disk
	if len(members) == 0 {
		return nil
	}
	names := make([]string, min(len(members), mostNamed))
	for i := range names {
		names[i] = members[i].Name
	}
	more := ""
	if len(members) > mostNamed {
		more = fmt.Sprintf(", and %d more", len(members)-mostNamed)
	}
	if name == "-" {
		return disk.Usage("it is an archive and no disk: it has %s%s; keep it in a file and name a member", strings.Join(names, ", "), more)
	}
	return disk.Usage("%s is an archive and no disk; name a member, as in %s/%s: it has %s%s; if it is meant as it is, say that its format is raw",
		name, name, names[0], strings.Join(names, ", "), more)
}
