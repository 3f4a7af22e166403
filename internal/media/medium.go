package media

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
)

// Described is what an image file says of itself.
type Described struct {
	Info   disk.Info
	Kind   api.DriveKind
	Parent string // absolute path; empty for none
}

// DescribeFile looks at an image by itself, also while a machine writes it.
func DescribeFile(ref Ref) (described Described, err error) {
	img, links, err := OpenImage(ref, OpenOptions{Alone: true})
	if err != nil {
		return described, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	described.Info = links[0].Info
	if parent := described.Info.Parent; parent != nil && parent.Name != "" {
		described.Parent = parent.Name
		if !filepath.IsAbs(parent.Name) {
			described.Parent = filepath.Join(filepath.Dir(ref.Path), parent.Name)
		}
	}
	head := make([]byte, headSize)
	n, _ := img.ReadAt(head, 0) // what cannot be read tells nothing
	described.Kind = guess(head[:n], api.Size(img.Size())).Kind
	return described, nil
}

// FormatFor is the format of a new image: the one wanted, or what its name ends in, or
// qcow2.
func FormatFor(path, wanted string) string {
	ending := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	switch {
	case wanted != "":
		return wanted
	case ending == "img" || ending == "iso":
		return "raw"
	}
	if _, _, err := disk.Find(formats.All(), ending); err == nil {
		return ending
	}
	return "qcow2"
}

// Grow makes an image's disk larger, and refuses to make it smaller. Where its files take up all the room that its
// disk can need they do afterwards, unless the room is to be taken later (off); with falloc they do in any case.
func Grow(ref Ref, size int64, room Room) error {
	img, links, err := OpenImage(ref, OpenOptions{Write: true, Locked: true, Alone: true})
	if err != nil {
		return err
	}
	info := links[0].Info
	take := room == api.Falloc || room == "" && roomy(info)
	switch {
	case size < img.Size():
		err = explain(ref.Path, disk.Usage("it has %d bytes already; it is not made smaller here", img.Size()))
	case room == api.Falloc && !canTakeRoom(info):
		err = growsOnly(ref.Path, info)
	case take:
		err = hasRoom(ref.Path, max(size-info.Allocated, 0))
	}
	if err == nil {
		err = disk.Resize(img, size)
	}
	grown := disk.Describe(img)
	if err = errors.Join(err, img.Close()); err != nil || !take {
		return err
	}
	if err := takeRoom(ref.Path, grown, false); err != nil {
		return fmt.Errorf("it is larger now, but does not take up its room: %w", err)
	}
	return nil
}
