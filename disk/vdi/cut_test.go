package vdi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// fragmented is a file system with an image that has gaps and blocks of zeros,
// and what the image holds.
func fragmented(t *testing.T, seed uint64) (*memfs.FS, []byte) {
	t.Helper()
	fs := memfs.New()
	img, err := disk.Create(imageName, disk.CreateOptions{FS: fs, Formats: formats, Format: formats[0].Name, Size: 24 << 12, Options: map[string]string{"blockSize": "4K"}})
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, img.Size())
	scribble(t, img, content, seed)
	rng := rand.New(rand.NewPCG(seed, 9))
	for i := range 24 {
		off := int64(i) << 12
		switch rng.IntN(3) {
		case 0:
			clear(content[off : off+4096])
			if err := disk.Zero(img, off, 4096); err != nil {
				t.Fatal(err)
			}
		case 1:
			clear(content[off : off+4096])
			if _, err := img.(disk.Writer).WriteAt(make([]byte, 4096), off); err != nil {
				t.Fatal(err)
			}
		}
	}
	finish(t, img)
	fs.Put(imageName, fs.Bytes(imageName))
	return fs, content
}

// cut does something with an image, and cuts the power before each operation
// on its file; each time the image must hold its content, and again when it was repaired.
func cut(t *testing.T, fs *memfs.FS, content []byte, do func(disk.Image) error) {
	t.Helper()
	img, err := disk.Open(imageName, disk.Options{FS: fs, Formats: formats, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	rng, moments := rand.New(rand.NewPCG(4, 4)), 0
	fs.OnOp = func(kind, _ string) {
		moments++
		for range 3 {
			if err := outlives(fs.Crash(rng), content); err != nil {
				t.Fatalf("power cut %d, before a %s: %v", moments, kind, err)
			}
		}
	}
	if err := do(img); err != nil {
		t.Fatal(err)
	}
	if moments == 0 {
		t.Error("nothing was done to the file")
	}
	fs.OnOp = nil
	finish(t, img)
	if err := outlives(fs, content); err != nil {
		t.Fatal(err)
	}
}

func outlives(fs *memfs.FS, content []byte) error {
	for _, write := range []bool{false, true, false} {
		img, err := disk.Open(imageName, disk.Options{FS: fs, Formats: formats, Write: write})
		if err != nil {
			return err
		}
		have := make([]byte, img.Size())
		if _, err := img.ReadAt(have, 0); err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(have, content) {
			return fmt.Errorf("the content differs (write %v)", write)
		}
		report, err := disk.Check(context.Background(), img)
		if err != nil {
			return err
		}
		if worst, _ := report.Worst(); worst > disk.Leak {
			return fmt.Errorf("check finds %+v", report.Findings)
		}
		if write {
			if _, err := disk.Repair(context.Background(), img); err != nil {
				return err
			}
		}
		if err := img.Close(); err != nil {
			return err
		}
	}
	return nil
}

func TestPowerCuts(t *testing.T) {
	for name, do := range map[string]func(disk.Image) error{
		"compact": func(img disk.Image) error {
			freed, err := img.(disk.Compacter).Compact(context.Background(), nil)
			if err == nil && freed <= 0 {
				err = fmt.Errorf("%d bytes were freed", freed)
			}
			return err
		},
		"UUID":   func(img disk.Image) error { return img.(disk.Identified).SetUUID("") },
		"parent": func(img disk.Image) error { return img.(disk.Reparenter).SetParent(nil, "", "") },
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				fs, content := fragmented(t, seed)
				cut(t, fs, content, do)
			})
		}
	}
}

func TestCompactedIsDense(t *testing.T) {
	fs, content := fragmented(t, 5)
	img, err := disk.Open(imageName, disk.Options{FS: fs, Formats: formats, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.(disk.Compacter).Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	report, err := disk.Check(t.Context(), img)
	if err != nil || report.Leaked != 0 || len(report.Findings) > 0 {
		t.Errorf("check finds %+v, %v", report, err)
	}
	blocks := int64(0)
	for off := 0; off < len(content); off += 4096 {
		if !bytes.Equal(content[off:off+4096], make([]byte, 4096)) {
			blocks++
		}
	}
	if report.Allocated != blocks {
		t.Errorf("%d blocks are held, %d have content", report.Allocated, blocks)
	}
	finish(t, img)
}
