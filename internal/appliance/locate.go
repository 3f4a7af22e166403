package appliance

import (
	"io/fs"
	"path"
	"strings"
)

// Locate finds the file that a description in the directory dir of files
// refers to: by a relative path, or, where it was written on another computer
// ("C:\VMs\a.vmdk", "[datastore1] web/a.vmdk", "/vmfs/volumes/…/a.vmdk"), by its
// last part beside the description. It returns the name within files; found is
// false, and the name is that last part, when there is none.
//
// Nothing outside of files is ever named.
func Locate(files fs.FS, dir, ref string) (name string, found bool) {
	ref = strings.ReplaceAll(ref, `\`, "/")
	if _, rest, ok := strings.Cut(ref, "] "); ok && strings.HasPrefix(ref, "[") {
		ref = rest
	}
	base := path.Base(path.Clean("/" + ref))
	for _, name := range []string{path.Join(dir, ref), path.Join(dir, base)} {
		if !path.IsAbs(ref) && fs.ValidPath(name) || path.Base(name) == base && fs.ValidPath(name) {
			if info, err := fs.Stat(files, name); err == nil && name != dir && (info.Mode().IsRegular() || info.IsDir()) {
				return name, true
			}
		}
	}
	return base, false
}
