package etcdstate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/etcdstate"
)

func TestLockedDirectory(t *testing.T) {
	cfg := etcdstate.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	_, err := etcdstate.Open(t.Context(), cfg)
	var locked *etcdstate.LockedError
	if !errors.As(err, &locked) || !errors.Is(err, etcdstate.ErrLocked) || locked.PID != os.Getpid() {
		t.Errorf("opening twice gives %v, want a LockedError of process %d", err, os.Getpid())
	}
	put(t, s, "a", nil)
	closeStore(t, s)
	closeStore(t, open(t, cfg))
}

func TestCancelledOpenLetsGo(t *testing.T) {
	cfg := etcdstate.Config{Dir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := etcdstate.Open(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("open gave %v", err)
	}
	closeStore(t, open(t, cfg))
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := etcdstate.Open(t.Context(), etcdstate.Config{Dir: filepath.Join(file, "dir")})
	if !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), file) {
		t.Errorf("a file in the way gives %v", err)
	}
	if _, err := etcdstate.Open(t.Context(), etcdstate.Config{}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("no directory gives %v", err)
	}
	if _, err := etcdstate.Open(t.Context(), etcdstate.Config{Dir: file, Quota: 1}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("a tiny quota gives %v", err)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 { // whom a mode does not stop
		mount(t, dir, syscall.MS_RDONLY, "")
	} else if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := etcdstate.Open(t.Context(), etcdstate.Config{Dir: dir})
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "may not write") {
		t.Errorf("open gave %v", err)
	}
}

func TestDamagedDirectory(t *testing.T) {
	damages := map[string]func(t *testing.T, dir string){
		"database of something else": func(t *testing.T, dir string) { overwrite(t, dir, "member/snap/db", 0, 1<<14) },
		"database cut short":         func(t *testing.T, dir string) { cut(t, dir, "member/snap/db", 5*4096) },
		"database empty":             func(t *testing.T, dir string) { cut(t, dir, "member/snap/db", 0) },
		"database gone":              func(t *testing.T, dir string) { remove(t, dir, "member/snap/db") },
		"log overwritten":            func(t *testing.T, dir string) { overwrite(t, dir, "member/wal/*-*.wal", 100, 400) },
		"log gone":                   func(t *testing.T, dir string) { remove(t, dir, "member/wal/*-*.wal") },
		"log empty":                  func(t *testing.T, dir string) { cut(t, dir, "member/wal/*-*.wal", 0) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, etcdstate.Config{Dir: dir})
			for range 1200 { // enough for a snapshot
				put(t, s, "a", bytes.Repeat([]byte("v"), 100))
			}
			closeStore(t, s)
			damage(t, dir)
			s, err := etcdstate.Open(t.Context(), etcdstate.Config{Dir: dir})
			if err == nil {
				closeStore(t, s)
			}
			if !errors.Is(err, etcdstate.ErrCorrupt) {
				t.Errorf("open gave %v, want ErrCorrupt", err)
			}
			t.Log(err)
		})
	}
}

func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	return found[0]
}

func overwrite(t *testing.T, dir, pattern string, at, size int64) {
	t.Helper()
	file, err := os.OpenFile(only(t, dir, pattern), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(bytes.Repeat([]byte("damage! "), int(size/8)), at); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, dir, pattern string, size int64) {
	t.Helper()
	if err := os.Truncate(only(t, dir, pattern), size); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, pattern string) {
	t.Helper()
	if err := os.Remove(only(t, dir, pattern)); err != nil {
		t.Fatal(err)
	}
}

// mount puts a tmpfs over dir. It needs root.
func mount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, 0, "size=200m")
	cfg := etcdstate.Config{Dir: filepath.Join(dir, "state")}
	s := open(t, cfg)
	put(t, s, "a", []byte("1"))
	ballast := fill(t, dir, etcdstate.DefaultMinFree/2)

	_, err := s.Commit(t.Context(), state.Put("b", nil))
	if !errors.Is(err, state.ErrNoSpace) {
		t.Errorf("commit on a full disk gave %v", err)
	}
	if entry, err := s.Get(t.Context(), "a"); err != nil || string(entry.Value) != "1" {
		t.Errorf("get on a full disk gave %+v, %v", entry, err)
	}
	if _, err := s.Commit(t.Context(), state.Delete("a", 0)); err != nil {
		t.Errorf("delete on a full disk gave %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	put(t, s, "b", []byte("2"))
	closeStore(t, s)

	ballast = fill(t, dir, 0)
	if _, err = etcdstate.Open(t.Context(), cfg); !errors.Is(err, state.ErrNoSpace) {
		t.Errorf("open without a free byte gave %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	ballast = fill(t, dir, etcdstate.DefaultMinFree/2)
	s = open(t, cfg)
	if entry, err := s.Get(t.Context(), "b"); err != nil || string(entry.Value) != "2" {
		t.Errorf("opened with little space the store has %+v, %v", entry, err)
	}
	closeStore(t, s)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	defer closeStore(t, s)
	if entry, err := s.Get(t.Context(), "b"); err != nil || string(entry.Value) != "2" {
		t.Errorf("after that the store has %+v, %v", entry, err)
	}
}

// fill writes a file that leaves so many bytes free and returns its path.
func fill(t *testing.T, dir string, leave int64) string {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ballast")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Fallocate(int(file.Fd()), 0, 0, int64(stat.Bavail)*stat.Bsize-leave); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// The reserve is what keeps etcd from meeting a full disk; when something else takes
// it at the wrong moment, the store fails but loses nothing.
func TestDiskFullUnderEtcd(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, 0, "size=100m")
	cfg := etcdstate.Config{Dir: filepath.Join(dir, "state")}
	acknowledged, printed := runChild(t, cfg.Dir, "fill", 0)
	t.Logf("%d commits, then %q", len(acknowledged), printed)
	if len(acknowledged) == 0 || len(printed) != 3 || !strings.Contains(printed[1], etcdstate.ErrFailed.Error()) {
		t.Fatalf("the child made %d commits and printed %q", len(acknowledged), printed)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=400m"); err != nil {
		t.Fatal(err)
	}
	s := open(t, cfg)
	defer closeStore(t, s)
	wantNumbered(t, s, acknowledged, 200_000)
	put(t, s, "more", nil)
}

func TestQuota(t *testing.T) {
	s := open(t, etcdstate.Config{Dir: t.TempDir(), Quota: etcdstate.MinQuota})
	defer closeStore(t, s)
	value := make([]byte, state.MaxValueBytes)

	// History alone never fills the store: it is given up.
	for i := range 3 * etcdstate.MinQuota / state.MaxValueBytes {
		value[0] = byte(i)
		put(t, s, "same", value)
	}
	const growth = 16 << 20 // the step in which bbolt enlarges its file
	if size := databaseSize(t, s); size > etcdstate.MinQuota+growth {
		t.Errorf("the database has %d bytes with a quota of %d", size, etcdstate.MinQuota)
	}

	// Data does, and is refused; deleting helps.
	var err error
	stored := 0
	for ; err == nil; stored++ {
		_, err = s.Commit(t.Context(), state.Put(fmt.Sprintf("k/%d", stored), value))
	}
	if !errors.Is(err, state.ErrNoSpace) || !strings.Contains(err.Error(), "quota") {
		t.Fatalf("after %d values commit gave %v", stored, err)
	}
	if stored < etcdstate.MinQuota/state.MaxValueBytes/2 {
		t.Errorf("only %d values of 1 MiB went into %d bytes", stored, etcdstate.MinQuota)
	}
	if _, err := s.Commit(t.Context(), state.Delete("k/0", 0), state.Delete("k/1", 0)); err != nil {
		t.Fatalf("delete from a full store: %v", err)
	}
	put(t, s, "k/0", value)
}

// databaseSize returns the size of the store's database file.
func databaseSize(t *testing.T, s *etcdstate.Store) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(s.Dir(), "member", "snap", "db"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
