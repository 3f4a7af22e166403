package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// The most a function and a file may have. The goal is far below: a median of ten lines, files of 80 to 300.
const (
	maxFunctionLines = 100
	maxFileLines     = 700
)

// emptyNames say nothing about what a package holds, so that in the end it holds everything.
var emptyNames = []string{"base", "common", "helper", "helpers", "lib", "misc", "shared", "util", "utils"}

// files lists all files, program those that are no tests.
func (t *tree) files() []*file {
	var list []*file
	for _, p := range t.packages {
		list = append(list, p.files...)
	}
	return list
}

func (t *tree) program() []*file {
	return slices.DeleteFunc(t.files(), func(f *file) bool { return f.test })
}

// checkPackageNames finds packages with a name that says nothing.
func checkPackageNames(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		f := p.files[0]
		for _, name := range []string{path.Base(p.path), strings.TrimSuffix(f.syntax.Name.Name, "_test")} {
			if slices.Contains(emptyNames, name) {
				found = append(found, finding{
					pos:     t.positions.Position(f.syntax.Name.Pos()),
					rule:    "packages are named after what they hold",
					what:    p.path + " is named " + name,
					because: "a name that fits everything attracts everything, until all depends on it",
					instead: "name it after its one duty, or move each part to where it is used",
				})
				break
			}
		}
	}
	return found
}

// checkSizes finds files and functions that have grown too long. Functions in tests may be long, for a table of cases is;
// generated files may be anything.
func checkSizes(t *tree) []finding {
	var found []finding
	for _, f := range t.files() {
		if ast.IsGenerated(f.syntax) {
			continue
		}
		if f.lines > maxFileLines {
			found = append(found, finding{
				pos:     t.positions.Position(f.syntax.Package),
				rule:    fmt.Sprintf("no file over %d lines", maxFileLines),
				what:    fmt.Sprintf("%s has %d lines", f.name, f.lines),
				because: "a reader looks for the part of a thing by the names of files",
				instead: "split it into the parts of the thing, a file each; if they do not want to part, it may be two packages",
			})
		}
		if !f.test {
			found = append(found, t.longFunctions(f)...)
		}
	}
	return found
}

func (t *tree) longFunctions(f *file) []finding {
	var found []finding
	for _, declaration := range f.syntax.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		begin, end := t.positions.Position(function.Pos()), t.positions.Position(function.End())
		if lines := end.Line - begin.Line + 1; lines > maxFunctionLines {
			found = append(found, finding{
				pos:     begin,
				rule:    fmt.Sprintf("no function over %d lines", maxFunctionLines),
				what:    fmt.Sprintf("%s has %d lines", function.Name.Name, lines),
				because: "what does not fit on a screen is not checked by reading it",
				instead: "give its steps names: a function each, or rows of a table",
			})
		}
	}
	return found
}

// checkInit finds init functions.
func checkInit(t *tree) []finding {
	var found []finding
	for _, f := range t.files() {
		for _, declaration := range f.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv != nil || function.Name.Name != "init" {
				continue
			}
			found = append(found, finding{
				pos:     t.positions.Position(function.Pos()),
				rule:    "no init functions",
				what:    f.name + " has one",
				because: "what happens because a package was imported can be neither seen, nor ordered, nor tested",
				instead: "make it a value, or a function that main or a constructor calls",
			})
		}
	}
	return found
}
