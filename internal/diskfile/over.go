package diskfile

import (
	"errors"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// Over is an image that was opened by itself, over a parent that it need not name. It
// closes both; after an error neither is closed.
func Over(top, below disk.Image) (disk.Image, error) {
	mapper, ok := top.(disk.Mapper)
	if !ok {
		return nil, fmt.Errorf("it does not tell what it holds: %w", errors.ErrUnsupported)
	}
	return &stacked{top, mapper, below}, nil
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
