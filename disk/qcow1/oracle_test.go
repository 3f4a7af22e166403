package qcow1_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/qcow1"
	"github.com/panalvm/panal/internal/testenv"
)

var formats = []*disk.Format{qcow1.Format}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), testenv.Need(t, program), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
	}
}

// packed lets qemu-img make an image of compressed clusters. Version 7.2 makes it
// and fails then, without a word: what counts is the comparison.
func packed(t *testing.T, raw, name string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), testenv.Need(t, "qemu-img"), "convert", "-f", "raw", "-O", "qcow", "-c", raw, name).CombinedOutput()
	if err != nil && len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	run(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow", raw, name)
}

func opened(t *testing.T, name string, write bool) disk.Image {
	t.Helper()
	img, err := disk.Open(name, disk.Options{FS: hostfs.Everywhere(), Formats: formats, Write: write})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func closed(t *testing.T, img disk.Image) {
	t.Helper()
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

// holds compares what an image holds, and lets it be checked.
func holds(t *testing.T, img disk.Image, want []byte) {
	t.Helper()
	have := make([]byte, img.Size())
	if _, err := img.ReadAt(have, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Fatalf("the content differs, of %d and %d bytes", len(have), len(want))
	}
	report, err := disk.Check(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Severity > disk.Leak {
			t.Errorf("%s at %#x: %s", f.Severity, f.Offset, f.Reason)
		}
	}
}

// heldByQEMU compares what QEMU reads.
func heldByQEMU(t *testing.T, name string, want []byte) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "theirs")
	run(t, "qemu-img", "convert", "-f", "qcow", "-O", "raw", name, raw)
	have, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Fatalf("QEMU reads something else: %d and %d bytes", len(have), len(want))
	}
}

// mixed is content with noise, text and holes.
func mixed(size int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, size)
	for off := 0; off < size; {
		part := p[off:min(size, off+1+rng.IntN(50_000))]
		switch rng.IntN(3) {
		case 0:
			for i := range part {
				part[i] = byte(rng.Uint32())
			}
		case 1:
			for i := range part {
				part[i] = "some text that becomes smaller "[i%31]
			}
		}
		off += len(part)
	}
	return p
}

// scribble changes an image and a slice in the same ways.
func scribble(t *testing.T, img disk.Image, p []byte, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 100 {
		off := rng.IntN(len(p))
		part := p[off:min(len(p), off+1+rng.IntN(1<<(2+rng.IntN(17))))]
		var err error
		if rng.IntN(4) == 0 {
			clear(part)
			err = disk.Zero(img, int64(off), int64(len(part)))
		} else {
			copy(part, mixed(len(part), rng.Uint64()))
			_, err = img.(disk.Writer).WriteAt(part, int64(off))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadsAndWritesWhatQEMUMade(t *testing.T) {
	for _, compress := range []bool{false, true} {
		dir := t.TempDir()
		raw, name := filepath.Join(dir, "raw"), filepath.Join(dir, "a.qcow")
		content := mixed(5<<20+512, 1)
		if err := os.WriteFile(raw, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if compress {
			packed(t, raw, name)
		} else {
			run(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow", raw, name)
		}
		img := opened(t, name, false)
		holds(t, img, content)
		closed(t, img)
		img = opened(t, name, true)
		scribble(t, img, content, 4)
		holds(t, img, content)
		closed(t, img)
		heldByQEMU(t, name, content)
	}
}

func TestQEMUReadsWhatWeMake(t *testing.T) {
	for _, o := range []map[string]string{nil, {"clusterSize": "512"}, {"clusterSize": "64K"}} {
		name := filepath.Join(t.TempDir(), "ours.qcow")
		content := make([]byte, 9<<20+1024)
		img, err := disk.Create(name, disk.CreateOptions{FS: hostfs.Everywhere(), Formats: formats, Format: "qcow", Size: int64(len(content)), Options: o})
		if err != nil {
			t.Fatal(err)
		}
		scribble(t, img, content, 5)
		closed(t, img)
		heldByQEMU(t, name, content)
		run(t, "qemu-io", "-f", "qcow", "-c", "write -P 7 3M 100k", name)
		copy(content[3<<20:], bytes.Repeat([]byte{7}, 100<<10))
		img = opened(t, name, true)
		holds(t, img, content)
		scribble(t, img, content, 6)
		closed(t, img)
		heldByQEMU(t, name, content)
	}
}

func TestParentsBothWays(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	content := mixed(1<<20, 2)
	if err := os.WriteFile(at("raw"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	packed(t, at("raw"), at("base.qcow"))
	run(t, "qemu-img", "create", "-f", "qcow", "-b", "base.qcow", "-F", "qcow", at("child.qcow"))
	run(t, "qemu-io", "-f", "qcow", "-c", "write -P 9 100000 30k", at("child.qcow"))
	copy(content[100000:], bytes.Repeat([]byte{9}, 30<<10))
	child := opened(t, at("child.qcow"), true)
	holds(t, child, content)
	scribble(t, child, content, 8)
	ours, err := disk.Create(at("grandchild.qcow"), disk.CreateOptions{
		FS: hostfs.Everywhere(), Formats: formats, Format: "qcow", Parent: child, ParentName: "child.qcow",
	})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, ours)
	closed(t, child)
	heldByQEMU(t, at("grandchild.qcow"), content)
	long := strings.Repeat("x", 200) + ":y.qcow"
	if err := os.Rename(at("child.qcow"), at(long)); err != nil {
		t.Fatal(err)
	}
	ours, err = disk.Open(at("grandchild.qcow"), disk.Options{FS: hostfs.Everywhere(), Formats: formats, Write: true, Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	parent := opened(t, at(long), false)
	if err := ours.(disk.Reparenter).SetParent(parent, long, "qcow"); err != nil {
		t.Fatal(err)
	}
	closed(t, ours)
	closed(t, parent)
	heldByQEMU(t, at("grandchild.qcow"), content)
	ours = opened(t, at("grandchild.qcow"), false)
	holds(t, ours, content)
	closed(t, ours)
}

func TestEncryptedImagesAreRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret.qcow")
	run(t, "qemu-img", "create", "-f", "qcow", name, "1M")
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p[39] = 1 // as QEMU marks what it encrypts by AES
	if err := os.WriteFile(name, p, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = disk.Open(name, disk.Options{FS: hostfs.Everywhere(), Formats: formats})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "AES") {
		t.Errorf("it was opened: %v", err)
	}
}

func TestCorpus(t *testing.T) {
	for _, f := range disktest.CorpusFiles(t, "qcow1") {
		t.Run(f.Name, func(t *testing.T) {
			img := opened(t, f.Path, false)
			defer closed(t, img)
			if img.Size() != f.QemuSize {
				t.Errorf("%d bytes; qemu-img says %d", img.Size(), f.QemuSize)
			}
			blocks, err := disktest.BlockDigest(img)
			if err != nil || blocks != f.Digest.Blocks {
				t.Errorf("digest %s, %v; want %s", blocks, err, f.Digest.Blocks)
			}
			report, err := disk.Check(t.Context(), img)
			if err != nil || len(report.Findings) > 0 {
				t.Errorf("check finds %+v, %v", report.Findings, err)
			}
		})
	}
}
