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

// CreateFrom is CreateCopy of what comes through a pipe. It returns how large the
// disk that came was; the image is as large, or larger if size is more.
func CreateFrom(ctx context.Context, path string, from disk.Stream, size int64, report func(done, total int64)) (int64, error) {
	return createFrom(ctx, path, "qcow2", from, size, report)
}

// CreateRawFrom is CreateFrom into a raw file.
func CreateRawFrom(ctx context.Context, path string, from disk.Stream, report func(done, total int64)) (int64, error) {
	return createFrom(ctx, path, "raw", from, 0, report)
}

func createFrom(ctx context.Context, path, format string, from disk.Stream, size int64, report func(done, total int64)) (came int64, err error) {
	files, err := hostfs.Beside(path)
	if err != nil {
		return 0, err
	}
	wanted := wholeSectors(max(size, from.Size(), 0))
	img, err := disk.Create(path, disk.CreateOptions{FS: files, Formats: formats.All(), Format: format, Size: wanted})
	if err != nil {
		return 0, fmt.Errorf("make the disk %s: %w", path, err)
	}
	defer func() {
		if err = errors.Join(err, img.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := disk.CopyStream(ctx, img, from, disk.CopyOptions{Progress: report}); err != nil {
		return 0, err
	}
	came = from.Size()
	if wanted = wholeSectors(max(size, came)); format != "raw" && wanted != img.Size() {
		if err := disk.Resize(img, wanted); err != nil {
			return came, err
		}
	}
	return came, syncImage(img)
}

// wholeSectors is a size, rounded up to sectors.
func wholeSectors(size int64) int64 { return (size + sector - 1) / sector * sector }
