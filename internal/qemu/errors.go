package qemu

import "fmt"

// UnsupportedError says that a spec asks for something that this QEMU, or the
// firmware that is installed, cannot do.
type UnsupportedError struct {
	Field string // path of the spec's field
	What  string // what is missing
	Help  string // what to do about it; may be empty
}

// Error says what is missing and what to do.
func (e *UnsupportedError) Error() string {
	text := fmt.Sprintf("%s: %s", e.Field, e.What)
	if e.Help != "" {
		text += "; " + e.Help
	}
	return text
}

// MissingError says that a program is not installed.
type MissingError struct {
	Program string
	Package string // of Debian and its kin
}

// Error names the program and how to get it.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed; on Debian or Ubuntu, `apt install %s` installs it", e.Program, e.Package)
}
