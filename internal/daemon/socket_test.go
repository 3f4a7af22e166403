package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestASocketIsMadeBesideOthersWork makes sockets while other goroutines make directories, as machines that start do: the
// sockets are open to their user alone, the directories have the mode that was asked for.
func TestASocketIsMadeBesideOthersWork(t *testing.T) {
	const rounds = 300
	dir := t.TempDir()
	var group errgroup.Group
	group.Go(func() error {
		for i := range rounds {
			path := filepath.Join(dir, "socket"+strconv.Itoa(i))
			listener, err := makeSocket(path, -1)
			if err != nil {
				return err
			}
			if err := errors.Join(hasMode(path, fs.ModeSocket|0o600), listener.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	for worker := range 2 {
		group.Go(func() error {
			for i := range rounds * 10 {
				path := filepath.Join(dir, strconv.Itoa(worker)+"."+strconv.Itoa(i))
				if err := errors.Join(os.Mkdir(path, 0o700), hasMode(path, fs.ModeDir|0o700)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func hasMode(path string, want fs.FileMode) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode() != want {
		return errors.New(path + " has the mode " + info.Mode().String() + ", want " + want.String())
	}
	return nil
}
