package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/problem"
)

// Room is how much of an image's room is taken before it is needed. In qemu-img's words:
//
//	off        none: the files grow as the disk is written
//	metadata   each block has its place; the files take their room when it is written
//	falloc     the file system gives the whole room at once
//	full       and zeros are written to it
type Room = api.Preallocation

// roomy tells whether the files of an image take up all the room that its disk can need. One that was written throughout
// is no different from one that was made so.
func roomy(info disk.Info) bool { return info.Size > 0 && info.Allocated >= info.Size }

// canTakeRoom tells whether an image is of a kind that can take up its room beforehand.
func canTakeRoom(info disk.Info) bool {
	whole := []string{"fixed", "plain", "monolithicFlat", "twoGbMaxExtentFlat", "vmfs"}
	return info.Format == "raw" || info.Format == "qcow2" || slices.Contains(whole, info.Variant)
}

// growsOnly refuses to take the room of an image that grows as it is written.
func growsOnly(path string, info disk.Info) error {
	return problem.New(api.KindUnsupported, "`panal medium copy --fixed` makes one that does",
		"image %s: %s grows as it is written, and takes up no room beforehand", path, kindOf(info))
}

// filesOf are the files that an image consists of, the one that it is known by first.
func filesOf(path string, info disk.Info) []string {
	files := []string{path}
	for _, name := range info.Files {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		files = append(files, name)
	}
	return files
}

// takeRoom has the files of an image take up all the room that its disk can need; zeroed writes zeros there, which
// file systems that cannot reserve room understand, too.
func takeRoom(path string, info disk.Info, zeroed bool) error {
	for _, name := range filesOf(path, info) {
		if err := reserve(name, lengthOf(info), zeroed); err != nil {
			return fmt.Errorf("reserve the room of %s: %w", name, err)
		}
	}
	return nil
}

// lengthOf is how long the file of an image becomes that is not yet as long as it can be; 0 for one that is.
func lengthOf(info disk.Info) int64 {
	if info.Format != "qcow2" {
		return 0
	}
	// Its tables take less than this: 10 bytes for each cluster, of 4 KiB at least for all but strange ones.
	return info.Size + info.Size>>8 + 1<<20
}

// reserve makes a file take up the room that it has the length for, and what is missing of length behind its end.
func reserve(path string, length int64, zeroed bool) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	// The file system would give all that it has before it says that this is too little.
	if err := hasRoom(path, max(length, info.Size())-Allocated(info)); err != nil {
		return err
	}
	if zeroed {
		if err := fillHoles(file, info.Size()); err != nil {
			return err
		}
	}
	if length = max(length, info.Size()); length > 0 {
		err = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, length)
		if zeroed && errors.Is(err, unix.EOPNOTSUPP) {
			err = nil
		}
	}
	return errors.Join(err, file.Sync())
}

// fillHoles writes zeros where a file has nothing.
func fillHoles(file *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size; {
		hole, err := seek(file, at, seekHole)
		if err != nil || hole < 0 || hole >= size {
			return err
		}
		end, err := seek(file, hole, seekData)
		if err != nil {
			return err
		}
		if end < 0 {
			end = size
		}
		for at = hole; at < end; at += int64(len(zeros)) {
			if _, err := file.WriteAt(zeros[:min(int64(len(zeros)), end-at)], at); err != nil {
				return err
			}
		}
		at = end
	}
	return nil
}

// Allocated is how many bytes of its file system a file takes up.
func Allocated(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}

// keepRoom has a copy of a file take up as much room as the original does, if that takes up all that it can.
func keepRoom(target *os.File, original fs.FileInfo) error {
	length, has := original.Size(), Allocated(original)
	if length == 0 || has < length {
		return nil
	}
	if has-length > 1<<20 { // less is the file system's own
		length = has
	}
	made, err := target.Stat()
	if err == nil {
		err = hasRoom(target.Name(), length-Allocated(made))
	}
	if err == nil {
		err = unix.Fallocate(int(target.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, length)
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// Space is what the file system of a directory has free for anybody, and how large it is.
func Space(dir string) (free, all api.Size, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := api.Size(s.Bsize) //nolint:unconvert // its type differs between systems
	return api.Size(s.Bavail) * block, api.Size(s.Blocks) * block, nil
}

// hasRoom refuses what would take more than the file system of a file has left.
func hasRoom(path string, more int64) error {
	free, _, err := Space(filepath.Dir(path))
	if err != nil {
		return err
	}
	if more > 0 && free < api.Size(more) {
		return problem.New(api.KindNoSpace, "free some space, or leave preallocation off: then room is taken when it is written",
			"all its room is taken beforehand, which %s more need, and %s are free", api.Size(more), free)
	}
	return nil
}

// TakesRoom tells whether the files of an image take up all the room that its disk can need.
func TakesRoom(ref Ref) (bool, error) {
	img, links, err := OpenImage(ref, OpenOptions{Alone: true})
	if err != nil {
		return false, err
	}
	return roomy(links[0].Info), img.Close()
}

// TakeRoom has an image take up all the room that a disk of so many bytes can need, also before the disk has them, and
// while a machine writes it. Only QCOW2 and raw images can.
func TakeRoom(ref Ref, size int64) error {
	img, links, err := OpenImage(ref, OpenOptions{Alone: true})
	if err != nil {
		return err
	}
	if err := img.Close(); err != nil {
		return err
	}
	info := links[0].Info
	if info.Format != "raw" && info.Format != "qcow2" {
		return problem.New(api.KindUnsupported, "shut the machine down first, or say preallocation=off", "image %s: the room of %s is not taken while a machine runs on it", ref.Path, kindOf(info))
	}
	more := max(size-info.Allocated, 0)
	info.Size = size
	if err := hasRoom(ref.Path, more); err != nil {
		return err
	}
	length := max(lengthOf(info), size)
	if err := reserve(ref.Path, length, false); err != nil {
		return fmt.Errorf("reserve the room of %s: %w", ref.Path, err)
	}
	return nil
}

// Remove removes the files of an image, or the file of that name if it is none.
func Remove(path string) error {
	files := []string{path}
	if img, links, err := OpenImage(Ref{Path: path}, OpenOptions{Alone: true}); err == nil {
		files = filesOf(path, links[0].Info)
		_ = img.Close() // it was only looked at
	}
	var failed error
	for i := len(files) - 1; i >= 0; i-- { // what names the others goes last
		if err := os.Remove(files[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
