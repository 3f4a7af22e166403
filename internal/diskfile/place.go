package diskfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/tarfs"
)

// Place says where images may be and refer to.
type Place struct {
	Allow    []string  // directories that images may refer to, besides their own
	Anywhere bool      // they may refer to any file
	Stdin    io.Reader // what "-" is
	// Keys opens images that are encrypted, for all that is opened without keys of its own; nil
	// leaves their content locked.
	Keys disk.Keys
	// Through, when set, gives the files that an image is opened from in the
	// place of those of the host, within the same bounds: to note which are opened.
	Through func(*hostfs.FS) disk.FS

	opened func(name string, img disk.Image) // as disk.Options.Opened
}

// OpenOptions say how an image is to be opened.
type OpenOptions struct {
	Format   string // its format; "" to look at its content
	Write    bool
	Alone    bool      // without its parent
	Unlocked bool      // also while a machine writes to it
	InUse    bool      // for writing while a machine writes to it, what that does not write
	Snapshot string    // a snapshot within it
	Keys     disk.Keys // opens it if it is encrypted; nil leaves the content locked
}

// Open opens the image that a name means.
func (p Place) Open(name string, o OpenOptions) (disk.Image, error) {
	options := disk.Options{
		Formats: formats.All(), Format: o.Format, Write: o.Write, Alone: o.Alone, Snapshot: o.Snapshot, Opened: p.opened, Keys: o.Keys,
	}
	if o.Keys == nil {
		options.Keys = p.Keys
	}
	if name == "-" {
		return p.openStream(o, options)
	}
	path, files, err := p.find(name)
	if err != nil {
		return nil, err
	}
	files.Unlocked, files.InUse = o.Unlocked, o.InUse
	options.FS = tarfs.Over(p.through(files))
	img, err := disk.Open(path, options)
	if err != nil {
		return nil, err
	}
	if err := notArchive(img, path, files); err != nil {
		return nil, errors.Join(err, img.Close())
	}
	return hasSnapshot(img, name, o.Snapshot)
}

func (p Place) through(files *hostfs.FS) disk.FS {
	if p.Through == nil {
		return files
	}
	return p.Through(files)
}

// hasSnapshot refuses an image that was to be opened in an earlier state and
// has none: its format passed over the wish.
func hasSnapshot(img disk.Image, name, snapshot string) (disk.Image, error) {
	if _, ok := img.(disk.Snapshotter); snapshot == "" || ok {
		return img, nil
	}
	return nil, errors.Join(disk.Usage("%s holds no earlier states of itself, and so no %q", name, snapshot), img.Close())
}

// find gives the path that a name means and the files that may be reached from
// there.
func (p Place) find(name string) (string, *hostfs.FS, error) {
	if name == "" {
		return "", nil, errNoName
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return "", nil, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if path, err = bundle(path); err != nil {
			return "", nil, err
		}
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if archive(path) == path {
		return "", nil, &fs.PathError{Op: "open", Path: name, Err: cause(err)}
	}
	files, err := p.around(archive(path))
	return path, files, err
}

// cause is an error without the path that it names.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// around is what an image at path may refer to.
func (p Place) around(path string) (*hostfs.FS, error) {
	if p.Anywhere {
		return hostfs.Everywhere(), nil
	}
	if dir := filepath.Dir(path); filepath.Base(path) == bundleDescriptor && strings.EqualFold(filepath.Ext(dir), ".hdd") {
		path = dir // to people, the bundle is the file
	}
	files, err := hostfs.Beside(path)
	if err != nil {
		return nil, err
	}
	for _, dir := range p.Allow {
		if err := files.Allow(dir); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// bundle is the file that describes a bundle of Parallels.
func bundle(dir string) (string, error) {
	path := filepath.Join(dir, bundleDescriptor)
	if _, err := os.Stat(path); err != nil {
		return "", &fs.PathError{Op: "open", Path: dir, Err: fmt.Errorf("it is a directory, and no Parallels bundle: it has no %s", bundleDescriptor)}
	}
	return path, nil
}

// archive is the part of a path that is a file: of "a.ova/b.vmdk", the
// archive.
func archive(path string) string {
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err == nil && info.Mode().IsRegular() {
			return at
		}
		if err == nil || len(at) <= 1 {
			return path
		}
	}
}

// openStream takes in what can be read only once, into a file without a name.
func (p Place) openStream(o OpenOptions, options disk.Options) (disk.Image, error) {
	if o.Write {
		return nil, disk.Usage("standard input cannot be written to")
	}
	stage := hostfs.NewStage(hostfs.Everywhere())
	defer stage.Abort()
	spool, err := stage.Create(filepath.Join(os.TempDir(), "standard-input"))
	if err != nil {
		return nil, err
	}
	if _, err := Pour(spool, p.Stdin); err != nil {
		return nil, errors.Join(fmt.Errorf("keep standard input in %s, which TMPDIR may change: %w", os.TempDir(), err), spool.Close())
	}
	options.FS = disk.NoFS{}
	img, err := disk.OpenFile(spool, "standard input", options)
	if err != nil {
		return nil, err
	}
	if disk.Describe(img).Guessed {
		if err := archived(spool, "-"); err != nil {
			return nil, errors.Join(err, img.Close())
		}
	}
	return hasSnapshot(img, "standard input", o.Snapshot)
}

// Pour writes a stream to a file, leaves holes where it is zero, and says how
// long it was.
func Pour(f disk.File, from io.Reader) (int64, error) {
	buffer := make([]byte, 1<<20)
	from = disk.StrictEnd(from)
	var off int64
	for {
		n, err := io.ReadFull(from, buffer)
		if !zero(buffer[:n]) {
			if _, err := f.WriteAt(buffer[:n], off); err != nil {
				return off, err
			}
		}
		off += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return off, f.Truncate(off)
		}
		if err != nil {
			return off, err
		}
	}
}

func zero(p []byte) bool {
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}
