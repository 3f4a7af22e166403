package qcow2_test

import (
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/qcow2"
)

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	for _, o := range kinds {
		t.Run(label(o), func(t *testing.T) {
			if rare(o) && o["compat"] == "" && !disktest.Thorough() {
				t.Skip("tried when PANAL_THOROUGH is set")
			}
			format := qcow2.Format
			if o["dataFile"] != "" {
				format = parentless()
			}
			block, err := disk.ParseSize(o["clusterSize"])
			if err != nil {
				block = 64 << 10
			}
			disktest.Faults(t, disktest.Subject{Format: format, Options: o, Block: block})
		})
	}
}

// stunted is the format with tables that have to grow: images are made small
// and get their size then.
func stunted() *disk.Format {
	f := *qcow2.Format
	create := f.Create
	f.Create = func(t *disk.Target) (disk.Image, error) {
		size := t.Size
		t.Size = min(size, 512)
		img, err := create(t)
		if err != nil {
			return nil, err
		}
		return img, disk.Resize(img, size)
	}
	return &f
}

// TestTablesGrow lets the power be cut, and files fail, while the refcount and
// L1 tables become larger.
func TestTablesGrow(t *testing.T) {
	s := disktest.Subject{
		Format: stunted(), Options: map[string]string{"clusterSize": "512", "refcountBits": "64"}, Block: 512, Size: 3 << 20,
		Skip: map[string]string{"faults/child": "growing hides the parent"},
	}
	disktest.Faults(t, s)
	for _, name := range []string{
		"new", "read", "map", "read-only", "truncated", "range", "resize", "concurrent", "concurrent/child", "chain", "hidden", "alone", "alone/zeros",
		"crash", "crash/child", "compress", "stream", "compact", "parent", "model", "model/child",
	} {
		s.Skip[name] = "done with tables of the right size"
	}
	disktest.Run(t, s)
}
