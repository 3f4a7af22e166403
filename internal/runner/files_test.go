package runner

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/qemu"
)

// TestCopyOnlyWhatQEMUCouldNotOpen holds open to what package qemu asks for: QEMU's user opens the file again by its
// descriptor, and so meets the file's mode. A copy costs time and memory, and is made where there is no other way.
func TestCopyOnlyWhatQEMUCouldNotOpen(t *testing.T) {
	other := &process.Identity{}
	tests := []struct {
		name   string
		mode   os.FileMode
		user   *process.Identity
		copied bool
	}{
		{"everybody's", 0o644, other, false},
		{"its owner's", 0o600, other, true},
		{"its group's", 0o640, other, true},
		{"its owner's, and QEMU is the owner's too", 0o600, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kernel")
			if err := os.WriteFile(path, []byte("content"), test.mode); err != nil {
				t.Fatal(err)
			}
			file, err := open(qemu.File{Path: path, Access: qemu.Copy}, test.user)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			descriptor := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
			link, err := os.Readlink(descriptor)
			if err != nil {
				t.Fatal(err)
			}
			if copied := strings.HasPrefix(link, "/memfd:"); copied != test.copied {
				t.Errorf("the descriptor is of %s", link)
			}
			again, err := os.Open(descriptor)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if content, err := io.ReadAll(again); string(content) != "content" || err != nil {
				t.Errorf("QEMU would read %q: %v", content, err)
			}
		})
	}
}
