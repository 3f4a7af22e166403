package folder

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// CopyFiles copies the files of a directory, and those of the directories in it,
// into another one, durably. Links and what is no file are left out: a folder can
// come from anywhere. A directory that is not there holds nothing, and nothing is made above the one that is copied to.
func CopyFiles(from, to string) error {
	root, err := os.OpenRoot(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		target := filepath.Join(to, name)
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if err := os.Mkdir(target, 0o700); !errors.Is(err, fs.ErrExist) {
				return err
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		return copyFile(root, name, target)
	})
}

func copyFile(root *os.Root, name, target string) error {
	in, err := root.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
