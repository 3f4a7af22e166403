package qcow2_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/qcow2"
	"github.com/panalvm/panal/internal/testenv"
)

// run runs a program and gives its output; a failure ends the test.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.Need(t, program), args...)
	if last := args[len(args)-1]; filepath.IsAbs(last) {
		cmd.Dir = filepath.Dir(last) // QEMU looks for data files there, not beside the image
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// qemuIO runs qemu-io commands on an image.
func qemuIO(t testing.TB, image string, commands ...string) string {
	t.Helper()
	args := []string{"-f", "qcow2"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out := run(t, "qemu-io", append(args, image)...)
	if strings.Contains(out, "failed") || strings.Contains(out, "rror") {
		t.Fatalf("qemu-io: %s", out)
	}
	return out
}

func options(write bool) disk.Options {
	return disk.Options{FS: hostfs.Everywhere(), Formats: []*disk.Format{qcow2.Format, plain}, Write: write}
}

func openImage(t testing.TB, name string, write bool) disk.Image {
	t.Helper()
	img, err := disk.Open(name, options(write))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func closeImage(t testing.TB, img disk.Image) {
	t.Helper()
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

// content reads all of an image, in pieces of odd length.
func content(t testing.TB, img disk.Image) []byte {
	t.Helper()
	p := make([]byte, img.Size())
	for off := 0; off < len(p); {
		n := min(len(p)-off, 3_000_001)
		if k, err := img.ReadAt(p[off:off+n], int64(off)); k != n || err != nil && err != io.EOF {
			t.Fatalf("read at %d: %d of %d, %v", off, k, n, err)
		}
		off += n
	}
	return p
}

func digest(t testing.TB, img disk.Image) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(img, 0, img.Size())); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// same compares an image that we read with what QEMU reads.
func sameAsQEMU(t testing.TB, name string, got []byte, convert ...string) {
	t.Helper()
	raw := filepath.Join(filepath.Dir(name), "as-qemu-reads.raw")
	run(t, "qemu-img", append(append([]string{"convert", "-O", "raw"}, convert...), name, raw)...)
	want, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: we read %d bytes, QEMU %d; first difference at %d", name, len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// sound lets both QEMU and us check an image.
func sound(t testing.TB, name string) {
	t.Helper()
	out := run(t, "qemu-img", "check", "-f", "qcow2", name)
	if !strings.Contains(out, "No errors were found") {
		t.Fatalf("qemu-img check: %s", out)
	}
	img := openImage(t, name, false)
	defer closeImage(t, img)
	report, err := disk.Check(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("our check: %s at %#x: %s", f.Severity, f.Offset, f.Reason)
	}
}

// noise is content of all kinds: random, text, zeros, in pieces.
func noise(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, n)
	for off := 0; off < n; {
		piece := p[off:min(n, off+1+rng.IntN(150_000))]
		switch rng.IntN(3) {
		case 0:
			for i := range piece {
				piece[i] = byte(rng.Uint32())
			}
		case 1:
			for i := range piece {
				piece[i] = "the quick brown fox "[rng.IntN(20)]
			}
		}
		off += len(piece)
	}
	return p
}

func writeFile(t testing.TB, name string, p []byte) {
	t.Helper()
	if err := os.WriteFile(name, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

// plain is a raw disk, for parents.
var plain = &disk.Format{
	Name:  "raw",
	Probe: func(disk.Sample) disk.Confidence { return disk.Fallback },
	Open: func(s *disk.Source) (disk.Image, error) {
		size, err := s.File.Size()
		if err != nil {
			return nil, errors.Join(err, s.File.Close())
		}
		return &plainImage{s.File, size}, nil
	},
}

type plainImage struct {
	disk.File
	size int64
}

func (p *plainImage) Size() int64 { return p.size }
