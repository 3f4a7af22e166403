// Package tarfs lets images be read where they lie in a tar archive, such as an OVA,
// without unpacking it.
//
//	fs := tarfs.Over(hostfs.Beside("appliance.ova"))
//	img, err := disk.Open("appliance.ova/disk1.vmdk", disk.Options{FS: fs, …})
//
// A name is cut at the first file on its way that is an archive; what follows
// is a member. References in a member lead to members of the same archive and
// never out of it. Of an archive with several members of one name the first
// counts. All archives that the package archive/tar reads are understood:
// ustar, PAX and GNU, with long names and members beyond 8 GiB.
package tarfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/window"
)

// FS is another FS with the members of its archives.
type FS struct{ inner disk.FS }

// Over adds the members of archives in inner.
func Over(inner disk.FS) *FS { return &FS{inner: inner} }

// Open opens a file of the inner FS or, for reading, a member of an archive
// there.
func (f *FS) Open(name string, write bool) (disk.File, error) {
	file, outer := f.inner.Open(name, write)
	if outer == nil {
		return file, nil
	}
	archive, at, ok := f.cut(name)
	if !ok {
		if file := f.onTheWay(name); file != "" {
			return nil, &fs.PathError{Op: "open", Path: name, Err: noArchive{file}}
		}
		return nil, outer
	}
	if write {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("a member of an archive: %w", disk.ErrReadOnly)}, archive.Close())
	}
	if isSelection(at.member) {
		return &Selected{File: archive, selection: at.member}, nil
	}
	return openMember(archive, at)
}

// Create makes a file in the inner FS; archives do not grow.
func (f *FS) Create(name string) (disk.File, error) {
	if archive, _, ok := f.cut(name); ok {
		return nil, errors.Join(&fs.PathError{Op: "create", Path: name, Err: disk.ErrReadOnly}, archive.Close())
	}
	return f.inner.Create(name)
}

// Remove deletes a file of the inner FS.
func (f *FS) Remove(name string) error {
	err := f.inner.Remove(name)
	if err == nil {
		return nil
	}
	if archive, _, ok := f.cut(name); ok {
		return errors.Join(&fs.PathError{Op: "remove", Path: name, Err: disk.ErrReadOnly}, archive.Close())
	}
	return err
}

// Rename renames a file of the inner FS, where that can.
func (f *FS) Rename(from, to string) error { return disk.Rename(f.inner, from, to) }

// Resolve follows a reference. From a member it leads to a member of the same
// archive; absolute paths are outside.
func (f *FS) Resolve(from, ref string) (string, error) {
	at, inside := f.locate(from)
	if !inside {
		return f.inner.Resolve(from, ref)
	}
	slashed := strings.ReplaceAll(ref, `\`, "/")
	if drive := len(slashed) > 1 && slashed[1] == ':'; drive || strings.HasPrefix(slashed, "//") {
		slashed = slashed[strings.LastIndexAny(slashed, "/:")+1:] // of another computer: the name is what is left
	}
	joined := path.Join(path.Dir(at.member), slashed)
	if slashed == "" || path.IsAbs(slashed) || joined == ".." || strings.HasPrefix(joined, "../") {
		return "", &fs.PathError{Op: "open", Path: ref, Err: disk.ErrOutside}
	}
	return at.archive + "/" + joined, nil
}

// Siblings lists the other members of an archive, or what the inner FS has.
func (f *FS) Siblings(name string) ([]string, error) {
	if file, err := f.inner.Open(name, false); err == nil {
		return f.beside(name, file)
	}
	archive, at, ok := f.cut(name)
	if !ok {
		return f.inner.Siblings(name)
	}
	members, err := Members(archive)
	if err = errors.Join(err, archive.Close()); err != nil {
		return nil, err
	}
	var all []string
	for _, m := range members {
		if m.Name != at.member {
			all = append(all, at.archive+"/"+m.Name)
		}
	}
	return all, nil
}

func (f *FS) beside(name string, file disk.File) ([]string, error) {
	if err := file.Close(); err != nil {
		return nil, err
	}
	return f.inner.Siblings(name)
}

// place is a member's name, taken apart.
type place struct{ archive, member string }

// locate tells whether a name is that of a member.
func (f *FS) locate(name string) (place, bool) {
	if file, err := f.inner.Open(name, false); err == nil {
		_ = file.Close() // was only read
		return place{}, false
	}
	archive, at, ok := f.cut(name)
	if ok {
		_ = archive.Close() // was only read
	}
	return at, ok
}

// cut finds the archive on the way to name and opens it.
func (f *FS) cut(name string) (disk.File, place, bool) {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] != '/' && name[i] != '\\' {
			continue
		}
		file, err := f.inner.Open(name[:i], false)
		if err != nil {
			continue
		}
		at := place{name[:i], strings.ReplaceAll(name[i+1:], `\`, "/")}
		if isArchive(file) || isSelection(at.member) && isCompressed(file) {
			return file, at, true
		}
		_ = file.Close() // was only read
		return nil, place{}, false
	}
	return nil, place{}, false
}

// onTheWay is the file that a name goes through as if it were a directory; ""
// if there is none.
func (f *FS) onTheWay(name string) string {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] != '/' && name[i] != '\\' {
			continue
		}
		if file, err := f.inner.Open(name[:i], false); err == nil {
			_ = file.Close() // was only looked for
			return name[:i]
		}
	}
	return ""
}

// noArchive says that something was looked for in a file that has no members.
type noArchive struct{ file string }

// Error is one line.
func (e noArchive) Error() string {
	return e.file + " is neither a directory nor a tar archive, so there is nothing in it"
}

// Is makes it match fs.ErrNotExist.
func (noArchive) Is(target error) bool { return target == fs.ErrNotExist }

// Selected is a whole archive of which a part was named that is no member: a
// disk of an XVA, which is a directory of chunks.
type Selected struct {
	disk.File
	selection string
}

// Selection is what was named behind the archive.
func (s *Selected) Selection() string { return s.selection }

// isSelection tells whether a name is that of a disk in an XVA.
func isSelection(member string) bool {
	return strings.HasPrefix(member, "Ref:") && !strings.Contains(member, "/")
}

// isCompressed tells whether a file is compressed as a whole, in one of the ways
// that an XVA may be: what it has is not looked at.
func isCompressed(file disk.File) bool {
	var magic [4]byte
	_, _ = file.ReadAt(magic[:], 0) // what cannot be read is not compressed
	return magic[0] == 0x1f && magic[1] == 0x8b || magic == [4]byte{0x28, 0xb5, 0x2f, 0xfd}
}

// openMember opens a member; the archive is closed with it, also after an
// error.
func openMember(archive disk.File, at place) (disk.File, error) {
	m, err := find(archive, at.member)
	if err == nil {
		err = m.readable()
	}
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: at.archive + "/" + at.member, Err: err}, archive.Close())
	}
	return window.New(archive, m.Off, m.Size)
}

// readable says why a member cannot be read in place.
func (m Member) readable() error {
	if m.Sparse {
		return disk.Unsupported("tar", "the member is stored as a sparse file; unpack the archive")
	}
	switch strings.ToLower(path.Ext(m.Name)) {
	case ".gz", ".bz2", ".xz", ".zst":
		return disk.Unsupported("tar", "the member is compressed; unpack it first")
	}
	return nil
}
