package imageserver

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/internal/process"
)

// Dir is the directory of a machine's image server.
type Dir string

// Socket is the path of the socket that images are served on.
func (d Dir) Socket() string { return filepath.Join(string(d), "s") }

func (d Dir) journal(export string) string { return filepath.Join(string(d), export+".unsynced") }

// exists tells whether the machine has, or had, an image server.
func (d Dir) exists() bool {
	_, err := os.Lstat(string(d))
	return err == nil
}

// make makes the directory, empty. A user that QEMU runs as passes through it.
func (d Dir) make(user *process.Identity) error {
	if err := d.Remove(); err != nil {
		return err
	}
	mode := os.FileMode(0o700)
	if user != nil {
		mode = 0o711
	}
	if err := os.MkdirAll(filepath.Dir(string(d)), mode); err != nil {
		return err
	}
	return os.Mkdir(string(d), mode)
}

// Remove removes the directory; one that is not there is no error.
func (d Dir) Remove() error { return os.RemoveAll(string(d)) }

// listen makes the socket, in the place of one that nobody listens on any more,
// for the user alone.
func (d Dir) listen(user *process.Identity) (*os.File, error) {
	fresh := d.Socket() + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	err = errors.Join(err, listener.Close(), os.Chmod(fresh, 0o600))
	if err == nil && user != nil {
		err = os.Chown(fresh, int(user.UID), int(user.GID))
	}
	if err == nil {
		err = os.Rename(fresh, d.Socket())
	}
	if err != nil && file != nil {
		err = errors.Join(err, file.Close())
	}
	return file, err
}

// greetWithin is how long a server that was just started may take until it
// greets clients. It looks at its images before.
const greetWithin = 30 * time.Second

// Find holds the server that listens; process.ErrGone when there is none. One
// that was just started has its socket from the daemon, and is known by it
// only when it listens itself, which it does before it greets anybody.
func (d Dir) Find(machine string) (*process.Process, error) {
	if err := d.greeted(); err != nil {
		return nil, err
	}
	conn, err := d.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return process.Find(int(peer.Pid), machine)
}

// greeted waits until the server has said the first word.
func (d Dir) greeted() error {
	conn, err := d.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(greetWithin)); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 8))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return process.ErrGone
	}
	return err
}

func (d Dir) dial() (*net.UnixConn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: d.Socket(), Net: "unix"})
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil, process.ErrGone
	}
	return conn, err
}
