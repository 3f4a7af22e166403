package pool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// mark is the file in a pool's directory that says which pool it is: an ID, alone in a line.
const mark = ".panal-pool"

// Mark marks a directory as a pool, and returns its ID: the one that it has if it was one, of this daemon or another.
// One that is not there is api.KindNotFound, one that cannot be written in api.KindRefused.
func Mark(dir string) (string, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", problem.New(api.KindNotFound, "make it first", "there is no directory %s", dir)
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", problem.New(api.KindInvalid, "", "%s is no directory", dir)
	}
	if id, err := read(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	id := uuid.NewString()
	file, err := os.OpenFile(filepath.Join(dir, mark), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return "", problem.New(api.KindRefused, "let the user that the daemon runs as write there", "%s cannot be made a pool: %v", dir, err)
	}
	_, err = fmt.Fprintln(file, id)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return id, nil
}

// Check fails when a directory is not the pool with that ID, as when its file system is not mounted.
func Check(dir, id string) error {
	found, err := read(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(api.KindUnavailable, "mount its file system", "%s is not there, or is not the pool: it holds no %s", dir, mark)
	case err != nil:
		return err
	case found != id:
		return problem.New(api.KindUnavailable, "mount its file system", "%s holds another pool: its %s says %s, and not %s", dir, mark, found, id)
	}
	return nil
}

// Unmark makes a directory that was a pool like any other, if it is there.
func Unmark(dir, id string) error {
	if Check(dir, id) != nil {
		return nil
	}
	return os.Remove(filepath.Join(dir, mark))
}

func read(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, mark))
	if err != nil {
		return "", err
	}
	id, err := uuid.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return "", problem.New(api.KindInvalid, "remove it", "%s holds no ID of a pool", filepath.Join(dir, mark))
	}
	return id.String(), nil
}
