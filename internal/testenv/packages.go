package testenv

import (
	_ "embed"
	"slices"
	"strings"
)

// packageTable is also what scripts/deps installs from, so that advice and installation cannot differ.
//
//go:embed packages.txt
var packageTable string

// aptPackage is one line of packages.txt.
type aptPackage struct {
	group    string   // the group scripts/deps installs it with
	name     string   // the package, or several with "|" between them where releases differ
	programs []string // what it brings that tests ask for
}

// parsePackages reads the table; blank lines and comments are no packages.
func parsePackages(table string) []aptPackage {
	var packages []aptPackage
	for line := range strings.Lines(table) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		packages = append(packages, aptPackage{group: fields[0], name: fields[1], programs: fields[2:]})
	}
	return packages
}

// advice says how to get a program.
func advice(program string) string {
	for _, p := range parsePackages(packageTable) {
		if slices.Contains(p.programs, program) {
			name, _, _ := strings.Cut(p.name, "|")
			return "`make deps` installs it (Debian's package " + name + ")"
		}
	}
	return "find the package that brings it, and add it to internal/testenv/packages.txt"
}
