package diskfile

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk/hostfs"
)

// A block device is not written onto unless that was allowed. The node is of a
// device that does not exist: it is refused before it is opened.
func TestADeviceIsNotOverwrittenByChance(t *testing.T) {
	node := filepath.Join(t.TempDir(), "sdb")
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 4000))); err != nil {
		t.Skipf("device nodes cannot be made here: %v", err)
	}
	err := vacant(node, node, hostfs.Everywhere(), false)
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "it is a block device, and what it holds would be lost") {
		t.Errorf("without leave: %v", err)
	}
	if err := vacant(node, node, hostfs.Everywhere(), true); err != nil {
		t.Errorf("with leave: %v", err)
	}
}
