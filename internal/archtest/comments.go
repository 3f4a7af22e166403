package archtest

import (
	"go/ast"
	"strings"
)

// checkPackageComments finds packages of which no file has a package comment. A directory with nothing but tests has it
// in a test.
func checkPackageComments(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		if !hasPackageComment(p) {
			found = append(found, finding{
				pos:     t.positions.Position(p.files[0].syntax.Package),
				rule:    "a comment for every package",
				what:    p.path + " has no package comment",
				because: "it is the first thing a reader asks of a package: what is it for, and what are its words",
				instead: "write \"// Package name …\" above a package clause, in doc.go if it is long",
			})
		}
	}
	return found
}

func hasPackageComment(p *pkg) bool {
	onlyTests := true
	for _, f := range p.files {
		onlyTests = onlyTests && f.test
	}
	for _, f := range p.files {
		if (onlyTests || !f.test) && strings.TrimSpace(f.syntax.Doc.Text()) != "" {
			return true
		}
	}
	return false
}

// checkInterfaceComments finds methods of exported interfaces that have no comment.
func checkInterfaceComments(t *tree) []finding {
	var found []finding
	for _, f := range t.program() {
		for _, spec := range typeSpecs(f.syntax) {
			methods, ok := spec.Type.(*ast.InterfaceType)
			if !ok || !spec.Name.IsExported() {
				continue
			}
			for _, name := range uncommented(methods) {
				found = append(found, finding{
					pos:     t.positions.Position(name.Pos()),
					rule:    "a comment for every method of an exported interface",
					what:    spec.Name.Name + "." + name.Name + " has no comment",
					because: "the comment is the contract that every implementation, and the suite for them, is held to",
					instead: "say above the method what it does, in which units and ranges, and which error comes when",
				})
			}
		}
	}
	return found
}

// uncommented lists the methods without a comment above them; embedded interfaces and type sets have none to have.
func uncommented(methods *ast.InterfaceType) []*ast.Ident {
	var names []*ast.Ident
	for _, field := range methods.Methods.List {
		if strings.TrimSpace(field.Doc.Text()) == "" {
			names = append(names, field.Names...)
		}
	}
	return names
}

// typeSpecs lists the types a file declares at its top.
func typeSpecs(syntax *ast.File) []*ast.TypeSpec {
	var specs []*ast.TypeSpec
	for _, declaration := range syntax.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range group.Specs {
			if spec, ok := spec.(*ast.TypeSpec); ok {
				specs = append(specs, spec)
			}
		}
	}
	return specs
}
