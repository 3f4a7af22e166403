package media

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
)

// CommitLayer writes what an image of a machine's folder holds into the one that
// it stands on, which then reads as it does; nothing else changes. The drive says
// what both stand on outside the folder. Broken off, the upper one reads as
// before, and doing it again completes it.
func CommitLayer(ctx context.Context, folder string, drive api.Drive, upper, lower string, keys disk.Keys, report func(done, total int64)) error {
	from, err := openOver(folder, drive, upper, keys)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // it was only read
	to, err := openAlone(folder, lower, keys)
	if err != nil {
		return err
	}
	if to.Size() < from.Size() {
		if err := disk.Resize(to, from.Size()); err != nil {
			return errors.Join(err, to.Close())
		}
	}
	err = pour(ctx, to, from, from, func(disk.Extent) bool { return true }, report)
	return errors.Join(err, syncImage(to), to.Close())
}

// PullLayer draws into an image of a machine's folder what it reads from the one
// right below it, and lets it stand on what that one stands on. It reads as before,
// also when this is broken off; doing it again completes it.
func PullLayer(ctx context.Context, folder string, drive api.Drive, upper, lower string, keys disk.Keys, report func(done, total int64)) error {
	from, err := openOver(folder, drive, lower, keys)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // it was only read
	to, err := openAlone(folder, upper, keys)
	if err != nil {
		return err
	}
	missing := func(e disk.Extent) bool { return e.State == disk.Unallocated }
	err = pour(ctx, to, from, to, missing, report)
	if err == nil && disk.Parent(from) != nil && to.Size() > from.Size() {
		err = hideBehind(ctx, to, from.Size())
	}
	if err == nil {
		err = syncImage(to)
	}
	if err == nil {
		err = takeParent(to, from, folder, lower)
	}
	return errors.Join(err, to.Close())
}

// hideBehind makes what an image does not hold itself from an offset on zero: there
// its parent ended, and another one that is longer must not shine through.
func hideBehind(ctx context.Context, img disk.Image, from int64) error {
	for e, err := range disk.Extents(ctx, img, from, img.Size()) {
		if err != nil {
			return err
		}
		if e.State == disk.Unallocated {
			if err := disk.ZeroBySteps(ctx, img, e.Off, e.Len); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeParent lets an image name what another one, of the same directory, names as its
// parent.
func takeParent(to, of disk.Image, folder, file string) error {
	link, ok := to.(disk.Reparenter)
	if !ok {
		return disk.Unsupported(disk.Describe(to).Format, "images of this kind cannot change their parent")
	}
	named, err := describeAlone(folder, file)
	if err != nil {
		return err
	}
	if named.Parent == nil || named.Parent.Name == "" {
		return link.SetParent(nil, "", "")
	}
	return link.SetParent(disk.Parent(of), named.Parent.Name, named.Parent.Format)
}

// Reparent lets an image of a machine's folder name another one of the same directory as
// its parent; the caller knows that it then reads as before.
func Reparent(folder, file, parent string) error {
	return nameParent(folder, file, Ref{Path: filepath.Join(folder, parent), Format: LayerFormat(parent)}, filepath.Base(parent))
}

// NameBase has an image of a machine's folder, which nobody has open, name what it stands on outside of the folder as it is:
// a process that was served that one, and has merged images above it, has named it as what it was to itself.
func NameBase(folder, file string, on Ref) error {
	info, err := describeAlone(folder, file)
	if err != nil || info.Parent == nil || info.Parent.Name == written(on) && info.Parent.Format == qemuName(on.Format) {
		return err
	}
	return nameParent(folder, file, on, written(on))
}

// nameParent has an image of a machine's folder, which nobody has open, name another one as its parent, by this name.
func nameParent(folder, file string, parent Ref, name string) error {
	below, _, err := OpenImage(parent, OpenOptions{Alone: true})
	if err != nil {
		return err
	}
	defer below.Close() //nolint:errcheck // it was only looked at
	img, err := openAlone(folder, file, nil)
	if err != nil {
		return err
	}
	link, ok := img.(disk.Reparenter)
	if !ok {
		return errors.Join(disk.Unsupported(disk.Describe(img).Format, "images of this kind cannot change their parent"), img.Close())
	}
	return errors.Join(link.SetParent(below, name, qemuName(parent.Format)), img.Close())
}

// openOver opens an image of a machine's folder over all that it stands on.
func openOver(folder string, drive api.Drive, file string, keys disk.Keys) (disk.Image, error) {
	drive.File = file
	return OpenLayers(folder, drive, false, keys)
}

// openAlone opens an image of a machine's folder for writing, without what it
// stands on. Whoever writes to it must write whole blocks.
func openAlone(folder, file string, keys disk.Keys) (disk.Image, error) {
	img, _, err := OpenImage(Ref{Path: filepath.Join(folder, file), Format: LayerFormat(file)}, OpenOptions{Write: true, Locked: true, Alone: true, Keys: keys})
	if err != nil {
		return nil, err
	}
	if !disk.Writable(img) {
		return nil, errors.Join(fmt.Errorf("image %s: %w", filepath.Join(folder, file), disk.ErrReadOnly), img.Close())
	}
	return img, nil
}

func describeAlone(folder, file string) (disk.Info, error) {
	img, links, err := OpenImage(Ref{Path: filepath.Join(folder, file), Format: LayerFormat(file)}, OpenOptions{Alone: true})
	if err != nil {
		return disk.Info{}, err
	}
	return links[0].Info, img.Close()
}

// pourStep is how much is copied at once.
const pourStep = 1 << 20

// pour writes into to, which was opened without what it stands on, what from itself holds:
// where an extent of marked is wanted. What from holds is read through all that it stands
// on and written in whole blocks of to's, because to itself could not fill in the rest of one.
func pour(ctx context.Context, to, from, marked disk.Image, wanted func(disk.Extent) bool, report func(done, total int64)) error {
	unit := max(disk.Describe(to).BlockSize, sector)
	buffer := make([]byte, max(pourStep, unit))
	done := int64(0) // what lies before has been written
	for e, err := range disk.Extents(ctx, from, 0, from.Size()) {
		if err != nil {
			return err
		}
		report(e.Off, from.Size())
		if e.State == disk.Unallocated {
			continue
		}
		begin, end := max(done, e.Off/unit*unit), min((e.End()+unit-1)/unit*unit, to.Size())
		for begin < end {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(end-begin, int64(len(buffer))/unit*unit)
			if err := pourPiece(to, from, marked, wanted, buffer[:n], begin); err != nil {
				return err
			}
			begin += n
			done = begin
		}
	}
	return nil
}

// pourPiece copies a piece whose bounds are those of blocks, as far as it is
// wanted.
func pourPiece(to, from, marked disk.Image, wanted func(disk.Extent) bool, p []byte, off int64) error {
	for len(p) > 0 {
		e, err := disk.MapAt(marked, off, min(int64(len(p)), max(marked.Size()-off, 0)))
		if off >= marked.Size() {
			e, err = disk.Extent{Off: off, Len: int64(len(p)), State: disk.Unallocated}, nil
		}
		if err != nil {
			return err
		}
		if wanted(e) {
			if err := disk.ReadParent(from, p[:e.Len], off); err != nil {
				return err
			}
			if err := put(to, p[:e.Len], off); err != nil {
				return err
			}
		}
		p, off = p[e.Len:], off+e.Len
	}
	return nil
}

// put writes p, or makes the range zero where p is.
func put(to disk.Image, p []byte, off int64) error {
	for _, b := range p {
		if b != 0 {
			_, err := to.(disk.Writer).WriteAt(p, off)
			return err
		}
	}
	return disk.Zero(to, off, int64(len(p)))
}

// ToMerge is how many bytes of room an image of a machine's folder takes at most, beside what it takes now, when what
// another one of them holds is written into it.
func ToMerge(ctx context.Context, folder, from, to string) (most int64, err error) {
	source, _, err := OpenImage(Ref{Path: filepath.Join(folder, from), Format: LayerFormat(from)}, OpenOptions{Alone: true})
	if err != nil {
		return 0, err
	}
	defer source.Close() //nolint:errcheck // it was only looked at
	target, _, err := OpenImage(Ref{Path: filepath.Join(folder, to), Format: LayerFormat(to)}, OpenOptions{Alone: true})
	if err != nil {
		return 0, err
	}
	defer target.Close() //nolint:errcheck // likewise
	for e, err := range disk.Extents(ctx, source, 0, source.Size()) {
		if err != nil {
			return 0, err
		}
		if e.State != disk.Data {
			continue
		}
		end := min(e.Off+e.Len, target.Size())
		most += e.Off + e.Len - max(end, e.Off)
		if end <= e.Off {
			continue
		}
		for there, err := range disk.Extents(ctx, target, e.Off, end-e.Off) {
			if err != nil {
				return 0, err
			}
			if there.State != disk.Data {
				most += there.Len
			}
		}
	}
	return most, nil
}
