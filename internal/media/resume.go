package media

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
)

// DoneSuffix is what the name of a file that says how far an image has been copied has behind that of the image.
const DoneSuffix = ".done"

// ResumeCopy is CreateCopy that leaves what it has made after an error, a kill or a power cut, and a file beside it that says
// how far that is known to be there. Called again with the same source and the same size it goes on from there; what
// lies before is not read again. That the source is the same is for the caller to know. How far it is put down after every
// so many bytes; noted is called then, and an error of it ends the copy.
func ResumeCopy(ctx context.Context, path string, from disk.Image, size, every int64, report func(done, total int64), noted func() error) (err error) {
	size = wholeSectors(max(size, from.Size()))
	img, done, err := openPart(path, size)
	if err != nil {
		return fmt.Errorf("make the disk %s: %w", path, err)
	}
	p := part{path: path, img: img, end: done}
	copied := disk.Copy(ctx, img, from, disk.CopyOptions{Progress: report, From: done, Written: func(off, end int64) error {
		if p.unsynced, p.end = p.unsynced+end-off, end; p.unsynced < every {
			return nil
		}
		return firstOf(p.note(), noted)
	}})
	if copied != nil {
		_ = p.note() // what is not noted is read again
		return errors.Join(fmt.Errorf("copy into %s: %w", path, copied), img.Close())
	}
	err = errors.Join(syncImage(img), img.Close())
	if err == nil {
		err = unlessMissing(os.Remove(doneFile(path)))
	}
	return err
}

// PartDone is how much of a disk ResumeCopy is known to have copied to a path, in bytes: 0 if it has to begin anew.
func PartDone(path string) int64 {
	text, err := os.ReadFile(doneFile(path))
	if err != nil {
		return 0
	}
	done, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || done < 0 {
		return 0
	}
	if _, err := os.Lstat(path); err != nil {
		return 0
	}
	return done
}

// RemovePart removes what ResumeCopy has left at a path.
func RemovePart(path string) error {
	// What it tells must not outlive what it tells of.
	return errors.Join(unlessMissing(os.Remove(doneFile(path))), unlessMissing(os.Remove(PartOf(doneFile(path)))), unlessMissing(os.Remove(path)))
}

func doneFile(path string) string { return path + DoneSuffix }

// openPart opens what an earlier copy has left, or makes a new image.
func openPart(path string, size int64) (disk.Image, int64, error) {
	if done := PartDone(path); done > 0 {
		img, _, err := OpenImage(Ref{Path: path, Format: "qcow2"}, OpenOptions{Write: true, Locked: true, Alone: true})
		if err == nil && disk.Writable(img) && img.Size() == size {
			return img, min(done, size), nil
		}
		if err == nil {
			_ = img.Close() // it goes, as what cannot be opened does
		}
	}
	if err := RemovePart(path); err != nil {
		return nil, 0, err
	}
	files, err := hostfs.Beside(path)
	if err != nil {
		return nil, 0, err
	}
	img, err := disk.Create(path, disk.CreateOptions{FS: files, Formats: formats.All(), Format: "qcow2", Size: size})
	return img, 0, err
}

// part is an image that is being copied into.
type part struct {
	path     string
	img      disk.Image
	end      int64 // all before was written
	unsynced int64 // bytes that were written since it was noted
}

// note makes what was written durable, and then puts down that it is.
func (p *part) note() error {
	if p.unsynced == 0 {
		return nil
	}
	if err := syncImage(p.img); err != nil {
		return err
	}
	p.unsynced = 0
	next := PartOf(doneFile(p.path))
	file, err := os.Create(next)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strconv.FormatInt(p.end, 10))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(next, doneFile(p.path)), syncPath(filepath.Dir(next)))
}

// firstOf is an error, or else what comes next.
func firstOf(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

func unlessMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
