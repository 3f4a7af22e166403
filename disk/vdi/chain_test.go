package vdi_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
)

// longChain makes c3, based on c2, based on c1, based on b.
func longChain(t *testing.T) *memfs.FS {
	t.Helper()
	files := memfs.New()
	var parent disk.Image
	for _, name := range []string{"b.vdi", "c1.vdi", "c2.vdi", "c3.vdi"} {
		img, err := disk.Create(name, disk.CreateOptions{FS: files, Formats: formats, Format: "vdi", Size: 1 << 20, Parent: parent})
		if err != nil {
			t.Fatal(err)
		}
		if err := img.Close(); err != nil {
			t.Fatal(err)
		}
		if parent, err = disk.Open(name, disk.Options{FS: files, Formats: formats}); err != nil {
			t.Fatal(err)
		}
		defer parent.Close()
	}
	return files
}

func TestTheBrokenLinkOfAChainIsNamed(t *testing.T) {
	for _, c := range []struct {
		what    string
		spoil   func(t *testing.T, files *memfs.FS)
		kind    error
		missing bool
		text    string
	}{
		{"the base is missing", func(t *testing.T, files *memfs.FS) {
			if err := files.Remove("b.vdi"); err != nil {
				t.Fatal(err)
			}
		}, disk.ErrNoParent, true, "c1.vdi: its parent was not found; it is the image with the UUID"},
		{"the base was written", func(t *testing.T, files *memfs.FS) {
			img, err := disk.Open("b.vdi", disk.Options{FS: files, Formats: formats, Write: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := img.(io.WriterAt).WriteAt([]byte("new"), 0); err != nil {
				t.Fatal(err)
			}
			if err := img.Close(); err != nil {
				t.Fatal(err)
			}
		}, disk.ErrWrongParent, false, "c1.vdi: b.vdi: what was found is not its parent as it was: it was written since"},
		{"an image between is damaged", func(t *testing.T, files *memfs.FS) {
			content := files.Bytes("c1.vdi")
			copy(content[0x178:], []byte{3, 0, 0, 0}) // the block size
			files.Put("c1.vdi", content)
		}, nil, false, "c1.vdi: vdi: at offset "},
	} {
		t.Run(c.what, func(t *testing.T) {
			files := longChain(t)
			c.spoil(t, files)
			_, err := disk.Open("c3.vdi", disk.Options{FS: files, Formats: formats})
			if err == nil || c.kind != nil && !errors.Is(err, c.kind) || errors.Is(err, fs.ErrNotExist) != c.missing || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
			if c.kind == disk.ErrWrongParent && errors.Is(err, disk.ErrNoParent) {
				t.Errorf("it is said to be missing too: %v", err)
			}
		})
	}
}

// What changes nothing that a guest reads leaves an image the parent that it was.
func TestAParentThatWasTidiedUp(t *testing.T) {
	for name, do := range map[string]func(img disk.Image) error{
		"compact": func(img disk.Image) error { _, err := img.(disk.Compacter).Compact(t.Context(), nil); return err },
		"repair":  func(img disk.Image) error { _, err := disk.Repair(t.Context(), img); return err },
		"sync":    func(img disk.Image) error { return img.(disk.Writer).Sync() },
		"nothing": func(img disk.Image) error { _, err := img.(disk.Writer).WriteAt(nil, 0); return err },
	} {
		t.Run(name, func(t *testing.T) {
			files := longChain(t)
			base, err := disk.Open("b.vdi", disk.Options{FS: files, Formats: formats, Write: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := do(base); err != nil {
				t.Fatal(err)
			}
			disktest.Finish(t, base)
			img, err := disk.Open("c3.vdi", disk.Options{FS: files, Formats: formats})
			if err != nil {
				t.Fatal(err)
			}
			disktest.Finish(t, img)
		})
	}
}
