package media

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
)

// CreateCopy makes an image that holds what another one does, with all that
// this one stands on, and stands on nothing. Its size is the other's, or size if
// that is more. It is encrypted if there is a seal. Report is called now and then with the
// bytes of the disk that are done. Nothing is left of it after an error.
func CreateCopy(ctx context.Context, path string, from disk.Image, size int64, seal *Seal, report func(done, total int64)) error {
	return createCopy(ctx, path, "qcow2", from, size, seal, report)
}

func createCopy(ctx context.Context, path, format string, from disk.Image, size int64, seal *Seal, report func(done, total int64)) (err error) {
	files, err := hostfs.Beside(path)
	if err != nil {
		return err
	}
	size = (max(size, from.Size()) + sector - 1) / sector * sector
	o := disk.CreateOptions{FS: files, Formats: formats.All(), Format: format, Size: size}
	if seal != nil {
		o.Encryption, o.Keys = seal.Header, seal.Keys
	}
	img, err := disk.Create(path, o)
	if err != nil {
		return fmt.Errorf("make the disk %s: %w", path, err)
	}
	defer func() {
		if err = errors.Join(err, img.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := disk.Copy(ctx, img, from, disk.CopyOptions{Progress: report}); err != nil {
		return fmt.Errorf("copy into %s: %w", path, err)
	}
	return syncImage(img)
}

// syncImage makes what was written durable.
func syncImage(img disk.Image) error {
	w, ok := img.(disk.Writer)
	if !ok {
		return disk.ErrReadOnly
	}
	return w.Sync()
}

// CreateRawCopy is CreateCopy into a raw file: for what optical and floppy
// drives hold.
func CreateRawCopy(ctx context.Context, path string, from disk.Image, report func(done, total int64)) error {
	return createCopy(ctx, path, "raw", from, 0, nil, report)
}
