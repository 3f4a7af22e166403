package disk

import (
	"context"
	"fmt"
)

// Severity is how bad a finding is.
type Severity int

// Severities, the mildest first.
const (
	Note   Severity = iota // unusual, and harmless
	Leak                   // space that nothing uses; no data is in danger
	Damage                 // the image contradicts itself: data is lost or may be
)

// String is the severity in a word.
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Leak:
		return "leak"
	case Damage:
		return "damage"
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// MarshalText is the severity in a word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that a check found.
type Finding struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"` // "" is the file that the image was opened by
	Offset   int64    `json:"offset"`         // where in the file; -1 if no place
	Reason   string   `json:"reason"`
	Remedy   string   `json:"remedy,omitempty"` // what Repair would write; "" if it cannot help
}

// Report is what a check found.
type Report struct {
	Blocks    int64     `json:"blocks"`    // blocks of the disk, by the format's unit
	Allocated int64     `json:"allocated"` // of these, blocks that the image holds
	Leaked    int64     `json:"leaked"`    // bytes of files that nothing uses
	Findings  []Finding `json:"findings"`
	More      int       `json:"more,omitempty"` // findings beyond the first MaxFindings
}

// MaxFindings is how many findings a report lists; the rest is counted.
const MaxFindings = 1000

// Add puts a finding into the report.
func (r *Report) Add(f Finding) {
	if len(r.Findings) >= MaxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

// Worst is the severity of the worst finding, and whether there is any.
func (r Report) Worst() (Severity, bool) {
	worst := Note
	for _, f := range r.Findings {
		worst = max(worst, f.Severity)
	}
	return worst, len(r.Findings) > 0
}

// Check looks through an image. Of one that cannot be looked through it
// gives errors.ErrUnsupported.
func Check(ctx context.Context, img Image) (Report, error) {
	if c, ok := img.(Checker); ok {
		return c.Check(ctx)
	}
	return Report{}, Unsupported(Describe(img).Format, "this format has nothing that could be checked")
}

// Repair mends what Check found, where it can be.
func Repair(ctx context.Context, img Image) (Report, error) {
	if r, ok := img.(Repairer); ok {
		return r.Repair(ctx)
	}
	return Report{}, Unsupported(Describe(img).Format, "images of this format cannot be repaired")
}
