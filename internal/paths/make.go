package paths

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Make makes the data and the runtime directory, unless they are there, and
// refuses ones that somebody else could write: a user's are mode 0700. Root's
// can be passed through by everybody, because the group panal reaches the
// socket there and QEMU runs as a user of its own.
func (p Paths) Make() error {
	data, runtime := fs.FileMode(0o700), fs.FileMode(0o700)
	if p.UID == 0 {
		data, runtime = 0o711, 0o755
	}
	if err := makeOwn(p.Data, data, p.UID); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := makeOwn(p.Runtime, runtime, p.UID); err != nil {
		return fmt.Errorf("make the runtime directory: %w", err)
	}
	return nil
}

// makeOwn makes one directory and checks that it is one nobody else can put
// things into. A directory in /tmp may have been made by somebody else first,
// as a trap: so look at what is there without following a symbolic link.
func makeOwn(dir string, mode fs.FileMode, uid int) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	return checkOwn(dir, info, uid)
}

// checkOwn says why a directory is not the user's alone to write.
func checkOwn(dir string, info fs.FileInfo, uid int) error {
	if info.Mode()&fs.ModeSymlink != 0 {
		return checkTarget(dir, uid)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != uid {
		return fmt.Errorf("%s belongs to the user with UID %d, not to %d (set %s or %s to a directory of your own)",
			dir, owner, uid, EnvData, EnvRuntime)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("%s can be written by everybody (chmod o-w %[1]s)", dir)
	}
	return nil
}

// checkTarget follows a symbolic link that the user made: moving the data
// directory to a larger disk is usual.
func checkTarget(link string, uid int) error {
	own, err := os.Lstat(link)
	if err != nil {
		return err
	}
	if owner := own.Sys().(*syscall.Stat_t).Uid; int(owner) != uid && owner != 0 {
		return fmt.Errorf("%s is a symbolic link made by the user with UID %d", link, owner)
	}
	info, err := os.Stat(link)
	if err != nil {
		return err
	}
	return checkOwn(link, info, uid)
}
