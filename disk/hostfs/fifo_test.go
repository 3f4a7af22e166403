package hostfs

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A pipe that nobody writes to is refused, not waited for, with bounds and
// without.
func TestPipesAreRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	beside, err := Beside(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range []*FS{beside, Everywhere()} {
		for _, write := range []bool{false, true} {
			file, err := files.Open(name, write)
			if err == nil {
				t.Fatalf("it was opened: %v", file.Close())
			}
			if !strings.Contains(err.Error(), "neither a file nor a block device") {
				t.Error(err)
			}
		}
	}
}
