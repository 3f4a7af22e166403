package diskfile

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
)

// isItsOwnParent tells whether a bundle is to be made above itself: a snapshot
// is wanted in it.
func (p Place) isItsOwnParent(name, parent string) bool {
	if name == "" || parent == "" {
		return false
	}
	path, _, err := p.find(name)
	if err != nil || filepath.Base(path) != bundleDescriptor {
		return false
	}
	other, _, err := p.find(parent)
	return err == nil && other == path
}

// takeSnapshot keeps the current state of an image as a snapshot in it.
func (p Place) takeSnapshot(name string, m Make) (info disk.Info, err error) {
	if m.Size != 0 || m.UUID != "" || len(m.Options) > 0 || m.Compress {
		return info, disk.Usage("a snapshot in a bundle is of the bundle's size and kind; nothing of that can be chosen")
	}
	if m.Format != "" {
		if f, _, err := disk.Find(formats.All(), m.Format); err != nil || f.Name != "parallels" {
			return info, errors.Join(err, disk.Usage("the snapshot of a Parallels bundle is of that format, and not %s", m.Format))
		}
	}
	img, err := p.Open(name, OpenOptions{Format: m.ParentFormat, Write: true})
	if err != nil {
		return info, err
	}
	if taker, ok := img.(disk.SnapshotTaker); ok {
		_, err = taker.TakeSnapshot()
	} else {
		err = disk.Unsupported(disk.Describe(img).Format, "images of this kind take no snapshots")
	}
	info = disk.Describe(img)
	return info, errors.Join(err, img.Close())
}

// mergeSnapshot writes the current state of an image into the snapshot in it
// that it is based on, whose place it takes. into is "" if there is none.
func (p Place) mergeSnapshot(ctx context.Context, name, format string, progress func(done, total int64)) (into string, err error) {
	look, err := p.Open(name, OpenOptions{Format: format, Alone: true})
	if err != nil {
		return "", err
	}
	_, taker := look.(disk.SnapshotTaker)
	for _, s := range disk.Describe(look).Snapshots {
		if taker && s.Current {
			into = s.Parent
		}
	}
	if err := look.Close(); err != nil || into == "" {
		return "", err
	}
	img, err := p.Open(name, OpenOptions{Format: format, Write: true})
	if err != nil {
		return into, err
	}
	err = img.(disk.SnapshotTaker).DropSnapshot(ctx, into, progress)
	return into, errors.Join(err, img.Close())
}

// isEarlier tells whether a parent is an earlier state of an image that has gone
// on since, and which opening by its name would not give.
func isEarlier(parent disk.Info) bool {
	return slices.ContainsFunc(parent.Details, func(d disk.Detail) bool { return d.Name == "opened shot" })
}
