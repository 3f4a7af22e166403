package daemon

import (
	"context"
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
	listener, err := (&net.ListenConfig{Control: ownAlone}).Listen(context.Background(), "unix", path)
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

// ownAlone keeps a socket from being open to others for even a moment: Linux gives the file that is made for it the mode that
// the socket has. The umask would do that, too, but it is that of all threads, and machines may be starting.
func ownAlone(_, _ string, socket syscall.RawConn) error {
	var failed error
	err := socket.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
	return errors.Join(err, failed)
}
