package qcow2_test

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
)

// creations are the kinds of images that qemu-img makes.
var creations = []string{
	"compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=4096,compat=0.10", "cluster_size=2M",
	"refcount_bits=1", "refcount_bits=2", "refcount_bits=4", "refcount_bits=8", "refcount_bits=32", "refcount_bits=64",
	"extended_l2=on", "extended_l2=on,cluster_size=16k", "extended_l2=on,cluster_size=2M", "lazy_refcounts=on",
	"compression_type=zstd", "preallocation=metadata", "preallocation=falloc",
}

func TestReadsWhatQEMUMade(t *testing.T) {
	for _, o := range creations {
		for _, compress := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,compressed=%t", o, compress), func(t *testing.T) {
				dir := t.TempDir()
				raw, name := filepath.Join(dir, "r"), filepath.Join(dir, "q.qcow2")
				want := noise(3<<20+1536, 1)
				writeFile(t, raw, want)
				args := []string{"convert", "-f", "raw", "-O", "qcow2", "-o", o}
				if compress {
					if strings.Contains(o, "preallocation") {
						t.Skip("qemu-img does not compress into what is allocated already")
					}
					args = append(args, "-c")
				}
				run(t, "qemu-img", append(args, raw, name)...)
				img := openImage(t, name, false)
				defer closeImage(t, img)
				if got := content(t, img); string(got) != string(want) {
					t.Fatalf("first difference at %d", firstDifference(got, want))
				}
				smallReads(t, img, want)
			})
		}
	}
}

// smallReads reads in the steps of a guest.
func smallReads(t *testing.T, img disk.Image, want []byte) {
	t.Helper()
	var p [4096]byte
	for off := 100; off < min(len(want), 1<<20); off += 7000 {
		if n, err := img.ReadAt(p[:], int64(off)); err != nil && err != io.EOF || string(p[:n]) != string(want[off:off+n]) {
			t.Fatalf("at %d: %d bytes, %v", off, n, err)
		}
	}
}

func TestReadsWithParentsSubclustersAndZeros(t *testing.T) {
	for _, o := range []string{"compat=0.10", "compat=1.1", "extended_l2=on", "cluster_size=512", "cluster_size=1M"} {
		t.Run(o, func(t *testing.T) {
			dir := t.TempDir()
			raw, name := filepath.Join(dir, "base.raw"), filepath.Join(dir, "q.qcow2")
			writeFile(t, raw, noise(3<<20, 2))
			run(t, "qemu-img", "create", "-f", "qcow2", "-o", o, "-b", "base.raw", "-F", "raw", name, "5M")
			qemuIO(t, name, "write -P 1 5k 1k", "write -P 2 100k 300k", "write -z 64k 128k", "write -z 1M 70k", "write -P 3 1100k 2k", "discard 200k 64k", "write -P 9 4M 9k")
			img := openImage(t, name, false)
			defer closeImage(t, img)
			sameAsQEMU(t, name, content(t, img))
			if disk.Parent(img) == nil {
				t.Error("no parent")
			}
		})
	}
}

func TestReadsExternalDataFiles(t *testing.T) {
	for _, o := range []string{"data_file=%s", "data_file=%s,data_file_raw=on"} {
		dir := t.TempDir()
		name := filepath.Join(dir, "q.qcow2")
		run(t, "qemu-img", "create", "-f", "qcow2", "-o", fmt.Sprintf(o, filepath.Join(dir, "q.data")), name, "3M")
		qemuIO(t, name, "write -P 1 0 1k", "write -P 2 100k 300k", "write -z 64k 128k", "discard 256k 64k")
		img := openImage(t, name, false)
		sameAsQEMU(t, name, content(t, img))
		closeImage(t, img)
	}
}

func TestReadsSnapshots(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.qcow2")
	run(t, "qemu-img", "create", "-f", "qcow2", name, "3M")
	qemuIO(t, name, "write -P 1 0 200k")
	run(t, "qemu-img", "snapshot", "-c", "first", name)
	qemuIO(t, name, "write -P 2 100k 200k")
	run(t, "qemu-img", "resize", "-q", name, "6M")
	run(t, "qemu-img", "snapshot", "-c", "second", name)
	qemuIO(t, name, "write -P 3 5M 64k", "write -z 0 64k")
	for _, s := range []string{"first", "2"} {
		o := options(false)
		o.Snapshot = s
		img, err := disk.Open(name, o)
		if err != nil {
			t.Fatal(err)
		}
		label := map[string]string{"first": "first", "2": "second"}[s]
		if size := map[string]int64{"first": 3 << 20, "2": 6 << 20}[s]; img.Size() != size {
			t.Errorf("snapshot %s has %d bytes", s, img.Size())
		}
		// qemu-img gives each snapshot the current size of the disk.
		got := content(t, img)
		sameAsQEMU(t, name, append(got, make([]byte, 6<<20-len(got))...), "-l", "snapshot.name="+label)
		if n := len(img.(disk.Snapshotter).Snapshots()); n != 2 {
			t.Errorf("%d snapshots", n)
		}
		closeImage(t, img)
	}
	o := options(false)
	o.Snapshot = "third"
	if _, err := disk.Open(name, o); err == nil || !strings.HasSuffix(err.Error(), `it has "1" ("first"), "2" ("second")`) {
		t.Errorf("a snapshot that is not there: %v", err)
	}
	img := openImage(t, name, false)
	defer closeImage(t, img)
	sameAsQEMU(t, name, content(t, img))
}
