package manager

import (
	"slices"
	"strings"
)

// addOnce adds a warning, unless it is there.
func addOnce(warnings []string, text string) []string {
	if slices.Contains(warnings, text) {
		return warnings
	}
	return append(warnings, text)
}

// without are the warnings but those that begin with a prefix, which tells who gave them;
// nil when none is left. The list itself stays as it is: others may read it.
func without(warnings []string, prefix string) []string {
	left := slices.DeleteFunc(slices.Clone(warnings), func(text string) bool { return strings.HasPrefix(text, prefix) })
	if len(left) == 0 {
		return nil
	}
	return left
}
