package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
)

// CreateOverlay makes a differencing image that stands on another one and has
// its size. The other one is not touched. Where that is encrypted, so is the image, by the
// same key; else it is if there is a header, which NewHeader makes. Nothing is left of it after an error.
func CreateOverlay(path string, on Ref, header []byte) error {
	parent, links, err := OpenImage(on, OpenOptions{})
	if err != nil {
		return err
	}
	defer parent.Close() //nolint:errcheck // it was only looked at
	if below, err := disk.EncryptionHeader(parent); err != nil {
		return err
	} else if below != nil {
		header = below
	}
	err = create(path, disk.CreateOptions{
		Encryption: header,
		Size:       int64(describe(links[0]).Size), Parent: parent, ParentName: written(on), ParentFormat: qemuName(links[0].Info.Format),
	})
	if err != nil {
		return fmt.Errorf("make the differencing image %s: %w", path, err)
	}
	return nil
}

// CreateDifference makes a differencing image for an image that a machine has as
// its own, or for a source; of one that is encrypted, by the same key. Nothing is left of it after an error.
func CreateDifference(path string, on Ref) error {
	parent, links, err := OpenImage(on, OpenOptions{Alone: true})
	if err != nil {
		return err
	}
	defer parent.Close() //nolint:errcheck // it was only looked at
	header, err := disk.EncryptionHeader(parent)
	if err != nil {
		return err
	}
	err = create(path, disk.CreateOptions{
		Encryption: header,
		Size:       int64(describe(links[0]).Size), Parent: parent, ParentName: written(on), ParentFormat: qemuName(links[0].Info.Format),
	})
	if err != nil {
		return fmt.Errorf("make the differencing image %s: %w", path, err)
	}
	return nil
}

// written is the name of an image as it is written into a differencing image.
// QEMU and the image server are told what it stands on and do not believe
// it. The name of an earlier state leads nowhere, so that whoever opens the image by
// itself does not take the present state for that one.
func written(on Ref) string {
	if on.Snapshot == "" {
		return on.Path
	}
	return on.Path + "#" + on.Snapshot
}

// qemuName is what QEMU calls a format, for its tools to understand.
func qemuName(format string) string {
	if format == "vhd" {
		return "vpc"
	}
	return format
}

// CreateEmpty makes an empty image that grows as it is written; encrypted if there is a
// header. Nothing is left of it after an error.
func CreateEmpty(path string, size api.Size, header []byte) error {
	if err := create(path, disk.CreateOptions{Size: int64(size), Encryption: header}); err != nil {
		return fmt.Errorf("make the disk %s: %w", path, err)
	}
	return nil
}

// create makes a QCOW2 image, which is durable then.
func create(path string, o disk.CreateOptions) error {
	files, err := hostfs.Beside(path)
	if err != nil {
		return err
	}
	o.FS, o.Formats, o.Format = files, formats.All(), "qcow2"
	img, err := disk.Create(path, o)
	if err != nil {
		return err
	}
	if err := img.Close(); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// Move moves a file to a place where none is, by name where both places are on one file system, by
// copying elsewhere. A copy leaves the source where it is: the caller removes
// it when the copy is committed; copied says so. Report is called now and then
// with the bytes copied.
func Move(ctx context.Context, from, to string, report func(done, total int64)) (copied bool, err error) {
	if from == to {
		return false, nil // it is there
	}
	err = renameNew(from, to)
	if err == nil {
		return false, errors.Join(syncPath(filepath.Dir(to)), syncPath(filepath.Dir(from)))
	}
	if !errors.Is(err, syscall.EXDEV) {
		return false, err
	}
	return true, CopyFile(ctx, from, to, report)
}

// renameNew renames a file, and replaces none.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // the file system cannot tell
		if _, err := os.Lstat(to); err == nil {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
		}
		return os.Rename(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// CopyFile copies a file to a place where none is, durably and with its holes.
// Nothing is left of it after an error.
func CopyFile(ctx context.Context, from, to string, report func(done, total int64)) (err error) {
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
	if err := keepRoom(target, info); err != nil {
		return fmt.Errorf("copy %s: reserve as much room as it has: %w", from, err)
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
