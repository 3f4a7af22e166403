package vmdk_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// filledSparse puts an image of 4 MiB, all written, into a file system.
func filledSparse(t *testing.T) (*memfs.FS, []byte) {
	t.Helper()
	files := memfs.New()
	img, err := disk.Create("a.vmdk", disk.CreateOptions{FS: files, Formats: formats, Format: "vmdk", Size: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("what was written"), 4<<20/16)
	if _, err := img.(disk.Writer).WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	return files, content
}

func checked(t *testing.T, files *memfs.FS) disk.Report {
	t.Helper()
	img := mustOpen(t, files, "a.vmdk", disk.Options{})
	defer img.Close()
	report, err := disk.Check(context.Background(), img)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func sizeOf(t *testing.T, files *memfs.FS) int64 {
	t.Helper()
	return int64(len(files.Bytes("a.vmdk")))
}

func TestSpaceComesBackOnClose(t *testing.T) {
	for name, c := range map[string]struct {
		change func(img disk.Image) error
		cut    int64 // by which the file becomes shorter
		notes  int
	}{
		"shrunk":            {func(img disk.Image) error { return img.(disk.Resizer).Resize(1 << 20) }, 3 << 20, 0},
		"zeroed at the end": {func(img disk.Image) error { return disk.Zero(img, 2<<20, 2<<20) }, 2 << 20, 0},
		"zeroed within":     {func(img disk.Image) error { return disk.Zero(img, 1<<20, 1<<20) }, 0, 1},
	} {
		files, _ := filledSparse(t)
		before := sizeOf(t, files)
		img := mustOpen(t, files, "a.vmdk", disk.Options{Write: true})
		if err := c.change(img); err != nil {
			t.Fatal(err)
		}
		if err := img.Close(); err != nil {
			t.Fatal(err)
		}
		if got := before - sizeOf(t, files); got != c.cut {
			t.Errorf("%s: the file became %d bytes shorter, not %d", name, got, c.cut)
		}
		report := checked(t, files)
		worst, _ := report.Worst()
		if worst != disk.Note || len(report.Findings) != c.notes || report.Leaked != 0 {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// TestRepairGivesLeaksBack takes entries out of the tables of an image, as if
// the power had been cut before they were written.
func TestRepairGivesLeaksBack(t *testing.T) {
	files, content := filledSparse(t)
	p := files.Bytes("a.vmdk")
	first, second := tables(p)
	for _, grain := range []int{10, 11, 63} {
		clear(p[first+4*grain:][:4])
		clear(p[second+4*grain:][:4])
		clear(content[grain<<16:][:1<<16])
	}
	files.Put("a.vmdk", p)
	report := checked(t, files)
	if worst, _ := report.Worst(); worst != disk.Leak || report.Leaked != 3<<16 {
		t.Fatalf("the leak is not seen: %+v", report)
	}
	img := mustOpen(t, files, "a.vmdk", disk.Options{Write: true})
	mended, err := disk.Repair(context.Background(), img)
	if err != nil || len(mended.Findings) != 1 || mended.Findings[0].Severity != disk.Leak || mended.Findings[0].Remedy == "" {
		t.Fatalf("mended: %+v, %v", mended, err)
	}
	if got := readAll(t, img); !bytes.Equal(got, content) {
		t.Error("it reads otherwise")
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	if got := int64(len(p)) - sizeOf(t, files); got != 1<<16 {
		t.Errorf("the file became %d bytes shorter", got)
	}
	if report := checked(t, files); report.Leaked != 0 {
		t.Errorf("it leaks still: %+v", report)
	}
}

// TestRepairKeepsWhatDamagedTablesMayHaveLedTo: with the directory's entry gone
// wrong, all of its grains seem unused.
func TestRepairKeepsWhatDamagedTablesMayHaveLedTo(t *testing.T) {
	files, _ := filledSparse(t)
	p := files.Bytes("a.vmdk")
	first, _ := tables(p)
	p[first+4*10] ^= 0x80 // grain 10 is said to be where another is; the copy differs
	files.Put("a.vmdk", p)
	for _, f := range checked(t, files).Findings {
		if f.Severity == disk.Leak && f.Remedy != "" {
			t.Errorf("space is given back beside damage: %+v", f)
		}
	}
	img := mustOpen(t, files, "a.vmdk", disk.Options{Write: true})
	defer img.Close()
	report, err := disk.Check(context.Background(), img)
	if err != nil {
		t.Fatal(err)
	}
	leaks := 0
	for _, f := range report.Findings {
		if f.Severity == disk.Leak {
			leaks++
			if f.Remedy != "" {
				t.Errorf("space would be given back beside damage: %+v", f)
			}
		}
	}
	if leaks == 0 {
		t.Errorf("the test shows nothing: %+v", report.Findings)
	}
}
