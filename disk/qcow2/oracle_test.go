package qcow2_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/qcow2"
)

// make1 makes an image with Create.
func make1(t *testing.T, name string, o disk.CreateOptions) disk.Image {
	t.Helper()
	o.FS, o.Formats = hostfs.Everywhere(), []*disk.Format{qcow2.Format, plain}
	o.Format = "qcow2"
	img, err := disk.Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// scribble changes an image at random in all ways, and a slice in the same.
func scribble(t *testing.T, img disk.Image, model []byte, seed uint64, steps int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 3))
	for range steps {
		off := rng.IntN(len(model))
		n := min(len(model)-off, 1+rng.IntN(1<<(4+rng.IntN(16))))
		part := model[off : off+n]
		var err error
		switch rng.IntN(6) {
		case 0:
			clear(part)
			err = disk.Zero(img, int64(off), int64(n))
		case 1:
			if err = disk.Discard(img, int64(off), int64(n)); err == nil {
				_, err = img.ReadAt(part, int64(off))
			}
		case 2:
			err = img.(disk.Writer).Sync()
		default:
			for i := range part {
				part[i] = byte(rng.Uint32())
			}
			_, err = img.(disk.Writer).WriteAt(part, int64(off))
		}
		if err != nil && err.Error() != "EOF" {
			t.Fatal(err)
		}
	}
}

func TestQEMUReadsWhatWeWrite(t *testing.T) {
	for i, o := range kinds {
		t.Run(label(o), func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "ours.qcow2")
			model := make([]byte, 5<<20+512)
			img := make1(t, name, disk.CreateOptions{Size: int64(len(model)), Options: o})
			sound(t, saved(t, img, name))
			img = openImage(t, name, true)
			scribble(t, img, model, uint64(i), 120)
			if got := content(t, img); !bytes.Equal(got, model) {
				t.Fatalf("first difference at %d", firstDifference(got, model))
			}
			if err := disk.Resize(img, 9<<20); err != nil {
				t.Fatal(err)
			}
			model = append(model, make([]byte, 9<<20-len(model))...)
			scribble(t, img, model, uint64(i)+100, 120)
			closeImage(t, img)
			sound(t, name)
			sameAsQEMU(t, name, model)
			if _, ok := o["dataFile"]; !ok {
				compacted(t, name, model)
			}
		})
	}
}

// saved closes an image and gives its name.
func saved(t *testing.T, img disk.Image, name string) string {
	closeImage(t, img)
	return name
}

// compacted compacts an image and looks whether it is as before.
func compacted(t *testing.T, name string, want []byte) {
	t.Helper()
	img := openImage(t, name, true)
	if _, err := img.(disk.Compacter).Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	closeImage(t, img)
	sound(t, name)
	sameAsQEMU(t, name, want)
}

// rarelyWritten are the kinds that take turns in thorough tests only: they differ
// from others in what is tried by itself, as the width of refcounts is.
var rarelyWritten = map[string]bool{
	"cluster_size=4096,compat=0.10": true, "refcount_bits=2": true, "refcount_bits=4": true, "refcount_bits=32": true,
	"extended_l2=on": true, "preallocation=falloc": true, "preallocation=metadata": true, "compat=1.1": true,
}

func TestWeAndQEMUTakeTurns(t *testing.T) {
	for i, o := range creations {
		if rarelyWritten[o] && !disktest.Thorough() {
			continue
		}
		t.Run(o, func(t *testing.T) {
			dir := t.TempDir()
			name, raw := filepath.Join(dir, "q.qcow2"), filepath.Join(dir, "r")
			model := noise(3<<20, uint64(i))
			writeFile(t, raw, model)
			args := []string{"convert", "-O", "qcow2", "-o", o}
			if !strings.Contains(o, "preallocation") {
				args = append(args, "-c")
			}
			run(t, "qemu-img", append(args, raw, name)...)
			for turn := range 2 {
				img := openImage(t, name, true)
				scribble(t, img, model, uint64(turn), 60)
				closeImage(t, img)
				sound(t, name)
				sameAsQEMU(t, name, model)
				qemuIO(t, name, "write -P 7 70k 300k", "write -P 8 1M 5k")
				copy(model[70<<10:], bytes.Repeat([]byte{7}, 300<<10))
				copy(model[1<<20:], bytes.Repeat([]byte{8}, 5<<10))
			}
		})
	}
}

func TestWritesBesideSnapshots(t *testing.T) {
	for _, o := range []string{"compat=1.1", "compat=0.10", "extended_l2=on", "refcount_bits=8", "cluster_size=512"} {
		if !disktest.Thorough() && (o == "compat=0.10" || o == "refcount_bits=8") {
			continue
		}
		t.Run(o, func(t *testing.T) {
			dir := t.TempDir()
			name, raw := filepath.Join(dir, "q.qcow2"), filepath.Join(dir, "r")
			old := noise(2<<20, 5)
			writeFile(t, raw, old)
			run(t, "qemu-img", "convert", "-c", "-O", "qcow2", "-o", o, raw, name)
			qemuIO(t, name, "write -P 5 100k 200k")
			copy(old[100<<10:], bytes.Repeat([]byte{5}, 200<<10))
			run(t, "qemu-img", "snapshot", "-c", "before", name)
			model := bytes.Clone(old)
			img := openImage(t, name, true)
			scribble(t, img, model, 9, 80)
			closeImage(t, img)
			sound(t, name)
			sameAsQEMU(t, name, model)
			sameAsQEMU(t, name, old, "-l", "snapshot.name=before")
			compacted(t, name, model)
			sameAsQEMU(t, name, old, "-l", "snapshot.name=before")
			run(t, "qemu-img", "snapshot", "-d", "before", name)
			sound(t, name)
			sameAsQEMU(t, name, model)
		})
	}
}

func TestParentsBothWays(t *testing.T) {
	for _, o := range []map[string]string{{}, {"compat": "v2"}, {"extendedL2": "on"}, {"clusterSize": "4K"}} {
		t.Run(label(o), func(t *testing.T) {
			dir := t.TempDir()
			base, name := filepath.Join(dir, "base.raw"), filepath.Join(dir, "child.qcow2")
			model := noise(2<<20+4096, 7)
			writeFile(t, base, model)
			parent := openImage(t, base, false)
			img := make1(t, name, disk.CreateOptions{Size: 1 << 20, Parent: parent, ParentName: "base.raw", ParentFormat: "raw", Options: o})
			model = model[:1<<20]
			scribble(t, img, model, 3, 60)
			if err := disk.Resize(img, 3<<20); err != nil { // beyond the parent, whose rest must not shine through
				t.Fatal(err)
			}
			model = append(bytes.Clone(model), make([]byte, 2<<20)...)
			scribble(t, img, model, 4, 60)
			closeImage(t, img)
			closeImage(t, parent)
			sound(t, name)
			sameAsQEMU(t, name, model)
			if out := run(t, "qemu-img", "info", name); !strings.Contains(out, "backing file: base.raw") || !strings.Contains(out, "backing file format: raw") {
				t.Error(out)
			}
		})
	}
}

func TestRenamesTheParent(t *testing.T) {
	dir := t.TempDir()
	base, name := filepath.Join(dir, "base.raw"), filepath.Join(dir, "child.qcow2")
	model := noise(1<<20, 7)
	writeFile(t, base, model)
	run(t, "qemu-img", "create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", name)
	other := filepath.Join(dir, "another name.qcow2")
	run(t, "qemu-img", "convert", "-O", "qcow2", base, other)
	parent := openImage(t, other, false)
	img := openImage(t, name, true)
	if err := img.(disk.Reparenter).SetParent(parent, "another name.qcow2", "qcow2"); err != nil {
		t.Fatal(err)
	}
	closeImage(t, img)
	closeImage(t, parent)
	sameAsQEMU(t, name, model)
	sound(t, name)
	run(t, "qemu-img", "rebase", "-u", "-b", "base.raw", "-F", "raw", name)
	img = openImage(t, name, true)
	if err := img.(disk.Reparenter).SetParent(nil, "", ""); err != nil {
		t.Fatal(err)
	}
	closeImage(t, img)
	sameAsQEMU(t, name, make([]byte, 1<<20))
}

func TestQEMUReadsWhatWeCompress(t *testing.T) {
	for _, o := range []map[string]string{
		{},
		{"compression": "zstd"},
		{"compat": "v2"},
		{"clusterSize": "512"},
		{"clusterSize": "2M"},
		{"clusterSize": "4K", "refcountBits": "1"},
		{"refcountBits": "2"},
		{"extendedL2": "on"},
		{"clusterSize": "2M", "compression": "zstd"},
	} {
		if !disktest.Thorough() && (o["refcountBits"] == "2" || len(o) == 2 && o["compression"] != "") {
			continue
		}
		t.Run(label(o), func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "ours.qcow2")
			model := noise(compressedSize(o), 11)
			img := make1(t, name, disk.CreateOptions{Size: int64(len(model)), Options: o})
			sink, err := img.(disk.Compressor).Compressing()
			if err != nil {
				t.Fatal(err)
			}
			feed(t, sink, model)
			if got := content(t, img); !bytes.Equal(got, model) {
				t.Fatalf("first difference at %d", firstDifference(got, model))
			}
			closeImage(t, img)
			sound(t, name)
			sameAsQEMU(t, name, model)
			img = openImage(t, name, true)
			scribble(t, img, model, 6, 60)
			closeImage(t, img)
			sound(t, name)
			compacted(t, name, model)
		})
	}
}

// compressedSize is a disk of some clusters and a piece.
func compressedSize(o map[string]string) int {
	if disktest.Thorough() || o["clusterSize"] == "2M" {
		return 12<<20 + 1536
	}
	return 4<<20 + 1536
}

// feed gives all blocks but those of zeros to a sink.
func feed(t *testing.T, sink disk.Sink, model []byte) {
	t.Helper()
	for off, n := 0, sink.BlockSize(); off < len(model); off += n {
		block := model[off:min(off+n, len(model))]
		if len(bytes.Trim(block, "\x00")) == 0 {
			continue
		}
		encoded, err := sink.Encode(nil, block)
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.Append(int64(off), encoded); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestQEMUReadsStreams(t *testing.T) {
	for _, o := range []map[string]string{{}, {"compat": "v2"}, {"clusterSize": "512"}, {"clusterSize": "2M"}, {"extendedL2": "on"}, {"refcountBits": "1", "clusterSize": "4K"}} {
		t.Run(label(o), func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "ours.qcow2")
			model := noise(7<<20+512, 12)
			clear(model[1<<20 : 3<<20])
			cluster, err := disk.ParseSize(o["clusterSize"])
			if err != nil {
				cluster = 64 << 10
			}
			var data []disk.Extent
			for off := int64(0); off < int64(len(model)); off += cluster {
				n := min(cluster, int64(len(model))-off)
				if len(bytes.Trim(model[off:off+n], "\x00")) > 0 {
					data = append(data, disk.Extent{Off: off, Len: n, State: disk.Data})
				}
			}
			var pipe bytes.Buffer
			sink, err := disk.NewStream(&pipe, disk.CreateOptions{Formats: []*disk.Format{qcow2.Format}, Format: "qcow2", Size: int64(len(model)), Options: o, Data: data})
			if err != nil {
				t.Fatal(err)
			}
			feed(t, sink, model)
			writeFile(t, name, pipe.Bytes())
			sound(t, name)
			sameAsQEMU(t, name, model)
		})
	}
}

func TestPreallocates(t *testing.T) {
	for _, o := range []map[string]string{
		{"preallocation": "metadata"},
		{"preallocation": "metadata", "clusterSize": "512"},
		{"preallocation": "metadata", "extendedL2": "on"},
		{"preallocation": "falloc"},
		{"preallocation": "full", "extendedL2": "on"},
		{"preallocation": "full", "dataFile": "content"},
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, "ours.qcow2")
		model := make([]byte, 20<<20+512)
		img := make1(t, name, disk.CreateOptions{Size: int64(len(model)), Options: o})
		if held := disk.Describe(img).Allocated; (held >= int64(len(model))) != (o["preallocation"] != "metadata") {
			t.Errorf("%v: %d bytes are taken", o, held)
		}
		scribble(t, img, model, 1, 40)
		closeImage(t, img)
		sound(t, name)
		sameAsQEMU(t, name, model)
	}
}

// What has its place already must not hide what a parent holds.
func TestPreallocatesWithParents(t *testing.T) {
	dir := t.TempDir()
	model := noise(3<<20, 1)
	base := filepath.Join(dir, "base.qcow2")
	img := make1(t, base, disk.CreateOptions{Size: int64(len(model))})
	defer closeImage(t, img)
	if _, err := img.(disk.Writer).WriteAt(model, 0); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"metadata", "full"} {
		o := disk.CreateOptions{
			FS: hostfs.Everywhere(), Formats: []*disk.Format{qcow2.Format}, Format: "qcow2", Parent: img, ParentName: "base.qcow2",
			Options: map[string]string{"preallocation": mode},
		}
		name := filepath.Join(dir, mode+".qcow2")
		if _, err := disk.Create(name, o); err == nil || !strings.Contains(err.Error(), "extendedL2") {
			t.Errorf("without subclusters: %v", err)
		}
		o.Options["extended_l2"] = "on"
		child, err := disk.Create(name, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, child); !bytes.Equal(got, model) {
			t.Errorf("%s hides the parent", mode)
		}
		closeImage(t, child)
	}
}

func TestCorpusCanBeWritten(t *testing.T) {
	for _, f := range disktest.CorpusFiles(t, "qcow2") {
		if f.QemuSize > 1<<30 {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			p, err := os.ReadFile(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "copy.qcow2")
			writeFile(t, name, p)
			img := openImage(t, name, true)
			part := noise(int(min(img.Size(), 1<<20)), 3)
			if _, err := img.(disk.Writer).WriteAt(part, img.Size()-int64(len(part))); err != nil {
				t.Fatal(err)
			}
			want := digest(t, img)
			closeImage(t, img)
			sound(t, name)
			img = openImage(t, name, true)
			if _, err := img.(disk.Compacter).Compact(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			closeImage(t, img)
			sound(t, name)
			img = openImage(t, name, false)
			defer closeImage(t, img)
			if got := digest(t, img); got != want {
				t.Errorf("digest %s; want %s", got, want)
			}
		})
	}
}
