package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// listen gives the socket to answer on: the one that systemd has made, if it
// started the daemon for it, or one made at the path.
func listen(path string, group int) (net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take the sockets from systemd: %w", err)
	}
	switch len(passed) {
	case 0:
		return makeSocket(path, group)
	case 1:
		return passed[0], nil
	}
	return nil, fmt.Errorf("systemd passed %d sockets, one is wanted", len(passed))
}

// makeSocket makes the socket at path. The store's lock makes this the only
// daemon of its data directory; a socket that somebody answers on belongs to
// another one and is left alone.
func makeSocket(path string, group int) (net.Listener, error) {
	probe, err := net.Dial("unix", path)
	switch {
	case err == nil:
		_ = probe.Close()
		return nil, fmt.Errorf("listen on %s: another daemon answers there; stop it, or choose another socket with --socket", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove a dead daemon's socket: %w", err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// It must not be open to others for even a moment.
	before := syscall.Umask(0o177)
	listener, err := net.Listen("unix", path)
	syscall.Umask(before)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if group < 0 {
		return listener, nil
	}
	if err := errors.Join(os.Chown(path, -1, group), os.Chmod(path, 0o660)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}
