package hostfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A file that is being made is passed on to the store while it grows, and
// holds what was written, in whatever order.
func TestEarly(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image")
	stage := NewStage(Everywhere())
	defer stage.Abort()
	made, err := stage.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	file := made.(*File)
	want := make([]byte, 3*earlyStep)
	write := func(off, n int64, with byte) {
		t.Helper()
		copy(want[off:], bytes.Repeat([]byte{with}, int(n)))
		if _, err := file.WriteAt(want[off:off+n], off); err != nil {
			t.Fatal(err)
		}
	}
	for off := int64(0); off < 2*earlyStep; off += earlyStep / 4 {
		write(off, earlyStep/4, byte(off>>20)+1)
	}
	file.early.wait()
	if file.early.begin == 0 {
		t.Error("nothing was passed on after two steps")
	}
	begin := file.early.begin
	write(4096, earlyStep, 0xEE)
	file.early.wait()
	if file.early.begin < begin {
		t.Errorf("what is passed on went back from %d to %d", begin, file.early.begin)
	}
	write(int64(len(want))-1, 1, 0xFF)
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stage.Commit(false); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("the file does not hold what was written to it")
	}
}

// TestWritesByPieces writes more than one call takes, of odd lengths, and past
// what the store has room for.
func TestWritesByPieces(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	made, err := Everywhere().Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	for _, n := range []int{0, 1, writePiece - 1, writePiece, writePiece + 1, 3*writePiece + 5} {
		want := bytes.Repeat([]byte{byte(n), 1, 2}, n)[:n]
		if k, err := made.WriteAt(want, 7); k != n || err != nil {
			t.Fatalf("of %d bytes %d were written: %v", n, k, err)
		}
		have := make([]byte, n)
		if _, err := made.ReadAt(have, 7); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%d bytes do not read as they were written: %v", n, err)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	if n, err := (&File{file: full, write: true}).WriteAt(make([]byte, 2*writePiece), 0); n != 0 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("on a full device %d bytes were written: %v", n, err)
	}
}

// TestCommitSyncs shows that a Sync of a file without a name is left to
// Commit, by what the file system says of where its content is.
func TestCommitSyncs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image")
	stage := NewStage(Everywhere())
	defer stage.Abort()
	made, err := stage.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	file := made.(*File)
	write := func() {
		t.Helper()
		if _, err := file.WriteAt(bytes.Repeat([]byte("x"), 64<<10), 0); err != nil {
			t.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if !waiting(t, file) {
		t.Skip("this file system gives a file its room at once, or it was quick")
	}
	if err := stage.Commit(false); err != nil {
		t.Fatal(err)
	}
	if waiting(t, file) {
		t.Error("the content is not on the store after Commit")
	}
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	write()
	if waiting(t, file) {
		t.Error("a Sync after Commit does nothing")
	}
}

// waiting tells whether a file has content that got no place on the store yet.
func waiting(t *testing.T, f *File) bool {
	t.Helper()
	const (
		fiemap  = 0xC020660B // FS_IOC_FIEMAP
		delayed = 0x4        // FIEMAP_EXTENT_DELALLOC
	)
	var request struct {
		start, length              uint64
		flags, mapped, count, _    uint32
		logical, physical, n, _, _ uint64
		extentFlags, _, _, _       uint32
	}
	request.length, request.count = 1<<40, 1
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fiemap, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Skip("this file system does not tell where files are:", errno)
	}
	return request.mapped > 0 && request.extentFlags&delayed != 0
}
