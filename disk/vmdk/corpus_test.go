package vmdk_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/vmdk"
)

var formats = []*disk.Format{vmdk.Format}

// openHost opens an image of the host's.
func openHost(t testing.TB, path string, write bool) (disk.Image, error) {
	t.Helper()
	fs, err := hostfs.Beside(path)
	if err != nil {
		t.Fatal(err)
	}
	return disk.Open(path, disk.Options{FS: fs, Formats: formats, Write: write})
}

// Files of the corpus that are parts of images, or of which parts are missing.
var corpusErrors = map[string]string{
	"ova/go-vcloud-director__test_vapp_template_ovf~Ubuntu1.vmdk": "no known image format", // the tail of a chunked file
	"vmdk/vmdk-forensic__data/flat-f001.vmdk":                     "no known image format",
	"vmdk/vmdk-rs__data/monolithicFlat-flat.vmdk":                 "no known image format",
	"vmdk/vmdk-rs__data/twoGbMaxExtentFlat-f001.vmdk":             "no known image format",
	"vmdk/vmdk-forensic__data/mono_flat.vmdk":                     `extent "mono_flat-flat.vmdk"`,
	"vmdk/vmdk-forensic__data/ms3-win.vmdk":                       `extent "disk-s001.vmdk"`,
	"vmdk/vmdk-forensic__data/tw_sparse_data.vmdk":                `extent "tw_sparse_data-s001.vmdk"`,
}

// TestCorpus reads the images that other programs made.
func TestCorpus(t *testing.T) {
	for _, f := range disktest.CorpusFiles(t, "") {
		if f.Format != "vmdk" && filepath.Ext(f.Path) != ".vmdk" {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			img, err := openHost(t, f.Path, false)
			if want, ok := corpusErrors[f.Name]; ok {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got the error %v, not %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			compared, err := f.Verify(img)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes, compared %t", img.Size(), compared)
		})
	}
}
