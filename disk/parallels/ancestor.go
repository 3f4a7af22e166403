package parallels

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/panalvm/panal/disk"
)

// ancestor is a parent of a bundle: the state that the files of another bundle,
// or a lone file, hold. The bundle's own descriptor lists these files, and the
// other's descriptor is read only to tell what they belong to.
type ancestor struct {
	stack
	size    int64
	shot    string // in the bundle's descriptor
	ref     string // how the bundle would refer to it
	name    string // what its descriptor, or the file, is called in the FS; "" if that may not be reached
	earlier bool   // it is not the current state of what it belongs to
	plain   bool
	next    *ancestor // its own parent, or nil
}

var _ disk.Mapper = (*ancestor)(nil)

// ancestors makes images of the shots that a bundle inherits: one of those in a
// row that lie in one place.
func (b *bundle) ancestors(line []string, parts []part) disk.Image {
	var first, last *ancestor
	for begin := 0; begin < len(line); {
		end := begin + 1
		for end < len(line) && b.place(line[end]) == b.place(line[begin]) {
			end++
		}
		a := b.ancestor(line[begin], parts, begin, end)
		if first == nil {
			first = a
		} else {
			last.next = a
		}
		begin, last = end, a
	}
	return first
}

// place is the directory that a shot's files are in.
func (b *bundle) place(guid string) string {
	return path.Dir(slashed(b.d.storages[0].file(guid).path))
}

// ancestor is the shot at begin, with those before end.
func (b *bundle) ancestor(shot string, parts []part, begin, end int) *ancestor {
	a := &ancestor{shot: shot}
	for i, p := range parts {
		q := part{start: p.start, end: p.end, own: p.own[begin:end]}
		if end < len(p.own) {
			q.below = p.own[end].layer
		}
		if i == len(parts)-1 { // the parent may be longer or shorter than the child
			q.end = q.start + min(q.top().Size(), math.MaxInt64-q.start)
			a.size = q.end
		}
		a.parts = append(a.parts, q)
	}
	f := b.d.storages[0].file(shot)
	a.plain = f.plain
	a.ref, a.name, a.earlier = b.owner(f.path)
	return a
}

// owner finds the bundle that a file belongs to, whether it holds another than its
// current state there. A file that no bundle beside it knows is its own owner.
func (b *bundle) owner(ref string) (descriptor, name string, earlier bool) {
	target, err := b.files.Resolve(b.name, ref)
	if err != nil {
		return ref, "", false
	}
	descriptor = path.Join(path.Dir(slashed(ref)), descriptorName)
	name, err = b.files.Resolve(b.name, descriptor)
	if err != nil {
		return ref, target, false
	}
	d, err := describedBy(b.files, name)
	if err != nil {
		return ref, target, false
	}
	for i := range d.storages {
		for _, f := range d.storages[i].files {
			if at, err := b.files.Resolve(name, f.path); err == nil && at == target {
				return descriptor, name, f.guid != d.top
			}
		}
	}
	return ref, target, false
}

// describedBy reads a descriptor by its name.
func describedBy(files disk.FS, name string) (*descriptor, error) {
	file, err := files.Open(name, false)
	if err != nil {
		return nil, err
	}
	d, err := readDescriptor(file)
	return d, errors.Join(err, file.Close())
}

// slashed is a path with slashes, where it has only backslashes.
func slashed(ref string) string {
	if strings.Contains(ref, "/") {
		return ref
	}
	return strings.ReplaceAll(ref, `\`, "/")
}

// local tells whether a path leads to a place in or below the directory that
// it begins in.
func local(ref string) bool {
	s := slashed(ref)
	drive := len(s) > 1 && s[1] == ':'
	return !drive && !path.IsAbs(s) && !slices.Contains(strings.Split(s, "/"), "..")
}

// missingParent says what it means when a file of a parent cannot be found.
func missingParent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrOutside) {
		return fmt.Errorf("%w: %w", disk.ErrNoParent, err)
	}
	return err
}

// announce tells of the parents, the oldest first.
func (a *ancestor) announce(s *disk.Source) {
	if a.next != nil {
		a.next.announce(s)
	}
	s.FoundParent(a.name, a)
}

// Size is that of the parent's disk as far as its files tell.
func (a *ancestor) Size() int64 { return a.size }

// Parent is what the parent itself was made to differ from.
func (a *ancestor) Parent() disk.Image {
	if a.next == nil {
		return nil
	}
	return a.next
}

// Map describes the range at off.
func (a *ancestor) Map(off, n int64) (disk.Extent, error) { return a.describe(off, n) }

// ReadAt reads the disk.
func (a *ancestor) ReadAt(p []byte, off int64) (int, error) { return a.read(p, off, a.size) }

// Close does nothing: the files are closed with the child.
func (a *ancestor) Close() error { return nil }

// detailShot is the fact that not the current state was opened.
const detailShot = "opened shot"

// Describe says what is known of the parent.
func (a *ancestor) Describe() disk.Info {
	i := disk.Info{Format: name, Size: a.size, SectorSize: sector}
	a.stack.sum(&i)
	if base(a.ref) == descriptorName {
		i.Version = versionBundle
	}
	if a.earlier {
		i.Details = append(i.Details, disk.Detail{Name: detailShot, Value: a.shot})
	}
	if a.next != nil {
		i.Parent = a.next.link()
	}
	if i.Version == "" {
		i.Files = nil
	}
	return i
}

// link is how the child names it.
func (a *ancestor) link() *disk.Link { return &disk.Link{Name: a.ref, Format: name} }
