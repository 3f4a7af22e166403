package diskfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
)

// destination is where a new image is to be, and as what.
type destination struct {
	path   string // absolute; "-" for standard output
	format string // as for disk.Find
	files  *hostfs.FS
}

// bundleDescriptor is the file by which a Parallels bundle is opened and made.
const bundleDescriptor = "DiskDescriptor.xml"

// destination finds out where an image of a name is to be made, before any work
// is done: whether the name is free, and whether there is a directory for it.
func (p Place) destination(name string, m Make) (destination, error) {
	if name == "" {
		return destination{}, errNoName
	}
	format, err := formatFor(name, m.Format)
	if err != nil || name == "-" {
		return destination{path: name, format: format}, err
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return destination{}, err
	}
	if m.bundle(format, path) && filepath.Base(path) != bundleDescriptor {
		path = filepath.Join(path, bundleDescriptor)
	}
	if path, err = placed(path, name); err != nil {
		return destination{}, err
	}
	files, err := p.around(path)
	if err != nil {
		return destination{}, err
	}
	return destination{path, format, files}, vacant(path, name, files, m.Replace)
}

// bundle tells whether a Parallels bundle was asked for. Nothing else of the
// format can have a parent, but what is called as a lone file is not made a
// directory unasked.
func (m Make) bundle(format, path string) bool {
	f, _, err := disk.Find(formats.All(), format)
	if err == nil && f.Name == "parallels" && m.Parent != "" && filepath.Ext(path) != ".hds" {
		return true
	}
	for name, value := range m.Options {
		if strings.EqualFold(name, "bundle") {
			return strings.EqualFold(value, "on") || strings.EqualFold(value, "true") || strings.EqualFold(value, "yes") || value == "1"
		}
	}
	return false
}

// placed follows the symbolic links of the directory that a new file is to lie
// in, and of the file itself, so that it is made where a link leads. A bundle's directory
// is made with it.
func placed(path, name string) (string, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	dir, rest := filepath.Dir(path), filepath.Base(path)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) && rest == bundleDescriptor {
		dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", &fs.PathError{Op: "create", Path: name, Err: refusal{"there is no directory " + dir, fs.ErrNotExist}}
	}
	return filepath.Join(real, rest), nil
}

// vacant tells whether an image may get the name: when there is none yet, when
// it may be replaced and no machine writes to it.
func vacant(path, name string, files *hostfs.FS, replace bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return &fs.PathError{Op: "create", Path: name, Err: refusal{"it is a directory", fs.ErrExist}}
	case isDevice(path):
		if !replace {
			return &fs.PathError{Op: "write onto", Path: name, Err: refusal{"it is a block device, and what it holds would be lost", fs.ErrExist}}
		}
		return nil
	case !replace:
		return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	file, err := files.Open(path, false)
	if busy := (*hostfs.Busy)(nil); errors.As(err, &busy) {
		return err
	}
	if err == nil {
		return file.Close()
	}
	return nil // what cannot be read can still be replaced
}

// refusal is an error in words of its own that counts as another.
type refusal struct {
	text string
	kind error
}

// Error is the words.
func (r refusal) Error() string { return r.text }

// Is makes it match its kind.
func (r refusal) Is(target error) bool { return target == r.kind }

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0
}

// errNoName says that a file was called "", as by a variable of a shell that
// was never set.
var errNoName = disk.Usage("the file has no name")

// ErrNoFormat says that nobody told what format a new image is to have.
var ErrNoFormat = disk.Usage("its name does not tell what format it is to have")

// formatFor is the format that was asked for, or the one whose images are
// usually named so.
func formatFor(name, format string) (string, error) {
	if format != "" {
		_, _, err := disk.Find(formats.All(), format)
		return format, err
	}
	if filepath.Base(name) == bundleDescriptor {
		return "parallels", nil
	}
	extension := strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
	for _, f := range formats.All() {
		for _, e := range f.Extensions {
			if e == extension {
				return f.Name, nil
			}
		}
	}
	return "", ErrNoFormat
}

// relative is a parent's path as it is written into a child: from the child's
// directory.
func relative(child, parent string) (string, error) {
	abs, err := filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(abs); err == nil && info.IsDir() {
		abs = filepath.Join(abs, bundleDescriptor)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	return filepath.Rel(filepath.Dir(child), abs)
}
