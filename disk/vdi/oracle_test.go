package vdi_test

import (
	"bytes"
	"context"
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
	"github.com/panalvm/panal/disk/vdi"
	"github.com/panalvm/panal/internal/testenv"
)

var formats = []*disk.Format{vdi.Format}

// qemu runs qemu-img.
func qemu(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), testenv.Need(t, "qemu-img"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %q: %v\n%s", args, err, out)
	}
}

// patterned is content with data of all kinds, and much that is zero.
func patterned(size int64) []byte {
	content := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(size), 1))
	for off := int64(0); off < size; off += 3<<20 + 512 {
		for i := off; i < min(off+1<<20+700<<10, size); i++ {
			content[i] = byte(rng.Uint32())
		}
	}
	return content
}

// write puts content into an image, in pieces, without its zeros.
func write(t *testing.T, img disk.Image, content []byte) {
	t.Helper()
	const piece = 4 << 20
	for off := 0; off < len(content); off += piece {
		p := content[off:min(off+piece, len(content))]
		if bytes.Equal(p, make([]byte, len(p))) {
			continue
		}
		if _, err := img.(disk.Writer).WriteAt(p, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
}

// scribble writes to random places of an image, and to content.
func scribble(t *testing.T, img disk.Image, content []byte, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 60 {
		off := rng.IntN(len(content))
		p := make([]byte, min(1+rng.IntN(200_000), len(content)-off))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		copy(content[off:], p)
		if _, err := img.(disk.Writer).WriteAt(p, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
}

func create(t *testing.T, name, kind string, size int64, options map[string]string) disk.Image {
	t.Helper()
	img, err := disk.Create(name, disk.CreateOptions{FS: hostfs.Everywhere(), Formats: formats, Format: kind, Size: size, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func openHost(t *testing.T, name string, write bool) disk.Image {
	t.Helper()
	img, err := disk.Open(name, disk.Options{FS: hostfs.Everywhere(), Formats: formats, Write: write})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func finish(t *testing.T, img disk.Image) {
	t.Helper()
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

// holds compares a whole image.
func holds(t *testing.T, img disk.Image, want []byte) {
	t.Helper()
	if img.Size() != int64(len(want)) {
		t.Fatalf("the disk has %d bytes, want %d", img.Size(), len(want))
	}
	have := make([]byte, len(want))
	if _, err := img.ReadAt(have, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		for i := range have {
			if have[i] != want[i] {
				t.Fatalf("byte %d is %#x, want %#x", i, have[i], want[i])
			}
		}
	}
}

// agrees has qemu-img read an image, and check it.
func agrees(t *testing.T, name string, want []byte) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	qemu(t, "check", "-q", "-f", "vdi", name)
	qemu(t, "convert", "-f", "vdi", "-O", "raw", name, raw)
	have, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Fatalf("qemu-img reads other content: %d bytes, want %d", len(have), len(want))
	}
}

func sound(t *testing.T, img disk.Image, allowed disk.Severity) {
	t.Helper()
	report, err := disk.Check(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Severity > allowed {
			t.Fatalf("check found %s: %s", f.Severity, f.Reason)
		}
	}
}

func TestQEMUReadsOurs(t *testing.T) {
	for _, variant := range []string{"dynamic", "fixed"} {
		for _, size := range []int64{512, 1 << 20, 10<<20 + 512, 37 << 20} {
			t.Run(fmt.Sprintf("%s/%d", variant, size), func(t *testing.T) {
				name := filepath.Join(t.TempDir(), "a.vdi")
				content := patterned(size)
				img := create(t, name, "vdi:"+variant, size, nil)
				write(t, img, content)
				scribble(t, img, content, 5)
				finish(t, img)
				agrees(t, name, content)

				img = openHost(t, name, true)
				clear(content[size/4 : size/4+size/3])
				if err := disk.Zero(img, size/4, size/3); err != nil {
					t.Fatal(err)
				}
				if _, err := img.(disk.Compacter).Compact(context.Background(), nil); err != nil {
					t.Fatal(err)
				}
				if err := disk.Resize(img, size+5<<20); err != nil {
					t.Fatal(err)
				}
				content = append(content, make([]byte, 5<<20)...)
				scribble(t, img, content, 6)
				finish(t, img)
				agrees(t, name, content)
			})
		}
	}
}

func TestQEMUReadsOurStreams(t *testing.T) {
	for _, variant := range []string{"dynamic", "fixed"} {
		t.Run(variant, func(t *testing.T) {
			content := patterned(21<<20 + 512)
			name := filepath.Join(t.TempDir(), "a.vdi")
			f, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			stream(t, f, "vdi:"+variant, content)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			agrees(t, name, content)
			img := openHost(t, name, false)
			holds(t, img, content)
			sound(t, img, disk.Note)
			finish(t, img)
		})
	}
}

// stream writes content as an image in one pass.
func stream(t *testing.T, w io.Writer, kind string, content []byte) {
	t.Helper()
	var data []disk.Extent
	const unit = 64 << 10
	for off := 0; off < len(content); off += unit {
		if p := content[off:min(off+unit, len(content))]; !bytes.Equal(p, make([]byte, len(p))) {
			data = append(data, disk.Extent{Off: int64(off), Len: int64(len(p)), State: disk.Data})
		}
	}
	sink, err := disk.NewStream(w, disk.CreateOptions{Formats: formats, Format: kind, Size: int64(len(content)), Data: data})
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(content); off += sink.BlockSize() {
		p := content[off:min(off+sink.BlockSize(), len(content))]
		if bytes.Equal(p, make([]byte, len(p))) {
			continue
		}
		if err := sink.Append(int64(off), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWeReadQEMUs(t *testing.T) {
	for _, options := range []string{"static=off", "static=on"} {
		t.Run(options, func(t *testing.T) {
			dir := t.TempDir()
			content := patterned(25<<20 + 1024)
			raw, name := filepath.Join(dir, "raw"), filepath.Join(dir, "a.vdi")
			if err := os.WriteFile(raw, content, 0o600); err != nil {
				t.Fatal(err)
			}
			qemu(t, "convert", "-f", "raw", "-O", "vdi", "-o", options, raw, name)
			img := openHost(t, name, true)
			holds(t, img, content)
			sound(t, img, disk.Note)
			scribble(t, img, content, 7)
			holds(t, img, content)
			finish(t, img)
			agrees(t, name, content)
		})
	}
}

func TestCorpus(t *testing.T) {
	for _, c := range disktest.CorpusFiles(t, "vdi") {
		t.Run(filepath.Base(c.Name), func(t *testing.T) {
			img, err := disk.Open(c.Path, disk.Options{FS: hostfs.Everywhere(), Formats: formats})
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			if _, err := c.Verify(img); err != nil {
				t.Error(err)
			}
			sound(t, img, disk.Leak)
		})
	}
}
