package corpus_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/testenv"
)

// matrixSize is the size of the disk that goes every way. Odd, so that the last
// block of no format is whole.
const matrixSize = 20<<20 + 3*512

// writeMixed makes a raw disk of text, noise, zeros and holes.
func writeMixed(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(matrixSize); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	text := make([]byte, 2<<20)
	for i := range text {
		text[i] = "Panal is Spanish for honeycomb.\n"[i%32]
	}
	for _, w := range []struct {
		off int64
		p   []byte
	}{
		{0, noise[:512]},                           // a boot sector
		{1 << 20, noise[:2<<20]},                   // whole blocks
		{5<<20 + 512, text},                        // across blocks
		{8<<20 + 7*512, noise[2<<20 : 2<<20+4096]}, // a bit of a block
		{10 << 20, make([]byte, 1<<20)},            // zeros that were written
		{matrixSize - 1024, noise[3<<20-1024:]},    // the end
	} {
		if _, err := f.WriteAt(w.p, w.off); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConversions takes a disk every way from one kind of image to another, and
// looks at the results itself and through qemu-img.
func TestConversions(t *testing.T) {
	qemuImg := testenv.Need(t, "qemu-img")
	dir := workDir(t)
	raw := filepath.Join(dir, "reference.img")
	writeMixed(t, raw)
	reference := openRaw(t, raw)
	for _, from := range targets() {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			dir := workDir(t)
			path, ok := from.make(t, dir, reference)
			if !ok {
				t.Fatal("this kind cannot hold a disk of 20 MiB")
			}
			src := from.open(t, path)
			mustBeSame(t, src, reference)
			mustCheck(t, src, disk.Note)
			from.qemuSame(t, qemuImg, path, raw)
			for _, to := range waysFrom(from) {
				t.Run(to.name, func(t *testing.T) { convertAndCompare(t, qemuImg, src, to, reference, raw) })
			}
		})
	}
}

// waysFrom are the kinds that a kind is converted to: every variant to every
// variant, and the layouts from and to the first.
func waysFrom(from target) []target {
	first := variants()[:1]
	switch {
	case slices.ContainsFunc(layouts(), func(t target) bool { return t.name == from.name }):
		return first
	case from.name == first[0].name:
		return targets()
	}
	return variants()
}

// convertAndCompare converts src to a kind of image and compares it with what src
// should hold.
func convertAndCompare(t *testing.T, qemuImg string, src disk.Image, to target, reference disk.Image, raw string) {
	path, ok := to.make(t, workDir(t), src)
	if !ok {
		t.Skip("this kind cannot hold such a disk")
	}
	made := to.open(t, path)
	mustBeSame(t, made, reference)
	mustCheck(t, made, disk.Note)
	to.qemuSame(t, qemuImg, path, raw)
}

func openRaw(t *testing.T, path string) disk.Image {
	t.Helper()
	img, err := diskfile.Place{}.Open(path, diskfile.OpenOptions{Format: "raw"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img
}
