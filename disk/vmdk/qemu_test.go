package vmdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/vmdk"
	"github.com/panalvm/panal/internal/testenv"
)

// qemuImg runs qemu-img.
func qemuImg(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(testenv.Need(t, "qemu-img"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %v: %v: %s", args, err, out)
	}
	return string(out)
}

// mixed is content of every sort: zeros, text, noise, a partial grain.
func mixed(size int64, seed uint64) []byte {
	p := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 1))
	for off := int64(0); off < size; off += 40 << 10 {
		part := p[off:min(off+40<<10, size)]
		switch r.IntN(3) {
		case 0:
			for i := range part {
				part[i] = "the quick brown fox "[r.IntN(20)]
			}
		case 1:
			for i := range part {
				part[i] = byte(r.Uint32())
			}
		}
	}
	return p
}

// readAll is the whole disk, read in steps that fit nothing.
func readAll(t testing.TB, img disk.Image) []byte {
	t.Helper()
	p := make([]byte, img.Size())
	for off := int64(0); off < img.Size(); {
		n, err := img.ReadAt(p[off:min(off+1234567, img.Size())], off)
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			t.Fatalf("reading at %d: %d, %v", off, n, err)
		}
		off += int64(n)
	}
	return p
}

// create makes an image of the host's.
func create(t testing.TB, path, format string, size int64, parent disk.Image, options map[string]string) disk.Image {
	t.Helper()
	o := disk.CreateOptions{FS: hostfs.Everywhere(), Formats: formats, Format: format, Size: size, Parent: parent, Options: options}
	if parent != nil {
		o.ParentName = "base.vmdk"
	}
	img, err := disk.Create(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func write(t testing.TB, img disk.Image, p []byte, off int64) {
	t.Helper()
	if _, err := img.(disk.Writer).WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

func closed(t testing.TB, img disk.Image) {
	t.Helper()
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

// sameAsRaw lets qemu-img read an image, and compares.
func sameAsRaw(t testing.TB, path string, want []byte) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	qemuImg(t, "convert", "-f", "vmdk", "-O", "raw", path, raw)
	got, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("qemu-img reads other content, %d bytes of %d", len(got), len(want))
	}
}

// TestQEMUReadsOurs writes at random to every kind, and lets qemu-img read it.
func TestQEMUReadsOurs(t *testing.T) {
	const size = 70<<20 + 512*7
	for _, kind := range []string{"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk.vmdk")
			img := create(t, path, "vmdk:"+kind, size, nil, nil)
			content := make([]byte, size)
			r := rand.New(rand.NewPCG(4, 4))
			for range 60 {
				p := mixed(1+r.Int64N(300<<10), r.Uint64())
				off := r.Int64N(size - int64(len(p)))
				write(t, img, p, off)
				copy(content[off:], p)
			}
			closed(t, img)
			if kind == "monolithicSparse" || kind == "twoGbMaxExtentSparse" { // qemu-img checks no flat extents
				qemuImg(t, "check", "-f", "vmdk", path)
			}
			sameAsRaw(t, path, content)
		})
	}
}

// TestQEMUReadsOurStream fills a stream from several goroutines' encoders.
func TestQEMUReadsOurStream(t *testing.T) {
	const size = 70<<20 + 512
	content := mixed(size, 9)
	clear(content[33<<20 : 66<<20]) // a grain table of nothing
	path := filepath.Join(t.TempDir(), "disk.vmdk")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := disk.NewStream(f, disk.CreateOptions{Formats: formats, Format: "vmdk:stream", Size: size})
	if err != nil {
		t.Fatal(err)
	}
	fillSink(t, sink, content)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	sameAsRaw(t, path, content)
	qemuImg(t, "check", "-f", "vmdk", path)
	img, err := openHost(t, path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if !bytes.Equal(readAll(t, img), content) {
		t.Error("we read other content")
	}
}

func fillSink(t testing.TB, sink disk.Sink, content []byte) {
	t.Helper()
	size := sink.BlockSize()
	for off := 0; off < len(content); off += size {
		block := content[off:min(off+size, len(content))]
		if bytes.Count(block, []byte{0}) == len(block) {
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

// TestWeReadQEMUs reads what qemu-img writes, and writes on.
func TestWeReadQEMUs(t *testing.T) {
	const size = 70<<20 + 512*9
	content := mixed(size, 5)
	clear(content[33<<20 : 66<<20])
	for _, options := range []string{
		"subformat=monolithicSparse", "subformat=monolithicSparse,zeroed_grain=on", "subformat=monolithicFlat",
		"subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat", "subformat=streamOptimized",
		"subformat=monolithicSparse,adapter_type=lsilogic,compat6=on",
	} {
		t.Run(options, func(t *testing.T) {
			dir := t.TempDir()
			raw, path := filepath.Join(dir, "raw"), filepath.Join(dir, "disk.vmdk")
			if err := os.WriteFile(raw, content, 0o600); err != nil {
				t.Fatal(err)
			}
			qemuImg(t, "convert", "-f", "raw", "-O", "vmdk", "-o", options, raw, path)
			img, err := openHost(t, path, true)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(readAll(t, img), content) {
				t.Error("the content differs")
			}
			sound(t, img, disk.Note)
			now := bytes.Clone(content)
			if disk.Writable(img) {
				for i, off := range []int64{5, 40 << 20, size - 3000} {
					p := mixed(2500, uint64(i))
					write(t, img, p, off)
					copy(now[off:], p)
				}
			}
			closed(t, img)
			sameAsRaw(t, path, now)
		})
	}
}

// sound fails if a check finds what is worse than it may be.
func sound(t testing.TB, img disk.Image, worst disk.Severity) {
	t.Helper()
	report, err := disk.Check(context.Background(), img)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Severity > worst {
			t.Errorf("%s at %#x: %s", f.Severity, f.Offset, f.Reason)
		}
	}
}

// TestQEMUAndWeShareChains makes deltas in turn, and tells when the base of
// one was written to.
func TestQEMUAndWeShareChains(t *testing.T) {
	const size = 5 << 20
	dir := t.TempDir()
	base, mid, top := filepath.Join(dir, "base.vmdk"), filepath.Join(dir, "mid.vmdk"), filepath.Join(dir, "top.vmdk")
	content := mixed(size, 6)
	img := create(t, base, "vmdk", size, nil, nil)
	write(t, img, content, 0)
	closed(t, img)

	parent, err := openHost(t, base, false)
	if err != nil {
		t.Fatal(err)
	}
	child := create(t, mid, "vmdk", size, parent, nil)
	write(t, child, []byte("from the middle"), 70000)
	copy(content[70000:], "from the middle")
	closed(t, child)
	closed(t, parent)
	sameAsRaw(t, mid, content)

	qemuImg(t, "create", "-f", "vmdk", "-b", mid, "-F", "vmdk", top)
	sameAsRaw(t, top, content)
	img, err = openHost(t, top, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, img); !bytes.Equal(got, content) {
		t.Error("the chain reads otherwise")
	}
	write(t, img, []byte("from the top"), 1<<20-5)
	copy(content[1<<20-5:], "from the top")
	closed(t, img)
	sameAsRaw(t, top, content)

	img, err = openHost(t, base, true)
	if err != nil {
		t.Fatal(err)
	}
	write(t, img, []byte("x"), 0)
	closed(t, img)
	if _, err := openHost(t, top, false); !errors.Is(err, disk.ErrWrongParent) {
		t.Errorf("after the base was written to: %v", err)
	}
}

// TestManySizes lets qemu-img say how large our images of odd sizes are.
func TestManySizes(t *testing.T) {
	for _, size := range []int64{512, 64 << 10, 2<<30 - 64<<10, 2 << 30, 5<<30 + 512, 10 << 40} {
		for _, kind := range []string{"monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat"} {
			if size > 1<<40 && kind != "monolithicSparse" {
				continue
			}
			path := filepath.Join(t.TempDir(), "disk.vmdk")
			closed(t, create(t, path, "vmdk:"+kind, size, nil, nil))
			out := qemuImg(t, "info", "--output=json", path)
			if want := fmt.Sprintf(`"virtual-size": %d`, size); !bytes.Contains([]byte(out), []byte(want)) {
				t.Errorf("%s of %d: %s", kind, size, out)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	var seeds [][]byte
	for _, kind := range []string{"monolithicSparse", "streamOptimized", "monolithicFlat"} {
		seeds = append(seeds, tiny(f, kind))
	}
	seeds = append(seeds, cowdImage()[:8192], seImage()[:80<<10], []byte("# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\nRW 100 ZERO\nRW 1 FLAT \"hostile.vmdk\" 0\n"))
	disktest.Fuzz(f, []*disk.Format{vmdk.Format}, seeds...)
}
