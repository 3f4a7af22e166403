package runner

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/folder"
)

// holds checks that an image has a pattern in some megabytes.
func (b *bench) holds(img disk.Image, pattern byte, from, count int64) {
	b.Helper()
	p := make([]byte, count<<20)
	if _, err := img.ReadAt(p, from<<20); err != nil {
		b.Fatal(err)
	}
	if !bytes.Equal(p, bytes.Repeat([]byte{pattern}, len(p))) {
		b.Errorf("the image does not hold %d at %d MiB", pattern, from)
	}
}

func TestFleeceShowsOneInstantOfAllDrives(t *testing.T) {
	b := newBench(t)
	b.image("base.qcow2", "")
	b.tool("qemu-io", "-c", "write -P 7 8M 4M", b.path("base.qcow2"))
	b.disk("a", b.image("a.qcow2", "base.qcow2"), b.path("base.qcow2"))
	b.disk("b", b.image("b.qcow2", ""))
	b.paused = false
	b.start()
	b.fill("a", 1, 0, 4)
	b.fill("b", 2, 0, 4)
	f, err := b.Fleece(t.Context(), []string{"a", "b"}, b.machine.Folder.Path(folder.Disks))
	if err != nil {
		t.Fatal(err)
	}
	b.fill("a", 3, 2, 8)
	b.fill("b", 4, 2, 8)
	another, err := b.Fleece(t.Context(), []string{"a"}, t.TempDir())
	if err == nil {
		_ = another.Close()
	}
	for drive, pattern := range map[string]byte{"a": 1, "b": 2} {
		img, err := f.Image(t.Context(), drive)
		if err != nil {
			t.Fatal(err)
		}
		if img.Size() != diskSize {
			t.Errorf("drive %s has %d bytes", drive, img.Size())
		}
		b.holds(img, pattern, 0, 4)
		b.holds(img, 0, 4, 4)
		if e, err := disk.MapAt(img, 20<<20, 1<<20); err != nil || e.State != disk.Zeroed {
			t.Errorf("drive %s, where nothing is: %+v %v", drive, e, err)
		}
		if drive == "a" {
			b.holds(img, 7, 8, 4)
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := b.Branch(t.Context(), []Overlay{{Drive: "a", Path: b.image("a1.qcow2", "a.qcow2")}}); err == nil {
		t.Error("the images of a drive change that is being read")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, b.machine.Dir.fleece())
	nodes, err := b.monitor.QueryBlockNodes(t.Context())
	if err != nil || len(nodes) != 6 {
		t.Errorf("QEMU has %d nodes: %v", len(nodes), err)
	}
	if names, err := filepath.Glob(b.path(".*")); err != nil || len(names) > 0 {
		t.Errorf("files are left: %v %v", names, err)
	}
	b.sees("a", b.path("a.qcow2"), 3, 2, 8)
	b.sees("b", b.path("b.qcow2"), 4, 2, 8)
	if f, err = b.Fleece(t.Context(), []string{"a"}, t.TempDir()); err != nil {
		t.Fatalf("once more: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestFleeceEndsWithItsDaemon(t *testing.T) {
	b := newBench(t)
	b.disk("a", b.image("a.qcow2", ""))
	b.paused = false
	b.start()
	if _, err := b.Fleece(t.Context(), []string{"a"}, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	b.adopt()
	refused(t, b.machine.Dir.fleece())
	if err := b.Branch(t.Context(), []Overlay{{Drive: "a", Path: b.image("a1.qcow2", "a.qcow2")}}); err != nil {
		t.Error(err)
	}
	if _, err := b.Fleece(t.Context(), []string{"none"}, t.TempDir()); err == nil {
		t.Error("a drive is shown that is not there")
	}
}
