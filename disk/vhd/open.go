package vhd

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

func open(s *disk.Source) (disk.Image, error) {
	img, err := openFile(s)
	if err != nil {
		return nil, errors.Join(err, s.File.Close())
	}
	return img, nil
}

func openFile(s *disk.Source) (disk.Image, error) {
	if s.Snapshot != "" {
		return nil, disk.Unsupported(name, "images of this format hold no snapshots; each is a file of its own")
	}
	size, err := s.File.Size()
	if err != nil {
		return nil, err
	}
	e, err := readEnds(s.File, size)
	if err != nil {
		return nil, err
	}
	foot := e.best()
	switch {
	case foot == nil:
		return nil, disk.Corrupt(name, max(0, size-footerSize), "there is no footer at the end of the file and no copy of one at its start")
	case foot.u32(atVersion)>>16 != version1>>16:
		return nil, disk.Unsupported(name, "version %d.%d of the format; only 1.0 is known", foot.u32(atVersion)>>16, foot.u32(atVersion)&0xffff)
	case foot.kind() == kindFixed:
		return openFlat(s.File, foot, e, s.Write)
	}
	return openSparse(s, foot, e, size)
}

func openSparse(s *disk.Source, foot footer, e ends, size int64) (*image, error) {
	h, err := readHeader(s.File, foot, size)
	if err != nil {
		return nil, err
	}
	img, err := newImage(s.File, foot, h, s.Write)
	if err != nil {
		return nil, err
	}
	img.ends, img.inFile = e, e.sameEnds()
	switch {
	case !foot.sound():
		img.doubt = disk.Corrupt(name, atSum, "the footer's checksum is wrong; check and repair the image before it is changed")
	case !h.sound():
		img.doubt = disk.Corrupt(name, int64(foot.u64(atDataOffset))+atHeaderSum, "the header's checksum is wrong; check and repair the image before it is changed")
	}
	if err := img.readBatmap(); err != nil {
		return nil, err
	}
	parent, err := openParent(s, foot, h)
	if err != nil {
		return nil, err
	}
	img.Below(parent, false)
	return img, nil
}

// sameEnds tells whether footer and copy are there and say the same.
func (e ends) sameEnds() bool {
	return e.head != nil && e.tail != nil && !e.short && e.tail.sound() && string(e.head) == string(e.tail)
}

// openParent opens what a differencing image is based on.
func openParent(s *disk.Source, foot footer, h header) (disk.Image, error) {
	if foot.kind() != kindDiff || s.Alone {
		return nil, nil
	}
	paths, err := parentPaths(s.File, h)
	if err != nil {
		return nil, err
	}
	want := h.parentID()
	return s.OpenParent(disk.ParentRef{
		Paths: paths, Format: name, Search: true,
		Accept: func(img disk.Image) error {
			if have := disk.Describe(img).UUID; have != want.String() {
				return fmt.Errorf("%w: its UUID is %s, that of the parent is %s", disk.ErrWrongParent, have, want)
			}
			return nil
		},
	})
}

// identityOf gets from a parent what a child writes down of it.
func identityOf(parent disk.Image) (id uuid.UUID, written uint32, err error) {
	info := disk.Describe(parent)
	if info.Format != name {
		return id, 0, disk.Unsupported(name, "the parent of a VHD must be a VHD, for it is known by its UUID")
	}
	if id, err = uuid.Parse(info.UUID); err != nil {
		return id, 0, fmt.Errorf("vhd: the parent's UUID: %w", err)
	}
	if id == uuid.Nil {
		return id, 0, disk.Unsupported(name, "the parent has no UUID, by which it could be known; give it one first")
	}
	return id, stamp(info.Created), nil
}
