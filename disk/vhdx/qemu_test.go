package vhdx

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/memfs"
)

// createHost makes an image in the host's file system.
func createHost(t *testing.T, name, format string, size int64, options map[string]string) disk.Image {
	t.Helper()
	img, err := disk.Create(name, disk.CreateOptions{FS: hostfs.Everywhere(), Formats: formats(), Format: format, Size: size, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// scribble does random changes to an image and to a slice of bytes.
func scribble(t *testing.T, img disk.Image, content []byte, rng *rand.Rand, count int) {
	t.Helper()
	for range count {
		off := rng.Int64N(int64(len(content)))
		n := min(1+rng.Int64N([]int64{4096, 64 << 10, 5 << 20}[rng.IntN(3)]), int64(len(content))-off)
		part := content[off : off+n]
		var err error
		switch rng.IntN(5) {
		case 0:
			clear(part)
			err = disk.Zero(img, off, n)
		case 1:
			err = img.(disk.Writer).Sync()
		default:
			for i := range part {
				part[i] = byte(rng.Uint32())
			}
			_, err = img.(disk.Writer).WriteAt(part, off)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// agrees lets qemu-img check an image and compare it with a content.
func agrees(t *testing.T, name string, content []byte) {
	t.Helper()
	raw := name + ".raw"
	if err := os.WriteFile(raw, content, 0o600); err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-img", "check", "-f", "vhdx", name)
	qemu(t, "qemu-img", "compare", "-f", "vhdx", "-F", "raw", name, raw)
}

func TestQEMUReadsWhatIsWritten(t *testing.T) {
	for _, c := range []struct {
		name, format string
		options      map[string]string
		size         int64
	}{
		{"blocks of 1M", "vhdx", map[string]string{optionBlock: "1M"}, 20*mib + 512},
		{"blocks of 32M", "vhdx:dynamic", nil, 70 * mib},
		{"blocks of 256M", "vhdx:dynamic", map[string]string{optionBlock: "256M", optionPhysical: "512"}, 40 * mib},
		{"fixed", "vhdx:Fixed", map[string]string{optionBlock: "2M", optionLog: "4M"}, 21*mib + 512},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, content := t.TempDir()+"/a.vhdx", make([]byte, c.size)
			rng := rand.New(rand.NewPCG(1, uint64(c.size)))
			img := createHost(t, name, c.format, c.size, c.options)
			for range 3 {
				scribble(t, img, content, rng, 15)
				if err := img.Close(); err != nil {
					t.Fatal(err)
				}
				agrees(t, name, content)
				img = openHost(t, name, true)
			}
		})
	}
}

func TestQEMUWritesOn(t *testing.T) {
	name, content := t.TempDir()+"/a.vhdx", make([]byte, 24*mib)
	img := createHost(t, name, "vhdx", int64(len(content)), map[string]string{optionBlock: "1M"})
	rng := rand.New(rand.NewPCG(2, 2))
	scribble(t, img, content, rng, 10)
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	img = openHost(t, name, false)
	before := disk.Describe(img).Modified
	img.Close()
	for i, off := range []int64{0, 3*mib + 4096, 21 * mib} {
		for k := range content[off : off+mib/2] {
			content[off+int64(k)] = byte(i + 1)
		}
		qemu(t, "qemu-io", "-f", "vhdx", "-c", fmt.Sprintf("write -P %d %d 512k", i+1, off), name)
	}
	again := openHost(t, name, false)
	same(t, again, content)
	sound(t, again, disk.Note)
	if now := disk.Describe(again).Modified; now == before {
		t.Errorf("QEMU wrote, and the data write GUID is still %s", now)
	}
}

func TestQEMUReadsAfterSurgery(t *testing.T) {
	name := t.TempDir() + "/a.vhdx"
	content := make([]byte, 12*mib)
	rng := rand.New(rand.NewPCG(3, 3))
	img := createHost(t, name, "vhdx", int64(len(content)), map[string]string{optionBlock: "1M"})
	scribble(t, img, content, rng, 20)
	steps := map[string]func() error{
		"grow past the table": func() error {
			grown := int64(200_000) * mib // its table takes 1.6 MB, and the old one has 1 MiB
			return disk.Resize(img, grown)
		},
		"shrink": func() error { return disk.Resize(img, 9*mib) },
		"compact": func() error {
			_, err := img.(disk.Compacter).Compact(context.Background(), nil)
			return err
		},
		"identity": func() error { return img.(disk.Identified).SetUUID("") },
	}
	for _, step := range []string{"grow past the table", "identity", "shrink", "compact"} {
		if err := steps[step](); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if err := img.Close(); err != nil {
			t.Fatal(err)
		}
		img = openHost(t, name, true)
		if img.Size() < mib*1000 {
			content = content[:img.Size()]
			same(t, img, content)
			sound(t, img, disk.Leak)
			img.Close()
			agrees(t, name, content)
			img = openHost(t, name, true)
			continue
		}
		img.Close()
		qemu(t, "qemu-img", "check", "-f", "vhdx", name)
		img = openHost(t, name, true)
	}
}

// TestQEMUReplaysOurLog cuts the power while a flush runs. What we read of
// the image then, with its log laid over it, must be what QEMU reads once it has replayed
// the log, and what we read when we have.
func TestQEMUReplaysOurLog(t *testing.T) {
	const size = 16 * mib
	seldom := 4
	if disktest.Thorough() {
		seldom = 1
	}
	rng := rand.New(rand.NewPCG(4, 4))
	mem := memfs.New()
	img, err := disk.Create("a.vhdx", disk.CreateOptions{FS: mem, Formats: formats(), Format: name, Size: size, Options: map[string]string{optionBlock: "1M"}})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	var left [][]byte
	mem.OnOp = func(string, string) {
		if rng.IntN(2*seldom) == 0 && len(left) < 400 {
			left = append(left, mem.Crash(rng).Bytes("a.vhdx"))
		}
	}
	content := make([]byte, size)
	for range 8 {
		scribble(t, img, content, rng, 3)
		if err := img.(disk.Writer).Sync(); err != nil {
			t.Fatal(err)
		}
	}
	mem.OnOp = nil
	dirty := 0
	for _, file := range left {
		dirty += replayed(t, file)
	}
	if dirty < 5 {
		t.Errorf("of %d images only %d had a log to be replayed", len(left), dirty)
	}
}

// replayed compares how we and QEMU see an image; 1 if its log is dirty.
func replayed(t *testing.T, file []byte) int {
	t.Helper()
	h, err := headersOf(file)
	if err != nil {
		t.Fatal(err)
	}
	if h.log.zero() {
		return 0
	}
	dir := t.TempDir()
	path := dir + "/a.vhdx"
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	ours := openHost(t, path, false)
	inMemory := digest(t, ours, ours.Size())
	ours.Close()
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, file) {
		t.Fatalf("reading the image changed it (%v)", err)
	}
	qemu(t, "qemu-img", "check", "-r", "all", "-f", "vhdx", path)
	qemu(t, "qemu-img", "convert", "-f", "vhdx", "-O", "raw", path, dir+"/raw")
	raw, err := os.ReadFile(dir + "/raw")
	if err != nil {
		t.Fatal(err)
	}
	if theirs := digest(t, bytes.NewReader(raw), int64(len(raw))); theirs != inMemory {
		t.Errorf("with its log laid over the image's digest is %s; QEMU, having replayed it, gives %s", inMemory, theirs)
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	ours = openHost(t, path, true)
	if inPlace := digest(t, ours, ours.Size()); inPlace != inMemory {
		t.Errorf("with its log laid over the image's digest is %s; replayed, %s", inMemory, inPlace)
	}
	sound(t, ours, disk.Leak) // blocks that were written and not yet pointed to
	return 1
}

// headersOf are the headers of a file in memory.
func headersOf(file []byte) (headers, error) {
	mem := memfs.New()
	mem.Put("x", file)
	f, err := mem.Open("x", false)
	if err != nil {
		return headers{}, err
	}
	return readHeaders(f)
}
