// Package hostfs lets images be kept in files of the host, within the
// directories that the caller allows:
//
//	Beside(name)     the directory of one image, and what lies below
//	Within(dirs…)    some directories
//	Everywhere()     no bounds: for images that are trusted
//
// What an image refers to, its parents and extents, is opened through
// [os.Root], so neither ".." nor a symbolic link leads out. Files are locked as
// QEMU locks them: a disk that a machine writes to cannot be opened here, and
// one that is written here cannot be started from. The locks end with the
// process.
//
// [Stage] makes files that have no name until they are complete.
package hostfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk"
)

// FS is the host's files within some directories. Names are paths; Resolve
// and Siblings give absolute ones.
type FS struct {
	// Unlocked leaves locks alone: for looking at an image that is in use. What
	// is read may then be in the midst of a change. Files opened for writing are locked even so.
	Unlocked bool
	// InUse leaves locks alone for writing, too: for a part of an image that whoever uses the image
	// does not write.
	InUse bool

	roots []string // absolute, without symbolic links; nil: everywhere
}

// Everywhere has no bounds.
func Everywhere() *FS { return &FS{} }

// Within is bounded to some directories and what is below them.
func Within(dirs ...string) (*FS, error) {
	f := &FS{roots: []string{}}
	for _, dir := range dirs {
		if err := f.Allow(dir); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Beside is bounded to the directory of an image, or of the file that it is a
// symbolic link to. In a directory called Snapshots, as VirtualBox makes it, the one above belongs to
// it too. The file need not exist.
func Beside(name string) (*FS, error) {
	real, err := realPath(name)
	if err != nil {
		return nil, err
	}
	f := &FS{roots: []string{filepath.Dir(real)}}
	if strings.EqualFold(filepath.Base(f.roots[0]), "Snapshots") {
		f.roots = append(f.roots, filepath.Dir(f.roots[0]))
	}
	return f, nil
}

// Allow adds a directory and what is below it.
func (f *FS) Allow(dir string) error {
	real, err := realPath(dir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(real); err != nil {
		return err
	} else if !info.IsDir() {
		return &fs.PathError{Op: "allow", Path: dir, Err: errors.New("not a directory")}
	}
	f.roots = append(f.roots, real)
	return nil
}

// realPath makes a path absolute and follows symbolic links as far as the
// path exists.
func realPath(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
		if err != nil {
			return abs, nil
		}
		return filepath.Join(dir, filepath.Base(abs)), nil
	}
	return real, err
}

// Open opens a file or a block device.
func (f *FS) Open(name string, write bool) (disk.File, error) {
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	file, err := f.openIn(name, flags)
	if err != nil {
		return nil, err
	}
	opened, err := wrap(file, write)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if f.InUse || f.Unlocked && !write {
		return opened, nil
	}
	if err := lock(file, write); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return opened, nil
}

// Create makes a file.
func (f *FS) Create(name string) (disk.File, error) {
	file, err := f.openIn(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err := lock(file, true); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(name))
	}
	return &File{file: file, write: true, direct: openDirect(file), fresh: filepath.Dir(name)}, nil
}

// Remove deletes a file.
func (f *FS) Remove(name string) error {
	if f.roots == nil {
		return os.Remove(name)
	}
	root, rel, err := f.root(name)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.Remove(rel)
}

// Rename puts a file in the place of another of the same directory, and gives
// it that one's mode and, if it may, owner. A symbolic link stays: the file that it
// leads to is replaced.
func (f *FS) Rename(from, to string) error {
	to, err := realPath(to)
	if err != nil {
		return err
	}
	if dir, err := realPath(filepath.Dir(from)); err != nil || dir != filepath.Dir(to) {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: errors.Join(errors.New("not in one directory"), err)}
	}
	root, rel, err := f.root(from)
	if f.roots == nil {
		root, err = os.OpenRoot(filepath.Dir(to))
		rel = filepath.Base(from)
	}
	if err != nil {
		return err
	}
	defer root.Close()
	old := filepath.Join(filepath.Dir(rel), filepath.Base(to))
	if info, err := root.Stat(old); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = root.Lchown(rel, int(owner.Uid), int(owner.Gid)) // most users may not
		}
		if err := root.Chmod(rel, info.Mode().Perm()); err != nil {
			return err
		}
	}
	if err := root.Rename(rel, old); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// openIn opens a file within the bounds. It waits for nobody: an image may
// name a pipe that no one writes to, and what kind of file it is shows only then.
func (f *FS) openIn(name string, flags int) (*os.File, error) {
	flags |= unix.O_NONBLOCK
	if f.roots == nil {
		return os.OpenFile(name, flags, 0o666)
	}
	root, rel, err := f.root(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := root.OpenFile(rel, flags, 0o666)
	if err != nil && strings.Contains(err.Error(), "path escapes") { // os.Root has no error value for it
		return nil, outside(name)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = &fs.PathError{Op: "open", Path: name, Err: e.Err} // the root's error has the rest of the path only
	}
	return file, err
}

// root opens the allowed directory that name lies in, and gives the rest of
// the path.
func (f *FS) root(name string) (*os.Root, string, error) {
	dir, rel, ok := f.within(name)
	if !ok {
		return nil, "", outside(name)
	}
	root, err := os.OpenRoot(dir)
	return root, rel, err
}

func (f *FS) within(name string) (dir, rel string, ok bool) {
	real, err := realPath(name)
	if err != nil {
		return "", "", false
	}
	for _, dir := range f.roots {
		if rel, err := filepath.Rel(dir, real); err == nil && filepath.IsLocal(rel) {
			return dir, rel, true
		}
	}
	return "", "", false
}

func outside(name string) error {
	return &fs.PathError{Op: "open", Path: name, Err: disk.ErrOutside}
}

// Resolve follows a reference. A path of Windows with a drive or a server
// cannot be meant here: the file of that name beside the image is.
func (f *FS) Resolve(from, ref string) (string, error) {
	if strings.ContainsRune(ref, 0) || ref == "" {
		return "", &fs.PathError{Op: "open", Path: ref, Err: fs.ErrInvalid}
	}
	dir, err := realPath(from)
	if err != nil {
		return "", err
	}
	dir = filepath.Dir(dir)
	name := filepath.Join(dir, local(ref))
	if filepath.IsAbs(ref) {
		name = filepath.Clean(ref)
	}
	if f.roots == nil {
		return name, nil
	}
	if _, _, ok := f.within(name); !ok {
		return "", outside(name)
	}
	return name, nil
}

// local turns a reference that is no absolute path of this host into one with
// slashes. A name that has backslashes and slashes is taken as it is.
func local(ref string) string {
	if strings.Contains(ref, "/") || !strings.Contains(ref, `\`) {
		return ref
	}
	slashed := strings.ReplaceAll(ref, `\`, "/")
	drive := len(slashed) > 1 && slashed[1] == ':'
	if drive || strings.HasPrefix(slashed, "//") {
		return slashed[strings.LastIndexAny(slashed, "/:")+1:]
	}
	return strings.TrimPrefix(slashed, "/")
}

// mostSiblings bounds a search in a directory of many files.
const mostSiblings = 4096

// Siblings lists the regular files beside name, those in the directory above when
// that is allowed and the image lies in Snapshots, and those in the directories
// that were allowed.
func (f *FS) Siblings(name string) ([]string, error) {
	real, err := realPath(name)
	if err != nil {
		return nil, err
	}
	dirs := []string{filepath.Dir(real)}
	if strings.EqualFold(filepath.Base(dirs[0]), "Snapshots") {
		dirs = append(dirs, filepath.Dir(dirs[0]))
	}
	for _, dir := range f.roots {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	var found []string
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.Type().IsRegular() && path != real && f.allowed(path) {
				found = append(found, path)
			}
		}
	}
	return slices.Clip(found[:min(len(found), mostSiblings)]), nil
}

func (f *FS) allowed(name string) bool {
	if f.roots == nil {
		return true
	}
	_, _, ok := f.within(name)
	return ok
}

// Busy says that another process uses a file.
type Busy struct {
	Name string
	Why  string
}

// Error is one line.
func (b *Busy) Error() string { return fmt.Sprintf("%s: %s", b.Name, b.Why) }
