// Package pool knows the places that machines' folders are put into. There is one kind, a directory of this
// host; the daemon's own is the pool "default".
//
// A directory of a pool holds a file that says which pool it is (see [Mark]). A file system that is not mounted shows the empty
// directory below its mount point: without the file, machines would be made there, and be hidden by the next mount.
package pool

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// Default is the name of the pool that is always there.
const Default = "default"

// Record is a pool as it is stored, under its name.
type Record struct {
	Path string `json:"path"` // absolute, of the directory
	ID   string `json:"id"`   // what the directory's mark says
}

var name = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$`)

// CheckName refuses what no pool can be called.
func CheckName(text string) error {
	if !name.MatchString(text) {
		return problem.New(api.KindInvalid, "", "%q is no name of a pool: it must be of letters, digits, dots, - and _, 63 at most, and begin with a letter or digit", text)
	}
	return nil
}

// Overlaps tells whether one of two directories is, or lies in, the other.
func Overlaps(a, b string) bool {
	return Within(a, b) || Within(b, a)
}

// Within tells whether a path is a directory, or lies in it.
func Within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// Holds tells whether a machine's folder is in a pool's directory.
func Holds(dir, folder string) bool { return filepath.Dir(folder) == filepath.Clean(dir) }
