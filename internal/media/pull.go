package media

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
)

// PullSource draws into a drive's own image, of a machine that is not running, all that
// it reads from what the drive was made from, and lets it stand on nothing. It reads as
// before, also when this is broken off; doing it again completes it.
func PullSource(ctx context.Context, folder string, drive api.Drive, keys disk.Keys, report func(done, total int64)) (err error) {
	from, err := openStack(StackOf(drive, ""), false, keys)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // it was only read
	to, err := openAlone(folder, drive.File, keys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	link, ok := to.(disk.Reparenter)
	if !ok {
		return disk.Unsupported(disk.Describe(to).Format, "images of this kind cannot change their parent")
	}
	missing := func(e disk.Extent) bool { return e.State == disk.Unallocated }
	if err := pour(ctx, to, drawable{flat{from}}, to, missing, report); err != nil {
		return fmt.Errorf("draw in %s: %w", drive.Source, err)
	}
	if err := syncImage(to); err != nil {
		return err
	}
	return link.SetParent(nil, "", "")
}

// ToDraw is how many bytes of room drawing in what a drive was made from takes at most, more than
// its own image takes now.
func ToDraw(ctx context.Context, folder string, drive api.Drive, keys disk.Keys) (int64, error) {
	from, err := openStack(StackOf(drive, ""), false, keys)
	if err != nil {
		return 0, err
	}
	defer from.Close() //nolint:errcheck // it was only read
	var most int64
	for e, err := range disk.Extents(ctx, flat{from}, 0, from.Size()) {
		if err != nil {
			return 0, err
		}
		if e.State == disk.Data {
			most += e.Len
		}
	}
	var own unix.Stat_t
	if err := unix.Stat(filepath.Join(folder, drive.File), &own); err != nil {
		return 0, err
	}
	return max(most-own.Blocks*512, 0), nil
}

// drawable is what has to be drawn into an image that stands on nothing then: zeros are there without that.
type drawable struct{ flat }

// Map tells what has to be drawn in.
func (d drawable) Map(off, n int64) (disk.Extent, error) {
	e, err := d.flat.Map(off, n)
	if e.State == disk.Zeroed {
		e.State = disk.Unallocated
	}
	return e, err
}

// flat is an image that answers for what it stands on as well.
type flat struct{ disk.Image }

// Map tells what a guest would find.
func (f flat) Map(off, n int64) (disk.Extent, error) {
	layer, err := disk.LayerAt(f.Image, off, n)
	return layer.Extent, err
}
