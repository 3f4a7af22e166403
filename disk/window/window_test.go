package window_test

import (
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/window"
)

func open(t *testing.T, content string) disk.File {
	t.Helper()
	fs := memfs.New()
	fs.Put("a", []byte(content))
	f, err := fs.Open("a", false)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAWindowIsAFile(t *testing.T) {
	w, err := window.New(open(t, "0123456789"), 3, 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(io.NewSectionReader(w, 0, 5), []byte("34567")); err != nil {
		t.Error(err)
	}
	p := make([]byte, 9)
	if n, err := w.ReadAt(p, 2); n != 3 || err != io.EOF || string(p[:n]) != "567" {
		t.Errorf("reading past the end gave %q, %v", p[:n], err)
	}
	if n, err := w.ReadAt(p, 5); n != 0 || err != io.EOF {
		t.Errorf("reading at the end gave %d, %v", n, err)
	}
	if start, end, err := w.NextData(1); start != 1 || end != 5 || err != nil {
		t.Errorf("data is at [%d,%d), %v", start, end, err)
	}
	if _, err := w.WriteAt(p, 0); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("writing: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil {
		t.Error("closing the window did not close the file")
	}
}

func TestHolesAreSeenThroughAWindow(t *testing.T) {
	fs := memfs.New()
	f, _ := fs.Create("a")
	_ = f.Truncate(1 << 20)
	_, _ = f.WriteAt([]byte("x"), 512<<10)
	w, err := window.New(f, 4096, 900<<10)
	if err != nil {
		t.Fatal(err)
	}
	if start, end, err := w.NextData(0); start != 508<<10 || end != 512<<10 || err != nil {
		t.Errorf("data is at [%d,%d), %v", start, end, err)
	}
	if start, end, err := w.NextData(600 << 10); start != 900<<10 || end != start || err != nil {
		t.Errorf("behind it, data is at [%d,%d), %v", start, end, err)
	}
}

func TestAWindowLiesWithinItsFile(t *testing.T) {
	for _, r := range [][2]int64{{0, 11}, {11, 0}, {-1, 2}, {5, -1}, {5, 1 << 62}, {1 << 62, 1 << 62}} {
		f := open(t, "0123456789")
		if _, err := window.New(f, r[0], r[1]); !errors.Is(err, disk.ErrRange) {
			t.Errorf("[%d,+%d): %v", r[0], r[1], err)
		}
		if err := f.Close(); err == nil {
			t.Error("the file was not closed")
		}
	}
}
