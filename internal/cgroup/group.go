package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Group is the control group of one process.
type Group struct {
	tree *Tree
	dirs map[Controller]place
}

// file is the path of one of a controller's files, by its name in the version that the host has; an empty name is something that
// this version does not have.
func (g *Group) file(c Controller, v1, v2 string) (path string, version int, err error) {
	at, ok := g.dirs[c]
	if !ok {
		return "", 0, g.tree.lacks[c]
	}
	name := v2
	if at.version == 1 {
		name = v1
	}
	if name == "" {
		return "", at.version, &LackingError{c, fmt.Sprintf("it is of version %d here, which does not have that (version 2: %s)", at.version, v2)}
	}
	return filepath.Join(at.dir, name), at.version, nil
}

// set writes a value into one of a controller's files. A file that the kernel was built without is a LackingError.
func (g *Group) set(c Controller, v1, v2, value string) error {
	path, _, err := g.file(c, v1, v2)
	if err != nil {
		return err
	}
	return wrote(c, path, write(path, value))
}

// wrote gives an error of writing a file its meaning.
func wrote(c Controller, path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &LackingError{c, "the kernel has no " + filepath.Base(path)}
	}
	if err != nil {
		return fmt.Errorf("set %s: %w", path, err)
	}
	return nil
}

// get reads one of a controller's files.
func (g *Group) get(c Controller, v1, v2 string) (string, error) {
	path, _, err := g.file(c, v1, v2)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &LackingError{c, "the kernel has no " + filepath.Base(path)}
	}
	return strings.TrimSpace(string(text)), err
}

// number reads a file that holds one number; "max" is -1.
func (g *Group) number(c Controller, v1, v2 string) (int64, error) {
	text, err := g.get(c, v1, v2)
	if err != nil {
		return 0, err
	}
	if text == "max" {
		return -1, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// table reads a file of names and numbers, one pair a line.
func table(text string) map[string]int64 {
	found := map[string]int64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			found[name] = n
		}
	}
	return found
}
