package vmdk_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/diskfault"
	"github.com/panalvm/panal/disk/memfs"
)

var errFull = errors.New("no space left")

// TestAFullStoreIsToldOnce fills the store up after ever more operations, while
// images are made, written, synced, resized and closed.
func TestAFullStoreIsToldOnce(t *testing.T) {
	for name, s := range subjects() {
		if v, _ := s.Format.Variant(s.Variant); !v.Write {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for after, full := 0, true; full; after += 1 + after/4 {
				left := after
				files := &diskfault.FS{FS: memfs.New(), Fail: func(op diskfault.Op, _ string) error {
					if left--; op == diskfault.Read || left >= 0 {
						return nil
					}
					return errFull
				}}
				work(t, files, "vmdk:"+s.Variant, s.Options)
				full = left < 0
			}
		})
	}
}

// work does all that can be done to an image, and checks what is told.
func work(t *testing.T, files disk.FS, kind string, options map[string]string) {
	t.Helper()
	told := func(what string, err error) bool {
		if err != nil && strings.Count(err.Error(), errFull.Error()) != 1 {
			t.Fatalf("%s: %v", what, err)
		}
		return err == nil
	}
	img, err := disk.Create("a.vmdk", disk.CreateOptions{FS: files, Formats: formats, Format: kind, Size: 1 << 20, Options: options})
	if !told("creating", err) {
		if left, err := files.Siblings("other"); err != nil || len(left) > 0 {
			t.Fatalf("creating left %q, %v", left, err)
		}
		return
	}
	p := mixed(300<<10, 3)
	for off := int64(0); off < 1<<20-int64(len(p)); off += int64(len(p)) {
		_, err := img.(disk.Writer).WriteAt(p, off)
		told("writing", err)
	}
	told("zeroing", disk.Zero(img, 5000, 100<<10))
	told("syncing", img.(disk.Writer).Sync())
	told("growing", disk.Resize(img, 3<<20))
	told("shrinking", disk.Resize(img, 100<<10))
	told("closing", img.Close())
}
