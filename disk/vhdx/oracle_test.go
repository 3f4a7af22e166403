package vhdx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/testenv"
)

// formats are those that the tests' images are of.
func formats() []*disk.Format { return []*disk.Format{Format} }

// qemu runs a program of QEMU's.
func qemu(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), testenv.Need(t, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// openHost opens an image in the host's file system.
func openHost(t *testing.T, name string, write bool) disk.Image {
	t.Helper()
	img, err := disk.Open(name, disk.Options{FS: hostfs.Everywhere(), Formats: formats(), Write: write})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img
}

// digest is of all that a guest would read.
func digest(t *testing.T, r io.ReaderAt, size int64) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// patterned makes a raw file with stretches of data, and holes.
func patterned(t *testing.T, name string, size int64) []byte {
	t.Helper()
	content := make([]byte, size)
	for i := int64(0); i < size; i += 1 << 20 {
		if (i>>20)%3 == 1 {
			continue
		}
		part := content[i:min(size, i+700<<10)]
		for k := range part {
			part[k] = byte(int64(k)*7 + i>>17 + int64(k)>>9)
		}
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return content
}

// same compares an image with what it should hold.
func same(t *testing.T, img disk.Image, want []byte) {
	t.Helper()
	if img.Size() != int64(len(want)) {
		t.Fatalf("the disk has %d bytes, want %d", img.Size(), len(want))
	}
	got := make([]byte, len(want))
	if _, err := img.ReadAt(got, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	for i := 0; !bytes.Equal(got, want); i++ {
		if got[i] != want[i] {
			t.Fatalf("byte %#x is %#x, want %#x", i, got[i], want[i])
		}
	}
}

// sound fails the test when a check finds what is worse than allowed.
func sound(t *testing.T, img disk.Image, allowed disk.Severity) {
	t.Helper()
	report, err := disk.Check(context.Background(), img)
	if err != nil {
		t.Fatal(err)
	}
	if worst, any := report.Worst(); any && worst > allowed {
		t.Fatalf("check found %+v", report.Findings)
	}
}

func TestCorpus(t *testing.T) {
	for _, file := range disktest.CorpusFiles(t, name) {
		t.Run(filepath.Base(file.Path), func(t *testing.T) {
			compared, err := file.Verify(openHost(t, file.Path, false))
			if err != nil || !compared {
				t.Fatalf("compared: %v, %v", compared, err)
			}
		})
	}
}

func TestReadsWhatQEMUWrites(t *testing.T) {
	for _, options := range []string{
		"subformat=dynamic", "subformat=fixed", "subformat=dynamic,block_size=1M", "subformat=dynamic,block_size=256M",
		"subformat=dynamic,block_size=8M,log_size=4M", "subformat=dynamic,block_size=2M,block_state_zero=off",
	} {
		t.Run(options, func(t *testing.T) {
			dir := t.TempDir()
			want := patterned(t, dir+"/raw", 37<<20+512)
			qemu(t, "qemu-img", "convert", "-f", "raw", "-O", "vhdx", "-o", options, dir+"/raw", dir+"/a.vhdx")
			img := openHost(t, dir+"/a.vhdx", false)
			same(t, img, want)
		})
	}
}
