package runner

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/internal/qemu"
)

// open opens one of the files that QEMU is started with.
func open(wanted qemu.File) (*os.File, error) {
	switch wanted.Access {
	case qemu.Read:
		return os.Open(wanted.Path)
	case qemu.ReadWrite:
		return os.OpenFile(wanted.Path, os.O_RDWR, 0)
	case qemu.Append:
		return os.OpenFile(wanted.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	case qemu.Listen:
		return listen(wanted.Path)
	case qemu.Copy:
		return inMemory(wanted.Path)
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

// inMemory copies a file into an anonymous one that any user may open again by
// its descriptor.
func inMemory(path string) (*os.File, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
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
