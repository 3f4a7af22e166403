package disktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// world is a file system with images of a subject.
type world struct {
	Subject
	mem *memfs.FS
	fs  *watched
}

func newWorld(s Subject) *world { return worldOf(s, memfs.New()) }

func worldOf(s Subject, mem *memfs.FS) *world {
	return &world{Subject: s, mem: mem, fs: &watched{FS: mem}}
}

// create makes an empty image.
func (w *world) create(image string, size int64) (disk.Image, error) {
	return disk.Create(w.File(image), disk.CreateOptions{
		FS: w.fs, Formats: w.Formats, Format: w.kind(), Size: size, Options: w.Options,
	})
}

// derive makes a differencing image; its parent is opened and closed with
// what cleanup does.
func (w *world) derive(image string, size int64, parent string) (img disk.Image, cleanup func() error, err error) {
	base, err := w.open(parent, false)
	if err != nil {
		return nil, nil, err
	}
	img, err = disk.Create(w.File(image), disk.CreateOptions{
		FS: w.fs, Formats: w.Formats, Format: w.kind(), Size: size, Options: w.Options,
		Parent: base, ParentName: w.reference(image, parent),
	})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("creating a differencing image: %w", err), base.Close())
	}
	return img, func() error { return errors.Join(img.Close(), base.Close()) }, nil
}

// reference is how an image names another: from its own directory.
func (s Subject) reference(image, other string) string {
	rel, err := filepath.Rel(path.Dir(s.File(image)), s.File(other))
	if err != nil {
		return s.File(other)
	}
	return filepath.ToSlash(rel)
}

// removeFiles removes all files of an image.
func (w *world) removeFiles(image string) error {
	img, err := w.open(image, false)
	if err != nil {
		return err
	}
	files := disk.Describe(img).Files
	if err := img.Close(); err != nil {
		return err
	}
	for _, name := range files {
		resolved, err := w.mem.Resolve(w.File(image), name)
		if err != nil {
			return err
		}
		if err := w.mem.Remove(resolved); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return w.mem.Remove(w.File(image))
}

// open opens an image.
func (w *world) open(image string, write bool) (disk.Image, error) {
	return disk.Open(w.File(image), w.options(write))
}

func (w *world) options(write bool) disk.Options {
	return disk.Options{FS: w.fs, Formats: w.Formats, Format: w.openAs(), Write: write}
}

// filled makes an image with a content and closes it.
func (w *world) filled(image string, content []byte) error {
	img, err := w.create(image, int64(len(content)))
	if err != nil {
		return err
	}
	if err := fill(img, w.variant(), content); err != nil {
		return errors.Join(err, img.Close())
	}
	return img.Close()
}

// fill puts a content into an empty image, as its variant wants it.
func fill(img disk.Image, v disk.Variant, content []byte) error {
	if v.Always {
		return compress(img, content)
	}
	writer, ok := img.(disk.Writer)
	if !ok {
		return fmt.Errorf("%T, just made, is no disk.Writer", img)
	}
	for _, run := range runsOf(content) {
		if n, err := writer.WriteAt(content[run.off:run.end], run.off); err != nil || n != int(run.end-run.off) {
			return fmt.Errorf("writing [%d,%d): %d written, %w", run.off, run.end, n, err)
		}
	}
	return nil
}

// finished closes an image and tells of files that are open still.
func (w *world) finished(img disk.Image) error {
	if err := img.Close(); err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	return w.fs.allClosed()
}

// with opens an image, does something with it and closes it.
func (w *world) with(image string, write bool, do func(disk.Image) error) error {
	img, err := w.open(image, write)
	if err != nil {
		return fmt.Errorf("opening %s (write %v): %w", image, write, err)
	}
	if err := do(img); err != nil {
		return errors.Join(err, img.Close())
	}
	return w.finished(img)
}

// same compares an image with what it should hold.
func same(img disk.Image, want []byte) error {
	if img.Size() != int64(len(want)) {
		return fmt.Errorf("the disk has %d bytes; it should have %d", img.Size(), len(want))
	}
	const piece = 1<<20 - 3 // odd on purpose
	buffer := make([]byte, min(piece, len(want)))
	for off := 0; off < len(want); off += piece {
		n := min(piece, len(want)-off)
		if err := sameAt(img, buffer[:n], want[off:off+n], int64(off)); err != nil {
			return err
		}
	}
	return nil
}

// sameAt compares a range.
func sameAt(img disk.Image, buffer, want []byte, off int64) error {
	n, err := img.ReadAt(buffer, off)
	if n != len(want) || err != nil && err != io.EOF {
		return fmt.Errorf("reading [%d,+%d) gave %d bytes, error %w", off, len(want), n, err)
	}
	if i := mismatch(buffer, want); i >= 0 {
		return fmt.Errorf("byte %d is %#02x; it should be %#02x (reading [%d,+%d))", off+int64(i), buffer[i], want[i], off, len(want))
	}
	return nil
}

func mismatch(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	return slices.IndexFunc(indices(len(a)), func(i int) bool { return a[i] != b[i] })
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// sound checks that an image's Check finds nothing worse than allowed.
func (s Subject) sound(img disk.Image, allowed disk.Severity) error {
	report, err := disk.Check(context.Background(), img)
	if s.NoCheck && errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	for _, f := range report.Findings {
		if f.Severity > allowed {
			return fmt.Errorf("check found %s at %s:%d: %s", f.Severity, f.File, f.Offset, f.Reason)
		}
	}
	return nil
}
