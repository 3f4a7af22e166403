package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tree is the parsed sources of one module.
type tree struct {
	module    string // the module's path, from go.mod
	positions *token.FileSet
	packages  []*pkg // in the order of their paths
}

// pkg is what one directory holds, its tests included.
type pkg struct {
	path  string // as patterns write it: "./internal/qmp", or "." for the module's root
	files []*file
}

// file is one parsed source file.
type file struct {
	name   string // slash-separated, from the module's root
	test   bool   // its name ends in _test.go
	lines  int
	syntax *ast.File
}

// load parses every Go file of a module but for testdata, hidden folders, build output and modules within the module.
func load(sources fs.FS) (*tree, error) {
	module, err := moduleName(sources)
	if err != nil {
		return nil, err
	}
	t := &tree{module: module, positions: token.NewFileSet()}
	byPath := map[string]*pkg{}
	err = fs.WalkDir(sources, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(sources, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		f, err := t.parse(sources, name)
		if err != nil {
			return err
		}
		t.add(byPath, f)
		return nil
	})
	slices.SortFunc(t.packages, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return t, err
}

// enter returns fs.SkipDir for directories that hold no sources of this module.
func enter(sources fs.FS, name string) error {
	if name == "." {
		return nil
	}
	base := path.Base(name)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if slices.Contains([]string{"testdata", "node_modules", "vendor"}, base) || name == "build" || name == "bin" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(sources, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (t *tree) parse(sources fs.FS, name string) (*file, error) {
	text, err := fs.ReadFile(sources, name)
	if err != nil {
		return nil, err
	}
	syntax, err := parser.ParseFile(t.positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse sources: %w", err)
	}
	return &file{
		name:   name,
		test:   strings.HasSuffix(name, "_test.go"),
		lines:  bytes.Count(text, []byte("\n")),
		syntax: syntax,
	}, nil
}

func (t *tree) add(byPath map[string]*pkg, f *file) {
	dir := ownPath(path.Dir(f.name))
	p := byPath[dir]
	if p == nil {
		p = &pkg{path: dir}
		byPath[dir] = p
		t.packages = append(t.packages, p)
	}
	p.files = append(p.files, f)
}

// ownPath writes a directory of the module as patterns do.
func ownPath(dir string) string {
	if dir == "." {
		return "."
	}
	return "./" + dir
}

// moduleName reads the module's path out of go.mod.
func moduleName(sources fs.FS) (string, error) {
	text, err := fs.ReadFile(sources, "go.mod")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("go.mod names no module")
}

// imported is one import as patterns write it: the module's own packages begin with "./".
type imported struct {
	path string
	pos  token.Pos
}

// imports lists what a file imports.
func (t *tree) imports(f *file) []imported {
	var list []imported
	for _, spec := range f.syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser takes only well-formed strings
		}
		if own, ok := strings.CutPrefix(name, t.module+"/"); ok {
			name = ownPath(own)
		} else if name == t.module {
			name = "."
		}
		list = append(list, imported{path: name, pos: spec.Pos()})
	}
	return list
}
