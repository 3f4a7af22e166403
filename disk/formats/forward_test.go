package formats_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/memfs"
)

// forwards are the kinds of images that can be read from a pipe.
var forwards = []string{"raw", "vmdk:streamOptimized", "vhd:fixed", "vhd:dynamic", "vdi:dynamic", "vdi:fixed", "qcow2", "qcow2 compressed"}

// imageOf makes an image that holds some content, and returns its file.
func imageOf(t interface{ Fatal(...any) }, kind string, content []byte, streamed bool) []byte {
	files := memfs.New()
	src, err := disk.OpenFile(fileOf(content), "src", disk.Options{Formats: formats.All(), Format: "raw"})
	must(t, err)
	defer src.Close()
	kind, compressed := strings.CutSuffix(kind, " compressed")
	o := disk.CreateOptions{FS: files, Formats: formats.All(), Format: kind, Size: src.Size()}
	if streamed {
		o.Data, err = disk.DataOf(context.Background(), src, 64<<10)
		must(t, err)
		var out bytes.Buffer
		sink, err := disk.NewStream(&out, o)
		must(t, err)
		must(t, disk.Fill(context.Background(), sink, src, disk.CopyOptions{}))
		return out.Bytes()
	}
	dst, err := disk.Create("image", o)
	must(t, err)
	if c, ok := dst.(disk.Compressor); ok && (kind == "vmdk:streamOptimized" || compressed) {
		sink, err := c.Compressing()
		must(t, err)
		must(t, disk.Fill(context.Background(), sink, src, disk.CopyOptions{}))
	} else {
		must(t, disk.Copy(context.Background(), dst, src, disk.CopyOptions{}))
	}
	must(t, dst.Close())
	return files.Bytes("image")
}

func must(t interface{ Fatal(...any) }, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func fileOf(content []byte) disk.File {
	files := memfs.New()
	files.Put("file", content)
	f, err := files.Open("file", false)
	if err != nil {
		panic(err)
	}
	return f
}

// scattered is content with holes.
func scattered(t *rapid.T) []byte {
	content := make([]byte, 512*rapid.IntRange(1, 5<<10).Draw(t, "sectors"))
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	for range rapid.IntRange(0, 12).Draw(t, "runs") {
		begin := rng.IntN(len(content))
		for i := begin; i < min(len(content), begin+rng.IntN(256<<10)); i++ {
			content[i] = byte(rng.Uint32() >> 28)
		}
	}
	return content
}

// pull reads an image forward into a QCOW2, and returns what that holds.
func pull(r io.Reader, o disk.StreamOptions) ([]byte, error) {
	o.Formats = formats.All()
	s, _, err := disk.OpenStream(r, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	files := memfs.New()
	dst, err := disk.Create("dst", disk.CreateOptions{FS: files, Formats: formats.All(), Format: "qcow2", Size: max(0, s.Size())})
	if err != nil {
		return nil, err
	}
	defer dst.Close()
	if err := disk.CopyStream(context.Background(), dst, s, disk.CopyOptions{}); err != nil {
		return nil, err
	}
	if dst.Size() != s.Size() {
		return nil, fmt.Errorf("%d bytes were copied of %d", dst.Size(), s.Size())
	}
	return io.ReadAll(io.NewSectionReader(dst, 0, dst.Size()))
}

// few makes rapid try less than it would: each try is a disk.
func few(t *testing.T) {
	t.Helper()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("12"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = checks.Value.Set(checks.DefValue) })
	}
}

// TestForward reads images as from a pipe: the disk is what it is when the file
// is opened.
func TestForward(t *testing.T) {
	few(t)
	for _, kind := range forwards {
		t.Run(kind, rapid.MakeCheck(func(t *rapid.T) {
			content := scattered(t)
			image := imageOf(t, kind, content, rapid.Bool().Draw(t, "streamed"))
			var r io.Reader = bytes.NewReader(image)
			if rapid.Bool().Draw(t, "in small pieces") {
				r = iotest.HalfReader(r)
			}
			o := disk.StreamOptions{Name: "disk." + kind[:3]}
			if rapid.Bool().Draw(t, "size known") {
				o.Size = int64(len(image))
			}
			got, err := pull(r, o)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, content) {
				t.Fatalf("%d bytes are not the %d that were written, from %d on", len(got), len(content), differsAt(got, content))
			}
		}))
	}
}

func differsAt(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// TestForwardCutShort cuts images off: that is an error, or nothing was lost.
func TestForwardCutShort(t *testing.T) {
	few(t)
	for _, kind := range forwards[1:] {
		t.Run(kind, rapid.MakeCheck(func(t *rapid.T) {
			content := scattered(t)
			image := imageOf(t, kind, content, rapid.Bool().Draw(t, "streamed"))
			cut := image[:rapid.IntRange(0, len(image)-1).Draw(t, "cut")]
			o := disk.StreamOptions{Name: "disk." + kind[:3], Format: strings.FieldsFunc(kind, func(r rune) bool { return r == ':' || r == ' ' })[0]}
			if rapid.Bool().Draw(t, "size known") {
				o.Size = int64(len(image))
			}
			if got, err := pull(bytes.NewReader(cut), o); err == nil && !bytes.Equal(got, content) {
				t.Fatalf("%d of %d bytes of the file gave another disk, and no error", len(cut), len(image))
			}
		}))
	}
}

// TestForwardNeedsRandomAccess: what cannot be read forward is given back whole.
func TestForwardNeedsRandomAccess(t *testing.T) {
	few(t)
	rapid.Check(t, func(t *rapid.T) {
		content := scattered(t)
		kind := rapid.SampledFrom([]string{"vmdk:monolithicSparse", "vhdx", "parallels"}).Draw(t, "kind")
		files := memfs.New()
		dst, err := disk.Create("image", disk.CreateOptions{FS: files, Formats: formats.All(), Format: kind, Size: int64(len(content)+1<<20-1) &^ (1<<20 - 1)})
		must(t, err)
		_, err = dst.(disk.Writer).WriteAt(content, 0)
		must(t, err)
		must(t, dst.Close())
		image := files.Bytes("image")
		_, rest, err := disk.OpenStream(bytes.NewReader(image), disk.StreamOptions{Formats: formats.All()})
		if !errors.Is(err, disk.ErrForward) {
			t.Fatalf("%s: %v", kind, err)
		}
		if again, err := io.ReadAll(rest); err != nil || !bytes.Equal(again, image) {
			t.Fatalf("%s: %d of %d bytes came back: %v", kind, len(again), len(image), err)
		}
	})
}

// TestForwardLeadsBack: an image whose blocks lie in another order than on the
// disk, and one whose tables follow what they tell of.
func TestForwardLeadsBack(t *testing.T) {
	const unit = 1 << 20
	for _, kind := range []string{"vdi", "vhd", "qcow2"} {
		files := memfs.New()
		dst, err := disk.Create("image", disk.CreateOptions{FS: files, Formats: formats.All(), Format: kind, Size: 2 << 30})
		must(t, err)
		for i, off := range []int64{2<<30 - unit, 600 << 20, 0, 1 << 30, 5 << 20} {
			_, err := dst.(disk.Writer).WriteAt(bytes.Repeat([]byte{byte(i + 1)}, unit), off)
			must(t, err)
		}
		must(t, dst.(disk.Writer).Sync())
		s, _, err := disk.OpenStream(bytes.NewReader(files.Bytes("image")), disk.StreamOptions{Formats: formats.All()})
		must(t, err)
		made, err := disk.Create("made", disk.CreateOptions{FS: files, Formats: formats.All(), Format: "qcow2", Size: s.Size()})
		must(t, err)
		must(t, disk.CopyStream(context.Background(), made, s, disk.CopyOptions{}))
		difference, err := disk.Compare(context.Background(), made, dst, disk.CopyOptions{})
		if err != nil || !difference.Same {
			t.Errorf("%s: %+v, %v", kind, difference, err)
		}
	}
}

// FuzzForward: whatever comes, reading it ends, with bounded memory; and when
// it is read without an error, the disk is what the file holds when it is opened.
func FuzzForward(f *testing.F) {
	for _, kind := range forwards {
		for _, streamed := range []bool{false, true} {
			image := imageOf(f, kind, bytes.Repeat([]byte("panal..."), 16<<10), streamed)
			f.Add(image, true)
			f.Add(image[:len(image)*2/3], false)
		}
	}
	f.Fuzz(func(t *testing.T, image []byte, known bool) {
		o := disk.StreamOptions{Formats: formats.All()}
		if known {
			o.Size = int64(len(image))
		}
		hostile(t, image, o)
	})
}

// hostile reads an image that may be made to do harm.
func hostile(t *testing.T, image []byte, o disk.StreamOptions) {
	late := time.AfterFunc(10*time.Second, func() {
		panic(fmt.Sprintf("reading %d bytes does not end: %q", len(image), image[:min(len(image), 700)]))
	})
	defer late.Stop()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	files := memfs.New()
	file, err := files.Create("content")
	must(t, err)
	s, _, err := disk.OpenStream(bytes.NewReader(image), o)
	if err == nil {
		defer s.Close()
		err = drain(s, file)
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 256<<20+64*uint64(len(image)) {
		t.Fatalf("%d bytes of an image cost %d of memory", len(image), spent)
	}
	if err != nil || s.Size() > 64<<20 {
		return
	}
	opened, err := disk.OpenFile(fileOf(image), o.Name, disk.Options{Formats: formats.All(), Format: s.Describe().Format})
	if err != nil {
		return // what only opening a file looks at
	}
	defer opened.Close()
	got, want := make([]byte, s.Size()), make([]byte, s.Size())
	if _, err := file.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if _, err := opened.ReadAt(want, 0); err == nil && !bytes.Equal(got, want) {
		t.Fatalf("read forward, the disk differs from %d on", differsAt(got, want))
	}
}

// drain writes what a stream gives into a file.
func drain(s disk.Stream, file disk.File) error {
	dst := make([]byte, disk.MaxPiece)
	for {
		p, err := s.Next(nil)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := s.Decode(dst, p)
		if err != nil {
			return err
		}
		if p.Off < 1<<30 {
			if _, err := file.WriteAt(content, p.Off); err != nil {
				return err
			}
		}
	}
}
