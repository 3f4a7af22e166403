package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/qemu"
)

// open opens one of the files that QEMU is started with; user is whom QEMU runs
// as, nil for the daemon's own.
func open(wanted qemu.File, user *process.Identity) (*os.File, error) {
	switch wanted.Access {
	case qemu.Read:
		return os.Open(wanted.Path)
	case qemu.ReadWrite:
		return os.OpenFile(wanted.Path, os.O_RDWR, 0)
	case qemu.Claim:
		return os.OpenFile(wanted.Path, os.O_RDWR|os.O_EXCL, 0)
	case qemu.Append:
		return os.OpenFile(wanted.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	case qemu.Listen:
		return listen(wanted.Path)
	case qemu.Secret:
		return secret(wanted.Path)
	case qemu.Inline:
		return anonymous(wanted.Path, wanted.Content)
	case qemu.Copy:
		return openable(wanted.Path, user)
	}
	return nil, fmt.Errorf("open %s: there is no access %q", wanted.Path, wanted.Access)
}

// listen makes a listening Unix socket and returns its descriptor. The
// directory was made for this run, so nothing is at the path.
func listen(path string) (*os.File, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	return file, errors.Join(err, listener.Close())
}

// openable opens a file so that QEMU's user may open it again by its
// descriptor. By that way only the file's own mode counts, not whether the user
// comes through the directories. Copying is left for files that are not
// everybody's: of a kernel it takes tens of milliseconds, and as much memory as
// the kernel has bytes for as long as QEMU runs.
func openable(path string, user *process.Identity) (*os.File, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := source.Stat()
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	const everybodyReads = 0o004
	if user == nil || info.Mode().Perm()&everybodyReads != 0 {
		return source, nil
	}
	copied, err := inMemory(path, source)
	return copied, errors.Join(err, source.Close())
}

// maxSecret bounds a password.
const maxSecret = 4096

// secret puts the password of a file into an anonymous one.
func secret(path string) (*os.File, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	text, err := io.ReadAll(io.LimitReader(source, maxSecret+1))
	if err != nil {
		return nil, err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || len(text) > maxSecret {
		return nil, fmt.Errorf("%s holds no password of at most %d bytes", path, maxSecret)
	}
	return anonymous(path, text)
}

// anonymous is a file of a content that is nowhere else; name is for messages only.
func anonymous(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("secret", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	target := os.NewFile(uintptr(fd), name)
	if _, err := target.WriteAt(content, 0); err != nil {
		return nil, errors.Join(err, target.Close())
	}
	return target, nil
}

// inMemory copies a file into an anonymous one, which any user may open.
func inMemory(path string, source *os.File) (*os.File, error) {
	fd, err := unix.MemfdCreate(filepath.Base(path), unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("copy %s into memory: %w", path, err)
	}
	target := os.NewFile(uintptr(fd), path)
	if _, err := io.Copy(target, source); err != nil {
		return nil, errors.Join(fmt.Errorf("copy %s into memory: %w", path, err), target.Close())
	}
	return target, nil
}
