package archtest

import (
	"fmt"
	"go/token"
)

// finding is one place where the sources are not as they should be.
type finding struct {
	pos     token.Position
	rule    string // what is broken
	what    string // by what
	because string // why the rule is there
	instead string // what to do
}

// String is several lines, to be read by whoever broke the rule.
func (f finding) String() string {
	return fmt.Sprintf("%s: %s\n\trule:    %s\n\tbecause: %s\n\tinstead: %s", f.pos, f.what, f.rule, f.because, f.instead)
}

// check is one thing that is looked at in the whole of the sources.
type check struct {
	name string
	run  func(*tree) []finding
}

// checks is everything that is looked at.
var checks = []check{
	{"imports", func(t *tree) []finding { return checkImports(t, rules()) }},
	{"package comments", checkPackageComments},
	{"interface comments", checkInterfaceComments},
	{"package names", checkPackageNames},
	{"sizes", checkSizes},
	{"sleeps", checkSleeps},
	{"init", checkInit},
}
