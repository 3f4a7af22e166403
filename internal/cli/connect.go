package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/paths"
)

// connect returns a client of the user's daemon, which it starts if there is
// none, unless --no-start or a --socket says that this is not wanted.
func (a *app) connect(ctx context.Context) (*client.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	p, err := a.paths()
	if err != nil {
		return nil, err
	}
	if !a.noStart && a.socket == "" && a.hooks.Daemon != nil && !listens(p) {
		if err := a.launch(ctx, p); err != nil {
			return nil, failed("start", "the daemon", err)
		}
	}
	a.client = client.New(p.Socket, client.Options{UserAgent: "panal/" + a.hooks.Version, Lost: a.lost})
	return a.client, nil
}

// lost says why nothing happens for a while.
func (a *app) lost(patience time.Duration) {
	fmt.Fprintf(a.err, "panal: the daemon cannot be reached; it is waited for, %s at most\n", patience)
}

// listens reports whether somebody answers on the socket. Errors other than
// that nobody does are left to the request that follows, which explains them.
func listens(p paths.Paths) bool {
	conn, err := net.DialTimeout("unix", p.Socket, time.Minute)
	if err == nil {
		conn.Close()
		return true
	}
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED)
}

// absolute is a path that means the same to the daemon, whose working directory
// is another.
func absolute(path string) (string, error) {
	if path == "" {
		return "", usageError{"a file's name is empty"}
	}
	return filepath.Abs(path)
}
