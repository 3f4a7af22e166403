package api

import "strings"

// Kind is the stable name of what went wrong, for programs.
type Kind string

// The kinds, each with its HTTP status.
const (
	KindInvalid     Kind = "invalid"         // 422: the request is wrong; Errors says where
	KindNotFound    Kind = "not-found"       // 404: no such object
	KindAmbiguous   Kind = "ambiguous"       // 409: a prefix fits several objects
	KindExists      Kind = "exists"          // 409: a name, UUID, port or file is taken
	KindConflict    Kind = "conflict"        // 409: the object changed since the revision that was seen
	KindWrongState  Kind = "wrong-state"     // 409: not possible in the machine's state
	KindBusy        Kind = "busy"            // 409: a task or a process is at work on it
	KindEdited      Kind = "edited"          // 409: machine.json was changed by hand
	KindUnreadable  Kind = "unreadable"      // 422: a file cannot be read, or is not what it should be
	KindUnsupported Kind = "unsupported"     // 422: right, but this host cannot do it
	KindMissing     Kind = "missing-program" // 422: a program or firmware is not installed
	KindNoSpace     Kind = "no-space"        // 507: the disk is full
	KindGone        Kind = "gone"            // 410: the events asked for are no longer kept; list again
	KindRefused     Kind = "refused"         // 403: not allowed
	KindTooLarge    Kind = "too-large"       // 413: the request's body is too large
	KindCancelled   Kind = "cancelled"       // 409: the task was cancelled
	KindLocked      Kind = "locked"          // 423: a disk is encrypted, and nobody gave its passphrase
	KindTimeout     Kind = "timeout"         // 504: what was waited for did not happen in time
	KindUnavailable Kind = "unavailable"     // 503: the daemon is starting, stopping, or cannot be reached
	KindInternal    Kind = "internal"        // 500: a defect of Panal
)

// Problem is an error as RFC 9457 describes it, with a stable Kind.
type Problem struct {
	Type   string       `json:"type,omitempty" doc:"URI of the kind: urn:panal:problem:KIND"`
	Title  string       `json:"title,omitempty"`
	Status int          `json:"status,omitempty"`
	Detail string       `json:"detail,omitempty" doc:"what was attempted, on what, and why it failed"`
	Help   string       `json:"help,omitempty" doc:"what to do about it"`
	Kind   Kind         `json:"kind"`
	Errors []FieldError `json:"errors,omitempty" doc:"everything that is wrong with the request"`
	// Licences are those that have to be agreed to first.
	Licences []Licence `json:"licences,omitempty" doc:"licences that have to be agreed to first"`
}

// FieldError is one thing that is wrong with a request.
type FieldError struct {
	Field   string `json:"field" doc:"path of the field, such as drives[1].controller"`
	Message string `json:"message"`
}

// Error is the problem in one line: what failed, why, and what to do.
func (p *Problem) Error() string {
	var line strings.Builder
	line.WriteString(p.Detail)
	for i, e := range p.Errors {
		line.WriteString(map[bool]string{true: ": ", false: "; "}[i == 0])
		if e.Field != "" {
			line.WriteString(e.Field + ": ")
		}
		line.WriteString(e.Message)
	}
	if p.Help != "" {
		line.WriteString(" (" + p.Help + ")")
	}
	return line.String()
}
