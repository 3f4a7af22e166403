package media

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/problem"
)

// Ref names an image.
type Ref struct {
	Path     string // absolute: a file, a Parallels bundle, a block device, or a member of an archive
	Format   string // empty to find it by the content
	Snapshot string // an earlier state that the image holds; empty for the present one
}

// RefOf is the image that a drive was made from.
func RefOf(drive api.Drive) Ref {
	return Ref{Path: drive.Source, Format: drive.Format, Snapshot: drive.Snapshot}
}

// Image is one image of a chain.
type Image struct {
	Path   string // absolute; may name a member of an archive
	Format string // the engine's name for it: raw, qcow2, vdi, vhd, vhdx, vmdk, parallels, xva, qcow
	Size   api.Size
	// Allocated is how many bytes its own files take up.
	Allocated api.Size
	// Files are further files that it consists of.
	Files []string
	// Device tells that it is a block device.
	Device bool
	// Encrypted tells that its content is encrypted (LUKS).
	Encrypted bool

	whole bool // the path is that of a file or device, all of which is the image
}

// Chain is an image and those it stands on, the image itself first.
type Chain []Image

// Plain tells whether QEMU may open the chain itself: images in its own
// formats, QCOW2, raw and LUKS, each one whole file, or a device. The code that reads those in QEMU
// is what its makers test and mend; its readers of other programs' formats are not.
func (c Chain) Plain() bool {
	for _, image := range c {
		if !image.whole || len(image.Files) > 0 || image.Format != "raw" && image.Format != "qcow2" && image.Format != "luks" {
			return false
		}
	}
	return true
}

// Encrypted tells whether any image of the chain is encrypted.
func (c Chain) Encrypted() bool {
	return slices.ContainsFunc(c, func(i Image) bool { return i.Encrypted })
}

// Movable tells whether the image is one file that is complete in itself.
func (c Chain) Movable() bool {
	return len(c) == 1 && c[0].whole && !c[0].Device && len(c[0].Files) == 0
}

// OpenOptions say how an image is opened.
type OpenOptions struct {
	Write bool
	Alone bool // without what it stands on, which reads as zeros
	// Locked opens the image for use: it fails while another process writes it, and for
	// as long as it is open nobody else can. Without, it is only looked at.
	Locked bool
	// InUse opens the image for writing while a machine runs on it: what that does not write, such as the
	// key slots of an encrypted one.
	InUse bool
	Keys  disk.Keys // opens what is encrypted; nil leaves the content locked
	// Through is as in diskfile.Place.
	Through func(*hostfs.FS) disk.FS
}

// OpenImage opens an image with all that it stands on, and describes these,
// the image first. The caller closes it. Errors are problems that name the image.
func OpenImage(ref Ref, o OpenOptions) (disk.Image, []diskfile.Link, error) {
	if err := KnownFormat(ref); err != nil {
		return nil, nil, err
	}
	place := diskfile.Place{Through: o.Through}
	img, links, err := place.OpenLinks(ref.Path, diskfile.OpenOptions{
		Format: ref.Format, Snapshot: ref.Snapshot, Write: o.Write, Unlocked: !o.Locked, InUse: o.InUse, Alone: o.Alone, Keys: o.Keys,
	})
	if err != nil {
		return nil, nil, explain(ref.Path, err)
	}
	if err := usable(ref.Path, links[0].Info); err != nil {
		return nil, nil, errors.Join(err, img.Close())
	}
	return img, links, nil
}

// usable refuses what is read as a raw disk only because nothing better is
// known, and has no disk's length: a file of another kind altogether must not
// become a disk in silence.
func usable(path string, info disk.Info) error {
	if info.Guessed && (info.Size == 0 || info.Size%sector != 0) {
		return problem.New(api.KindUnreadable, "name the format if it is one after all: format=raw",
			"image %s: it is in no known image format, and %d bytes is no raw disk's length", path, info.Size)
	}
	return nil
}

// Open looks at an image and at all that it stands on.
func Open(ref Ref) (Chain, error) {
	chain, _, err := Look(ref)
	return chain, err
}

// Look is Open, and tells what the disk's first sectors say about the machine
// that it comes from.
func Look(ref Ref) (chain Chain, guessed Guess, err error) {
	img, links, err := OpenImage(ref, OpenOptions{})
	if err != nil {
		return nil, Guess{}, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	for _, link := range links {
		chain = append(chain, describe(link))
	}
	chain[0].Path = ref.Path // by the name that people know it by
	if ref.Snapshot != "" {
		chain[0].whole = false
	}
	head := make([]byte, headSize)
	n, err := img.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, disk.ErrLocked) {
		return nil, Guess{}, problem.New(api.KindUnreadable, "`panal disk check` may say more",
			"image %s: its first sectors cannot be read: %s", ref.Path, cause(err))
	}
	return chain, guess(head[:n], chain[0].Size), nil
}

// Recognise checks that a file is an image that can be opened, alone if what it
// stands on is told elsewhere. A file that is not there is no error: it may
// come back, and until then the machine does not start.
func Recognise(ref Ref, alone bool) error {
	img, _, err := OpenImage(ref, OpenOptions{Alone: alone})
	if err != nil {
		if _, missing := os.Stat(ref.Path); errors.Is(missing, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return img.Close()
}

// sector is the unit of a guest's disk.
const sector = 512

func describe(link diskfile.Link) Image {
	image := Image{
		Path: link.Name, Format: link.Info.Format, Files: link.Info.Files,
		Size: api.Size(link.Info.Size+sector-1) / sector * sector, Allocated: api.Size(link.Info.Allocated), Encrypted: link.Info.Encrypted,
	}
	if info, err := os.Stat(link.Name); err == nil {
		image.Device = info.Mode()&os.ModeDevice != 0
		image.whole = image.Device || info.Mode().IsRegular()
	}
	return image
}

// Writable tells whether a machine can write an image where it lies: nil, or a
// problem that says why not.
func Writable(ref Ref) error {
	img, _, err := OpenImage(ref, OpenOptions{Write: true, Locked: true})
	if err != nil {
		return err
	}
	defer img.Close() //nolint:errcheck // nothing was written
	if !disk.Writable(img) {
		return problem.New(api.KindUnsupported, "attach it as an overlay, or convert it with `panal disk convert`",
			"image %s: %s cannot be written in place", ref.Path, kindOf(disk.Describe(img)))
	}
	return nil
}

func kindOf(info disk.Info) string {
	if info.Variant == "" {
		return info.Format
	}
	return fmt.Sprintf("%s:%s", info.Format, info.Variant)
}

// Written tells whether a process writes a file that is an image, as far as its locks say.
func Written(path string) bool { return hostfs.Written(path) }
