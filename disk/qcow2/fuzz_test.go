package qcow2_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/qcow2"
)

// seeds are small images of each kind.
func seeds(t testing.TB) [][]byte {
	var all [][]byte
	for _, o := range []map[string]string{
		{"clusterSize": "512"},
		{"clusterSize": "512", "compat": "v2"},
		{"clusterSize": "512", "compression": "zstd"},
		{"clusterSize": "16K", "extendedL2": "on"},
		{"clusterSize": "512", "refcountBits": "1"},
	} {
		fs := memfs.New()
		img, err := disk.Create("seed", disk.CreateOptions{FS: fs, Formats: []*disk.Format{qcow2.Format}, Format: "qcow2", Size: 40000, Options: o})
		if err != nil {
			t.Fatal(err)
		}
		sink, err := img.(disk.Compressor).Compressing()
		if err != nil {
			t.Fatal(err)
		}
		block, err := sink.Encode(nil, bytes.Repeat([]byte("ab"), sink.BlockSize()/2))
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{sink.Append(0, block), sink.Close(), disk.Zero(img, 20000, 5000)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := img.(disk.Writer).WriteAt([]byte("some content"), 33000); err != nil {
			t.Fatal(err)
		}
		closeImage(t, img)
		all = append(all, fs.Bytes("seed"))
	}
	fixtures, err := filepath.Glob("testdata/*.qcow2")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range fixtures {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func FuzzOpen(f *testing.F) {
	disktest.Fuzz(f, []*disk.Format{qcow2.Format}, seeds(f)...)
}
