package media

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
)

// MakeOptions say what image Make makes.
type MakeOptions struct {
	Format string // such as qcow2, or vdi:fixed
	Size   int64  // of an empty image, bytes
	Room   Room   // empty is off
	Seal   *Seal  // how it is encrypted; nil if it is not
	// From is what the image is to hold; nil makes an empty one.
	From   disk.Image
	Report func(done, total int64) // may be nil without From
}

// Make makes an image that stands on nothing. Nothing is left of it after an error.
func Make(ctx context.Context, path string, o MakeOptions) error {
	target, err := o.target(path)
	if err != nil {
		return err
	}
	files, err := hostfs.Beside(path)
	if err != nil {
		return err
	}
	stage := hostfs.NewStage(files)
	defer stage.Abort()
	target.FS = stage
	info, err := o.fill(ctx, path, target)
	if err == nil {
		err = stage.Commit(false)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return explain(path, fmt.Errorf("a file that it needs is there already: %w", err))
	case err != nil:
		return fmt.Errorf("as %s: %w", target.Format, err)
	case o.Room == api.Falloc || o.Room == api.PreallocateFull:
		err = takeRoom(path, info, o.Room == api.PreallocateFull)
	}
	if err != nil {
		return errors.Join(err, Remove(path))
	}
	return nil
}

// target is what the format is to make.
func (o MakeOptions) target(path string) (disk.CreateOptions, error) {
	target := disk.CreateOptions{Formats: formats.All(), Format: o.Format, Size: o.Size}
	if o.From != nil {
		target.Size = (o.From.Size() + sector - 1) / sector * sector
	}
	if o.Seal != nil {
		target.Encryption, target.Keys = o.Seal.Header, o.Seal.Keys
	}
	room := cmp.Or(o.Room, api.PreallocateNothing)
	switch {
	case room == api.PreallocateNothing:
	case o.Format == "raw" && room == api.PreallocateMetadata:
		return target, explain(path, disk.Usage("a raw image has no metadata to make beforehand; choose off, falloc or full"))
	case o.Format == "raw":
	case o.Format == "qcow2":
		mode := string(api.PreallocateMetadata) // its room is taken afterwards
		if o.Seal != nil {
			mode = string(api.PreallocateFull) // what has no content yet would not be zeros when it is decrypted
		}
		target.Options = map[string]string{"preallocation": mode}
	case !strings.Contains(o.Format, ":"):
		target.Format += ":fixed"
	}
	return target, nil
}

// fill makes an image without a name yet, and describes it.
func (o MakeOptions) fill(ctx context.Context, path string, target disk.CreateOptions) (info disk.Info, err error) {
	img, err := disk.Create(path, target)
	if err != nil {
		return info, explain(path, err)
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	if o.From != nil {
		if err := disk.Copy(ctx, img, o.From, disk.CopyOptions{Progress: o.Report}); err != nil {
			return info, fmt.Errorf("copy into %s: %w", path, err)
		}
		if err := syncImage(img); err != nil {
			return info, err
		}
	}
	return disk.Describe(img), nil
}
