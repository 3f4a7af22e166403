package ksm

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestKernel(t *testing.T) {
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("a kernel without is %v", err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"run": "0\n", "pages_shared": "2\n", "pages_sharing": "10\n", "pages_scanned": "7\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kernel, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := kernel.Set(300, 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	page := int64(os.Getpagesize())
	want := Counted{Running: true, Shared: 2 * page, Saved: 10 * page, Scanned: 7}
	if counted, err := kernel.Read(); counted != want || err != nil {
		t.Errorf("%+v, %v", counted, err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "pages_to_scan")); string(text) != "300" {
		t.Errorf("it looks at %s", text)
	}
	if err := kernel.Stop(); err != nil {
		t.Fatal(err)
	}
	if counted, _ := kernel.Read(); counted.Running {
		t.Error("it goes on")
	}
}
