package vmdk_test

import (
	"errors"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

func TestNamesThatNoDescriptorHolds(t *testing.T) {
	var usage *disk.UsageError
	for _, kind := range []string{"monolithicFlat", "monolithicSparse", "twoGbMaxExtentSparse", "streamOptimized"} {
		for _, file := range []string{"new\nline.vmdk", "quo\"te.vmdk", "carriage\r.vmdk", "bell\a.vmdk"} {
			files := memfs.New()
			img, err := disk.Create(file, disk.CreateOptions{FS: files, Formats: formats, Format: "vmdk:" + kind, Size: 1 << 20})
			if err == nil {
				img.Close()
			}
			if !errors.As(err, &usage) {
				t.Errorf("%s %q: %v", kind, file, err)
			}
			if left := files.Names(); len(left) > 0 {
				t.Errorf("%s %q: it left %q", kind, file, left)
			}
		}
	}
}

func TestParentsNamesThatNoDescriptorHolds(t *testing.T) {
	var usage *disk.UsageError
	files := memfs.New()
	create := func(name string, o disk.CreateOptions) (disk.Image, error) {
		o.FS, o.Formats, o.Format, o.Size = files, formats, "vmdk", 1<<20
		return disk.Create(name, o)
	}
	base, err := create("base.vmdk", disk.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	if _, err := create("bad.vmdk", disk.CreateOptions{Parent: base, ParentName: "li\nne.vmdk"}); !errors.As(err, &usage) {
		t.Errorf("create: %v", err)
	}
	child, err := create("child ü 'x'.vmdk", disk.CreateOptions{Parent: base, ParentName: "base.vmdk"})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	if err := child.(disk.Reparenter).SetParent(base, "li\nne.vmdk", ""); !errors.As(err, &usage) {
		t.Errorf("rebase: %v", err)
	}
}
