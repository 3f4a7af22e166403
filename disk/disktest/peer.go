package disktest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
)

// Peer is another program that knows a format: QEMU's qemu-img.
type Peer struct {
	Format   *disk.Format
	Variants []string // of ours that it reads
	Name     string   // what it calls the format
	Checks   bool     // it can check images of the format
	Options  []string // its ways to make one, as -o takes them
	// Need gives the path of a program that a test needs, or skips or fails.
	Need func(t testing.TB, program string) string
}

// Run has the peer read what we write, and reads what it writes.
func (p Peer) Run(t *testing.T) {
	for _, variant := range p.Variants {
		kind := p.Format.Name + ":" + variant
		for _, size := range []int64{512, 1 << 20, 10<<20 + 512, 37 << 20} {
			t.Run(fmt.Sprintf("reads ours/%s/%d", variant, size), func(t *testing.T) { p.readsOurs(t, kind, size) })
		}
		t.Run("reads our streams/"+variant, func(t *testing.T) { p.readsStreams(t, kind) })
	}
	for _, options := range p.Options {
		t.Run("is read/"+options, func(t *testing.T) { p.isRead(t, options) })
	}
}

// do runs qemu-img.
func (p Peer) do(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), p.Need(t, "qemu-img"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %q: %v\n%s", args, err, out)
	}
}

// agrees has the peer read an image, and check it.
func (p Peer) agrees(t *testing.T, name string, want []byte) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	if p.Checks {
		p.do(t, "check", "-q", "-f", p.Name, name)
	}
	p.do(t, "convert", "-f", p.Name, "-O", "raw", name, raw)
	have, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Fatalf("qemu-img reads other content: %d bytes, want %d", len(have), len(want))
	}
}

func (p Peer) open(t *testing.T, name string) disk.Image {
	t.Helper()
	img, err := disk.Open(name, disk.Options{FS: hostfs.Everywhere(), Formats: []*disk.Format{p.Format}, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func (p Peer) readsOurs(t *testing.T, kind string, size int64) {
	name := filepath.Join(t.TempDir(), "a."+p.Format.Name)
	content := chequered(size)
	img, err := disk.Create(name, disk.CreateOptions{FS: hostfs.Everywhere(), Formats: []*disk.Format{p.Format}, Format: kind, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runsOf(content) {
		if _, err := img.(disk.Writer).WriteAt(content[r.off:r.end], r.off); err != nil {
			t.Fatal(err)
		}
	}
	Scribble(t, img, content, 5)
	Finish(t, img)
	p.agrees(t, name, content)

	img = p.open(t, name)
	clear(content[size/4 : size/4+size/3])
	if err := disk.Zero(img, size/4, size/3); err != nil {
		t.Fatal(err)
	}
	if c, ok := img.(disk.Compacter); ok {
		if _, err := c.Compact(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.Resize(img, size+5<<20); err != nil {
		t.Fatal(err)
	}
	content = append(content, make([]byte, 5<<20)...)
	Scribble(t, img, content, 6)
	Finish(t, img)
	p.agrees(t, name, content)
}

func (p Peer) readsStreams(t *testing.T, kind string) {
	content := chequered(21<<20 + 512)
	name := filepath.Join(t.TempDir(), "a."+p.Format.Name)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.stream(f, kind, content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p.agrees(t, name, content)
	img := p.open(t, name)
	Holds(t, img, content)
	Sound(t, img, disk.Note)
	Finish(t, img)
}

// stream writes content as an image in one pass.
func (p Peer) stream(w io.Writer, kind string, content []byte) error {
	var data []disk.Extent
	for _, r := range runsOf(content) {
		data = append(data, disk.Extent{Off: r.off, Len: r.end - r.off, State: disk.Data})
	}
	sink, err := disk.NewStream(w, disk.CreateOptions{Formats: []*disk.Format{p.Format}, Format: kind, Size: int64(len(content)), Data: data})
	if err != nil {
		return err
	}
	for off := 0; off < len(content); off += sink.BlockSize() {
		block := content[off:min(off+sink.BlockSize(), len(content))]
		if isZero(block) {
			continue
		}
		if err := sink.Append(int64(off), block); err != nil {
			return err
		}
	}
	return sink.Close()
}

func (p Peer) isRead(t *testing.T, options string) {
	dir := t.TempDir()
	content := chequered(25<<20 + 1024)
	raw, name := filepath.Join(dir, "raw"), filepath.Join(dir, "a."+p.Format.Name)
	if err := os.WriteFile(raw, content, 0o600); err != nil {
		t.Fatal(err)
	}
	p.do(t, "convert", "-f", "raw", "-O", p.Name, "-o", options, raw, name)
	img := p.open(t, name)
	content = append(content, make([]byte, img.Size()-int64(len(content)))...) // where sizes are rounded to a geometry
	Holds(t, img, content)
	Sound(t, img, disk.Note)
	Scribble(t, img, content, 7)
	Holds(t, img, content)
	Finish(t, img)
	p.agrees(t, name, content)
}

// chequered is content with data, and much that is zero.
func chequered(size int64) []byte {
	content := make([]byte, size)
	for off := int64(0); off < size; off += 3<<20 + 512 {
		noise(content[off:min(off+1<<20+700<<10, size)], uint64(size+off))
	}
	return content
}

// Scribble writes to random places of an image, and to content.
func Scribble(t testing.TB, img disk.Image, content []byte, seed uint64) {
	t.Helper()
	rng := seeded(seed)
	for range 60 {
		off := rng.IntN(len(content))
		p := content[off:min(off+1+rng.IntN(200_000), len(content))]
		noise(p, rng.Uint64())
		if _, err := img.(disk.Writer).WriteAt(p, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
}

// Holds compares a whole image.
func Holds(t testing.TB, img disk.Image, want []byte) {
	t.Helper()
	if err := same(img, want); err != nil {
		t.Fatal(err)
	}
}

// Sound checks that a check finds nothing worse than allowed; nothing at all, if
// that is negative.
func Sound(t testing.TB, img disk.Image, allowed disk.Severity) {
	t.Helper()
	if err := (Subject{}).sound(img, allowed); err != nil {
		t.Fatal(err)
	}
}

// Finish closes an image.
func Finish(t testing.TB, img disk.Image) {
	t.Helper()
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

// Corpus opens the images of the corpus that are of a format, compares them with
// what others read there, and checks them.
func Corpus(t *testing.T, f *disk.Format) {
	for _, c := range CorpusFiles(t, f.Name) {
		t.Run(filepath.Base(c.Name), func(t *testing.T) {
			img, err := disk.Open(c.Path, disk.Options{FS: hostfs.Everywhere(), Formats: []*disk.Format{f}})
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			if _, err := c.Verify(img); err != nil {
				t.Error(err)
			}
			Sound(t, img, disk.Leak)
		})
	}
}
