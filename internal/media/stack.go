package media

import (
	"errors"
	"fmt"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
)

// OpenDrive opens what the guest sees on a drive, for reading: the machine's own
// image, which is at path, "" if it has none, over what the drive was made from. It
// fails while a machine writes to it, and holds machines off until it is closed.
//
// A differencing image is not asked what it stands on: the drive says that, and
// it may lie in directories that no image may refer to.
func OpenDrive(drive api.Drive, path string) (disk.Image, error) {
	if drive.Mode != api.Overlay || path == "" || drive.Source == "" {
		ref := RefOf(drive)
		if path != "" {
			ref.Path = path
		}
		img, _, err := OpenImage(ref, OpenOptions{Locked: path != ""})
		return img, err
	}
	top, _, err := OpenImage(Ref{Path: path, Format: "qcow2"}, OpenOptions{Locked: true, Alone: true})
	if err != nil {
		return nil, err
	}
	layer, ok := top.(disk.Mapper)
	if !ok {
		return nil, errors.Join(fmt.Errorf("image %s does not tell what it holds: %w", path, errors.ErrUnsupported), top.Close())
	}
	below, _, err := OpenImage(RefOf(drive), OpenOptions{})
	if err != nil {
		return nil, errors.Join(err, top.Close())
	}
	return &stacked{top, layer, below}, nil
}

// stacked is an image over a parent that it does not name.
type stacked struct {
	disk.Image // alone: what it lacks is zero
	disk.Mapper
	below disk.Image
}

// Parent is the image that shines through.
func (s *stacked) Parent() disk.Image { return s.below }

// ReadAt reads through to the parent.
func (s *stacked) ReadAt(p []byte, off int64) (int, error) {
	return disk.ReadThrough(s, p, off, func(e disk.Extent, p []byte) error {
		_, err := s.Image.ReadAt(p, e.Off)
		return err
	})
}

// Close closes both.
func (s *stacked) Close() error { return errors.Join(s.Image.Close(), s.below.Close()) }
