package vdi_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// TestGivenUpBlocksAreNoLeak zeros blocks as a commit does: in the middle of the
// file they become holes, at its end they are cut off.
func TestGivenUpBlocksAreNoLeak(t *testing.T) {
	files := memfs.New()
	img, err := disk.Create("a.vdi", disk.CreateOptions{FS: files, Formats: formats, Format: "vdi", Size: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("what was written"), 8<<20/16)
	if _, err := img.(disk.Writer).WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if err := img.(disk.Writer).Sync(); err != nil {
		t.Fatal(err)
	}
	before := len(files.Bytes("a.vdi"))
	for _, off := range []int64{2 << 20, 7 << 20} {
		if err := disk.Zero(img, off, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	if cut := before - len(files.Bytes("a.vdi")); cut != 1<<20 {
		t.Errorf("the file became %d bytes shorter", cut)
	}
	if img, err = disk.Open("a.vdi", disk.Options{FS: files, Formats: formats}); err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	report, err := disk.Check(context.Background(), img)
	if worst, _ := report.Worst(); err != nil || worst != disk.Note || len(report.Findings) != 1 || report.Leaked != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
