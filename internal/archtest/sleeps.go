package archtest

import (
	"go/ast"
	"strconv"
	"strings"
)

// checkSleeps finds time.Sleep in tests and in suites, which are packages whose name ends in test. Within synctest.Test it is fine: time there is not
// the clock's.
func checkSleeps(t *tree) []finding {
	var found []finding
	for _, p := range t.packages {
		for _, f := range p.files {
			if f.test || strings.HasSuffix(p.path, "test") {
				found = append(found, t.sleeps(f)...)
			}
		}
	}
	return found
}

func (t *tree) sleeps(f *file) []finding {
	var found []finding
	clock, bubble := localName(f.syntax, "time"), localName(f.syntax, "testing/synctest")
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if ok && (isSelector(call.Fun, bubble, "Test") || isSelector(call.Fun, bubble, "Run")) {
			return false
		}
		if selector, ok := node.(ast.Expr); ok && isSelector(selector, clock, "Sleep") {
			found = append(found, finding{
				pos:     t.positions.Position(node.Pos()),
				rule:    "no time.Sleep in tests",
				what:    "this test sleeps",
				because: "it is too short on a busy machine and too long on every other",
				instead: "wait for the event itself (a channel, an event stream, a line of output), or use testing/synctest",
			})
		}
		return true
	})
	return found
}

// localName is what a file calls an imported package, empty if it does not import it.
func localName(syntax *ast.File, path string) string {
	for _, spec := range syntax.Imports {
		if spec.Path.Value != strconv.Quote(path) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}

// isSelector reports whether an expression is pkg.name.
func isSelector(expression ast.Expr, pkg, name string) bool {
	selector, ok := expression.(*ast.SelectorExpr)
	if !ok || pkg == "" || selector.Sel.Name != name {
		return false
	}
	base, ok := selector.X.(*ast.Ident)
	return ok && base.Name == pkg
}
