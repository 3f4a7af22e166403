package ovf

import "fmt"

// Severity is how bad a finding is.
type Severity int

// Severities.
const (
	Note    Severity = iota // worth knowing, also what is against the standard and changes nothing
	Warning                 // against the standard, and understood all the same
	Error                   // against the standard, and perhaps understood wrongly
)

// String is the word for it.
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return fmt.Sprintf("severity %d", int(s))
}

// Finding is something that is not right in a descriptor.
type Finding struct {
	Severity Severity
	Where    string // "VirtualSystem web/VirtualHardwareSection/Item 5"; "" is the whole
	Text     string
}

// String is one line.
func (f Finding) String() string {
	if f.Where == "" {
		return fmt.Sprintf("%s: %s", f.Severity, f.Text)
	}
	return fmt.Sprintf("%s: %s: %s", f.Severity, f.Where, f.Text)
}

// maxFindings is how many are kept; a hostile document has any number.
const maxFindings = 1000
