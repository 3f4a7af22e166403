package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/panalvm/panal/api"
)

// CreateOverlay makes a differencing image that stands on another one and has
// its size. The other one is not touched.
func CreateOverlay(ctx context.Context, path string, on Image) error {
	_, err := qemuImg(ctx, "create", "-q", "-f", "qcow2", "-u", "-b", on.Path, "-F", on.Format,
		"--", path, fmt.Sprint(int64(on.Size)))
	if err != nil {
		return fmt.Errorf("make the differencing image %s: %w", path, err)
	}
	return syncPath(path)
}

// CreateEmpty makes an empty image that grows as it is written.
func CreateEmpty(ctx context.Context, path string, size api.Size) error {
	if _, err := qemuImg(ctx, "create", "-q", "-f", "qcow2", "--", path, fmt.Sprint(int64(size))); err != nil {
		return fmt.Errorf("make the disk %s: %w", path, err)
	}
	return syncPath(path)
}

// Move moves a file, by name where both places are on one file system, by
// copying elsewhere. A copy leaves the source where it is: the caller removes
// it when the copy is committed; copied says so. Report is called now and then
// with the bytes copied.
func Move(ctx context.Context, from, to string, report func(done, total int64)) (copied bool, err error) {
	err = os.Rename(from, to)
	if err == nil {
		return false, errors.Join(syncPath(filepath.Dir(to)), syncPath(filepath.Dir(from)))
	}
	if !errors.Is(err, syscall.EXDEV) {
		return false, err
	}
	return true, copyFile(ctx, from, to, report)
}

func copyFile(ctx context.Context, from, to string, report func(done, total int64)) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, target.Close())
		if err != nil {
			_ = os.Remove(to)
		}
	}()
	if err := copyData(ctx, target, source, info.Size(), report); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	if err := target.Truncate(info.Size()); err != nil {
		return err
	}
	return target.Sync()
}

// copyData copies what a file holds and skips its holes.
func copyData(ctx context.Context, target io.WriterAt, source *os.File, size int64, report func(done, total int64)) error {
	for at := int64(0); at < size; {
		data, err := seek(source, at, seekData)
		if err != nil || data < 0 {
			return err
		}
		hole, err := seek(source, data, seekHole)
		if err != nil {
			return err
		}
		for at = data; at < hole; {
			if err := ctx.Err(); err != nil {
				return err
			}
			piece := min(hole-at, 8<<20)
			section := io.NewSectionReader(source, at, piece)
			if _, err := io.Copy(io.NewOffsetWriter(target, at), section); err != nil {
				return err
			}
			at += piece
			report(at, size)
		}
	}
	return nil
}

// The whences of lseek that find data and holes; see lseek(2).
const (
	seekData = 3
	seekHole = 4
)

// seek finds the next data or hole; -1 when there is no more data.
func seek(file *os.File, from int64, whence int) (int64, error) {
	at, err := file.Seek(from, whence)
	if errors.Is(err, syscall.ENXIO) {
		return -1, nil
	}
	return at, err
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
