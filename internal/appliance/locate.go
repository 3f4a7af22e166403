package appliance

import (
	"io/fs"
	"path"
	"strings"
)

// Locate finds the file that a description in the directory dir of files
// refers to: by a relative path, or, where it was written on another computer
// ("C:\VMs\a.vmdk", "[datastore1] web/a.vmdk", "/vmfs/volumes/…/a.vmdk"), by its
// last part, or its last two, beside the description. It returns the name within files; found is
// false, and the name is that last part, when there is none.
//
// Nothing outside of files is ever named.
func Locate(files fs.FS, dir, ref string) (name string, found bool) {
	ref = strings.ReplaceAll(ref, `\`, "/")
	if _, rest, ok := strings.Cut(ref, "] "); ok && strings.HasPrefix(ref, "[") {
		ref = rest
	}
	whole := path.Clean("/" + ref)
	base := path.Base(whole)
	for _, tail := range []string{ref, path.Join(path.Base(path.Dir(whole)), base), base} {
		name := path.Join(dir, tail)
		if name == dir || name == "." || !fs.ValidPath(name) {
			continue
		}
		if info, err := fs.Stat(files, name); err == nil && (info.Mode().IsRegular() || info.IsDir()) {
			return name, true
		}
	}
	if base == "/" { // a reference to nothing; an empty name would be that of a new disk
		base = "(no name)"
	}
	return base, false
}
