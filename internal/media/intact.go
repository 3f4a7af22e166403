package media

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/problem"
)

// intactHelp is what to do about an image of which a part is missing.
const intactHelp = "get it again; or keep what can be read of it: `panal disk convert`, and import that"

// Intact refuses an image, with all that it stands on, that says of itself that it is damaged, or that keeps
// content behind the end of its file: some formats read as zeros there, and a disk that was cut short would pass for
// a whole one. What is read is its tables, not its content. Name is what people know it by.
func Intact(ctx context.Context, name string, img disk.Image) error {
	for at := img; at != nil; at = disk.Parent(at) {
		if disk.Describe(at).Corrupt {
			return problem.New(api.KindUnreadable, intactHelp, "%s is damaged: what it holds is marked as such, or was cut off", name)
		}
		if err := withinFile(ctx, name, at); err != nil {
			return err
		}
	}
	return nil
}

// withinFile refuses an image with content behind the end of its file. The last block may be there in part.
func withinFile(ctx context.Context, name string, img disk.Image) error {
	slack := max(disk.Describe(img).BlockSize, sector)
	sizes := map[disk.File]int64{}
	for e, err := range disk.Extents(ctx, img, 0, img.Size()) {
		if err != nil {
			return Damaged(name, err)
		}
		if e.State != disk.Data || e.File == nil {
			continue
		}
		size, known := sizes[e.File]
		if !known {
			if size, err = e.File.Size(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			sizes[e.File] = size
		}
		if end := e.HostOff + e.Len; end >= size+slack {
			return problem.New(api.KindUnreadable, intactHelp, "%s was cut short: what is at %d of the disk lies at %d of a file, which ends at %d",
				name, e.Off+max(0, size-e.HostOff), max(size, e.HostOff), size)
		}
	}
	return nil
}
