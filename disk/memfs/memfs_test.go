package memfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

func TestFilesAreSparse(t *testing.T) {
	m := memfs.New()
	f, err := m.Create("big")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(10 << 40); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("here"), 5<<40); err != nil {
		t.Fatal(err)
	}
	start, end, err := f.(disk.Holed).NextData(5<<40 - 4096)
	if err != nil || start != 5<<40 || end != 5<<40+4096 {
		t.Errorf("data is at [%d,%d), %v", start, end, err)
	}
	if taken, _ := f.(disk.Allocated).Allocated(); taken != 4096 {
		t.Errorf("%d bytes are taken", taken)
	}
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	m := memfs.New()
	f, _ := m.Create("a")
	old, young := bytes.Repeat([]byte{1}, 4096), bytes.Repeat([]byte{2}, 4096)
	_, _ = f.WriteAt(old, 0)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteAt(young, 0)
	_, _ = f.WriteAt(young, 8192)

	outcomes := map[byte]bool{}
	for seed := range uint64(100) {
		left := m.Crash(rand.New(rand.NewPCG(seed, 0))).Bytes("a")
		if len(left) < len(old) {
			t.Fatalf("only %d bytes were left", len(left))
		}
		for off := 0; off < 4096; off += 512 {
			if s := left[off : off+512]; !bytes.Equal(s, old[:512]) && !bytes.Equal(s, young[:512]) {
				t.Fatalf("the sector at %d is torn", off)
			}
			outcomes[left[off]] = true
		}
	}
	if !outcomes[1] || !outcomes[2] {
		t.Errorf("unsynced sectors always went the same way: %v", outcomes)
	}
	if got := m.Bytes("a"); !bytes.Equal(got[:4096], young) {
		t.Error("the crash changed the file system itself")
	}
}

func TestAFileOpenedForReadingIsNotWritten(t *testing.T) {
	m := memfs.New()
	m.Put("dir/a", []byte("content"))
	f, err := m.Open("dir/a", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("write: %v", err)
	}
	if err := f.Truncate(0); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("truncate: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

func TestReferencesStayInside(t *testing.T) {
	m := memfs.New()
	for ref, want := range map[string]string{
		"b": "dir/b", `sub\b`: "dir/sub/b", "../b": "b", "/b": "b", `C:\x\b`: "x/b",
	} {
		if got, err := m.Resolve("dir/a", ref); got != want || err != nil {
			t.Errorf("%s leads to %s, %v", ref, got, err)
		}
	}
	if _, err := m.Resolve("dir/a", "../../b"); !errors.Is(err, disk.ErrOutside) {
		t.Errorf("a way out: %v", err)
	}
}

func TestRename(t *testing.T) {
	m := memfs.New()
	m.Put("dir/a", []byte("old"))
	m.Put("dir/b", []byte("new"))
	open, err := m.Open("dir/a", false)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	m.OnOp = func(kind, name string) { told = append(told, kind+" "+name) }
	if err := m.Rename("dir/b", "dir/a"); err != nil || string(m.Bytes("dir/a")) != "new" || len(m.Names()) != 1 {
		t.Errorf("%v; the files are %q", err, m.Names())
	}
	if p := make([]byte, 3); len(told) != 1 || told[0] != "rename dir/b" {
		t.Errorf("told of %q", told)
	} else if _, err := open.ReadAt(p, 0); err != nil || string(p) != "old" {
		t.Errorf("the replaced file, open, reads %q, %v", p, err)
	}
	if err := m.Rename("dir/b", "dir/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
