package media

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
)

// counted is an image that counts what is read of it, and fails when it was read up to a place.
type counted struct {
	disk.Image
	read  atomic.Int64
	until int64 // 0 for no end
}

var errTorn = errors.New("the source has gone")

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	if c.until > 0 && off >= c.until {
		return 0, errTorn
	}
	c.read.Add(int64(len(p)))
	return c.Image.ReadAt(p, off)
}

const resumeSize, resumeEvery = 24 << 20, 4 << 20

// torn makes a source of noise and zeros.
func torn(t *testing.T, dir string) (*counted, []byte) {
	t.Helper()
	content := make([]byte, resumeSize)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(content)
	clear(content[7<<20 : 9<<20])
	path := filepath.Join(dir, "source.raw")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	img, _, err := OpenImage(Ref{Path: path, Format: "raw"}, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = img.Close() })
	return &counted{Image: img}, content
}

// readsAs checks what an image holds, and that nothing is wrong with it.
func readsAs(t *testing.T, path string, want []byte) {
	t.Helper()
	img, err := disk.Open(path, disk.Options{FS: hostfs.Everywhere(), Formats: formats.All(), Format: "qcow2"})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, img.Size())
	if err := disk.ReadParent(img, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("it reads otherwise: %v, the first difference at %d", err, firstDifference(got, want))
	}
	report, err := disk.Check(t.Context(), img)
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("its check says %+v, %v", report, err)
	}
}

func nothing() error { return nil }

// TestResumeCopyGoesOn breaks copying off by a source that fails and by a context that ends, and goes on: what
// was copied is not read again.
func TestResumeCopyGoesOn(t *testing.T) {
	dir := t.TempDir()
	src, content := torn(t, dir)
	path := filepath.Join(dir, "disk.qcow2.part")
	src.until = 10 << 20
	if err := ResumeCopy(t.Context(), path, src, 0, resumeEvery, quiet, nothing); !errors.Is(err, errTorn) {
		t.Fatalf("a source that fails: %v", err)
	}
	if done := PartDone(path); done < 9<<20 || done > 10<<20 {
		t.Fatalf("%d bytes are known to be there", done)
	}
	src.until = 0
	ctx, cancel := context.WithCancel(t.Context())
	err := ResumeCopy(ctx, path, src, 0, resumeEvery, quiet, func() error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a context that ends: %v", err)
	}
	done := PartDone(path)
	if done <= 10<<20 || done >= resumeSize {
		t.Fatalf("%d bytes are known to be there", done)
	}
	src.read.Store(0)
	if err := ResumeCopy(t.Context(), path, src, 0, resumeEvery, quiet, nothing); err != nil {
		t.Fatal(err)
	}
	if read := src.read.Load(); read > resumeSize-done {
		t.Errorf("%d bytes were read, and %d were there", read, done)
	}
	readsAs(t, path, content)
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("there are %v", entries)
	}
}

// TestResumeCopyKilled goes on with what is in the files at each moment when it was put down, as if the process had been killed
// then, with what came into the image after that lost or not.
func TestResumeCopyKilled(t *testing.T) {
	dir := t.TempDir()
	src, content := torn(t, dir)
	path := filepath.Join(dir, "disk.qcow2.part")
	var kept []string
	keep := func() error {
		name := filepath.Join(t.TempDir(), filepath.Base(path))
		kept = append(kept, name)
		return errors.Join(copyFile(path, name), copyFile(path+DoneSuffix, name+DoneSuffix))
	}
	if err := ResumeCopy(t.Context(), path, src, 0, resumeEvery, quiet, keep); err != nil {
		t.Fatal(err)
	}
	if len(kept) < 4 {
		t.Fatalf("it was put down %d times", len(kept))
	}
	for i, name := range kept {
		done := PartDone(name)
		src.read.Store(0)
		if err := ResumeCopy(t.Context(), name, src, 0, resumeEvery, quiet, nothing); err != nil {
			t.Fatal(err)
		}
		if read := src.read.Load(); done < int64(i+1)*resumeEvery || read > resumeSize-done {
			t.Errorf("time %d: %d bytes were read, and %d were there", i, read, done)
		}
		readsAs(t, name, content)
	}
	behind := kept[len(kept)-1] // more is in the image than was put down
	if err := os.WriteFile(behind+DoneSuffix, []byte("4194304"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ResumeCopy(t.Context(), behind, src, 0, resumeEvery, quiet, nothing); err != nil {
		t.Fatal(err)
	}
	readsAs(t, behind, content)
}

// TestResumeCopyBeginsAnew where what is there is no image, has another size, or is not known to hold anything.
func TestResumeCopyBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	src, content := torn(t, dir)
	path := filepath.Join(dir, "disk.qcow2.part")
	for _, noted := range []string{"", "8388608", "-1", "nonsense", "8388608\n"} {
		if err := os.WriteFile(path, []byte("no image"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+DoneSuffix, []byte(noted), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ResumeCopy(t.Context(), path, src, 0, resumeEvery, quiet, nothing); err != nil {
			t.Fatalf("%q: %v", noted, err)
		}
		readsAs(t, path, content)
	}
	src.until = 10 << 20
	_ = RemovePart(path)
	if err := ResumeCopy(t.Context(), path, src, 0, resumeEvery, quiet, nothing); !errors.Is(err, errTorn) {
		t.Fatal(err)
	}
	src.until = 0
	if err := ResumeCopy(t.Context(), path, src, 2*resumeSize, resumeEvery, quiet, nothing); err != nil {
		t.Fatal(err)
	}
	readsAs(t, path, append(content, make([]byte, resumeSize)...))
}

func copyFile(from, to string) error {
	p, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, p, 0o600)
}
