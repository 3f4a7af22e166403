package hostfs

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// aligned is memory that begins on a unit.
func aligned(t *testing.T, size int) []byte {
	t.Helper()
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	return memory
}

// Whatever goes past the page cache and whatever through it, a file holds what
// was written last, and reading in between sees it.
func TestWritesOfAllKindsMeet(t *testing.T) {
	const size = 8 << 20
	source, model := aligned(t, size), make([]byte, size)
	noise := rand.NewChaCha8([32]byte{7})
	rapid.Check(t, func(rt *rapid.T) {
		stage := NewStage(Everywhere())
		defer stage.Abort()
		made, err := stage.Create(filepath.Join(t.TempDir(), "image"))
		if err != nil {
			rt.Fatal(err)
		}
		defer made.Close()
		clear(model)
		if err := made.Truncate(size); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 12).Draw(rt, "writes") {
			unit := rapid.SampledFrom([]int{1, 512, directUnit, directLeast}).Draw(rt, "unit")
			off := rapid.IntRange(0, size/unit-1).Draw(rt, "offset") * unit
			n := min(rapid.IntRange(1, 1+3*directMost/unit).Draw(rt, "length")*unit, size-off)
			_, _ = noise.Read(source[off : off+n])
			copy(model[off:], source[off:off+n])
			if k, err := made.WriteAt(source[off:off+n], int64(off)); k != n || err != nil {
				rt.Fatalf("%d of %d bytes at %d were written: %v", k, n, off, err)
			}
			have := make([]byte, n)
			if _, err := made.ReadAt(have, int64(off)); err != nil || !bytes.Equal(have, model[off:off+n]) {
				rt.Fatalf("%d bytes at %d are others than were written (%v)", n, off, err)
			}
		}
		have := make([]byte, size)
		if _, err := made.ReadAt(have, 0); err != nil || !bytes.Equal(have, model) {
			rt.Fatalf("the file is not what was written (%v)", err)
		}
	})
}

// residence tells which pages of a mapping are in the page cache: the lowest bit of each.
func residence(mapped, pages []byte) unix.Errno {
	_, _, err := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(len(mapped)), uintptr(unsafe.Pointer(&pages[0])))
	return err
}

// Large writes leave nothing in the page cache where the file system can do without;
// where it cannot, they are written all the same.
func TestLargeWritesGoPastTheCache(t *testing.T) {
	p := aligned(t, directMost)
	for _, dir := range []string{t.TempDir(), "/dev/shm"} {
		file, err := os.CreateTemp(dir, "direct")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file.Name())
		f := &File{file: file, write: true, direct: openDirect(file)}
		for off := int64(0); off < 8*directMost; off += directMost {
			if n, err := f.WriteAt(p, off); n != len(p) || err != nil {
				t.Errorf("%s: %d bytes were written: %v", dir, n, err)
			}
		}
		if size, err := f.Size(); size != 8*directMost || err != nil {
			t.Errorf("%s: the file has %d bytes: %v", dir, size, err)
		}
		if f.direct != nil && !f.direct.refused.Load() && dir != "/dev/shm" {
			mapped, err := unix.Mmap(int(file.Fd()), 0, directMost, unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			resident := make([]byte, directMost/os.Getpagesize())
			if err := residence(mapped, resident); err != 0 || bytes.ContainsAny(resident, "\x01") {
				t.Errorf("%s: what was written past the cache is in it (%v)", dir, err)
			}
			_ = unix.Munmap(mapped)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
