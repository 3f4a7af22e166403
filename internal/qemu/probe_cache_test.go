package qemu

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/panalvm/panal/api"
)

// counted puts a program before QEMU that writes a line for every start.
func counted(t *testing.T) (program string, starts func() int) {
	t.Helper()
	real := needQEMU(t, api.RISCV64)
	dir := t.TempDir()
	program, log := filepath.Join(dir, "qemu"), filepath.Join(dir, "log")
	script := "#!/bin/sh\nprintf x >> " + log + "\nexec " + real + ` "$@"` + "\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, func() int {
		data, _ := os.ReadFile(log)
		return len(data)
	}
}

func TestCacheAsksOnceForAProgram(t *testing.T) {
	program, starts := counted(t)
	cache := Cache{Dir: filepath.Join(t.TempDir(), "not", "there", "yet")}
	ask := func() Capabilities {
		caps, err := cache.Capabilities(context.Background(), program)
		if err != nil {
			t.Fatal(err)
		}
		return caps
	}
	first := ask()
	if diff := cmp.Diff(first, ask()); diff != "" || starts() != 1 {
		t.Errorf("asked %d times; the second answer differs:\n%s", starts(), diff)
	}
	if err := os.Chtimes(program, time.Time{}, time.Unix(1_000_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	if ask(); starts() != 2 {
		t.Errorf("asked %d times after the program changed, want 2", starts())
	}
	files, _ := filepath.Glob(filepath.Join(cache.Dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(cache.Dir, ".new-*"))
	if len(files) != 1 || len(hidden) != 0 {
		t.Errorf("the cache holds %v and %v, want one file", files, hidden)
	}
	if err := os.WriteFile(files[0], []byte(`{"id":`), 0o644); err != nil {
		t.Fatal(err)
	}
	if ask(); starts() != 3 {
		t.Errorf("asked %d times after the cache was damaged, want 3", starts())
	}
}

func TestCacheIsNotNeeded(t *testing.T) {
	program, starts := counted(t)
	file := filepath.Join(t.TempDir(), "a file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := (Cache{Dir: file}).Capabilities(context.Background(), program); err != nil {
			t.Error(err)
		}
	}
	if starts() != 2 {
		t.Errorf("asked %d times, want 2", starts())
	}
	if _, err := (Cache{Dir: t.TempDir()}).Capabilities(context.Background(), "/nonexistent"); err == nil {
		t.Error("a missing program is no error")
	}
}

func TestCacheKeepsOnlyWhatWasTried(t *testing.T) {
	hopeless := fakeQEMU(t, "echo Could not access KVM kernel module: Permission denied >&2; exit 1").binary
	cache := Cache{Dir: t.TempDir()}
	if v := cache.KVM(context.Background(), hopeless, nil); v.Usable || v.Tried {
		t.Skipf("KVM is not tried here: %+v", v)
	}
	if files, _ := filepath.Glob(filepath.Join(cache.Dir, "*")); len(files) != 0 {
		t.Errorf("a verdict without a try was kept: %v", files)
	}
	id, err := identify("kvm", hopeless)
	if err != nil {
		t.Fatal(err)
	}
	want := Verdict{Usable: true, Tried: true, Why: "fast", Native: 3, Guest: 4}
	cache.store(id, want)
	var got Verdict
	if !cache.load(id, &got) || got != want {
		t.Errorf("kept %+v, got %+v", want, got)
	}
	id.Boot = "another"
	if cache.load(id, &got) {
		t.Error("a verdict of another boot was taken")
	}
}
