// Package problem makes the errors that Panal's services answer with, and turns
// any error into an api.Problem. Every kind has its title and its HTTP status
// here and nowhere else.
package problem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/state"
)

type class struct {
	status int
	title  string
}

var classes = map[api.Kind]class{
	api.KindInvalid:     {422, "The request is not valid"},
	api.KindNotFound:    {404, "There is no such object"},
	api.KindAmbiguous:   {409, "The name fits several objects"},
	api.KindExists:      {409, "It exists already"},
	api.KindConflict:    {409, "The object has changed since it was read"},
	api.KindWrongState:  {409, "Not possible in this state"},
	api.KindBusy:        {409, "Something else is at work on it"},
	api.KindEdited:      {409, "The machine's folder was changed by hand"},
	api.KindUnreadable:  {422, "A file cannot be read"},
	api.KindUnsupported: {422, "This host cannot do it"},
	api.KindMissing:     {422, "A program is not installed"},
	api.KindNoSpace:     {507, "The disk is full"},
	api.KindGone:        {410, "The events are no longer kept"},
	api.KindRefused:     {403, "Not allowed"},
	api.KindTooLarge:    {413, "The request is too large"},
	api.KindCancelled:   {409, "It was cancelled"},
	api.KindLocked:      {423, "A disk is locked"},
	api.KindTimeout:     {504, "It took too long"},
	api.KindUnavailable: {503, "The daemon cannot answer now"},
	api.KindInternal:    {500, "A defect of Panal"},
}

// New makes a problem of a kind. Detail says what was attempted, on what, and
// why it failed; help says what to do, and may be empty.
func New(kind api.Kind, help, detail string, args ...any) *api.Problem {
	p := &api.Problem{Kind: kind, Help: help, Detail: fmt.Sprintf(detail, args...)}
	return complete(p)
}

// Invalid makes a problem that lists everything wrong with a request.
func Invalid(errs []api.FieldError, detail string, args ...any) *api.Problem {
	p := New(api.KindInvalid, "", detail, args...)
	p.Errors = errs
	return p
}

// Status is the HTTP status of a kind.
func Status(kind api.Kind) int { return classes[kind].status }

// KindOf is the kind that fits an HTTP status best, for errors that do not
// come from Panal's own code.
func KindOf(status int) api.Kind {
	switch {
	case status == 404 || status == 405:
		return api.KindNotFound
	case status == 413:
		return api.KindTooLarge
	case status == 403 || status == 401:
		return api.KindRefused
	case status == 503:
		return api.KindUnavailable
	case status >= 500:
		return api.KindInternal
	default:
		return api.KindInvalid
	}
}

// Kinder is an error that knows its kind and what would help. The packages
// that decide what is wrong (machine, state, media …) implement it so that
// they need not know of HTTP.
type Kinder interface {
	error
	// ProblemKind is the kind of the problem.
	ProblemKind() api.Kind
	// ProblemHelp says what to do about it; empty for nothing to say.
	ProblemHelp() string
}

// Of turns any error into a problem: one that is in its chain already is taken
// as it is but with the whole chain's text, a [Kinder] by its word, images that
// are damaged and the system's own errors by their meaning, and the rest are defects.
func Of(err error) *api.Problem {
	var p *api.Problem
	var kinder Kinder
	var bad *disk.FormatError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return ofChain(err, p)
	case errors.As(err, &kinder):
		return New(kinder.ProblemKind(), kinder.ProblemHelp(), "%s", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, state.ErrNoSpace):
		return New(api.KindNoSpace, "free some space and try again", "%s", err)
	case errors.Is(err, syscall.EBUSY):
		// Such as a disk of the host of which a part is a running machine's already.
		return New(api.KindBusy, "end what uses it, or what uses a part of it (`lsof` and `lsblk` name it)", "%s", err)
	case errors.As(err, &bad):
		return New(api.KindUnreadable, "`panal disk check` may say more of the image", "%s", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return New(api.KindUnreadable, "check the permissions", "%s", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EIO):
		return New(api.KindUnreadable, "", "%s", err)
	case errors.Is(err, context.DeadlineExceeded):
		return New(api.KindTimeout, "", "%s", err)
	case errors.Is(err, context.Canceled):
		return New(api.KindCancelled, "", "%s", err)
	}
	if kind, known := ofStore(err); known {
		return New(kind, "", "%s", err)
	}
	return New(api.KindInternal, "please report this", "%s", err)
}

// ofChain is a problem with the text of the errors around it. It is a copy:
// several requests may have been given the same error.
func ofChain(err error, found *api.Problem) *api.Problem {
	p := *found
	if err != error(found) {
		p.Detail = strings.Replace(err.Error(), found.Error(), found.Detail, 1) // Errors and Help are told by themselves
	}
	return complete(&p)
}

// ofStore is the kind of an error of the store.
func ofStore(err error) (api.Kind, bool) {
	switch {
	case errors.Is(err, state.ErrNotFound):
		return api.KindNotFound, true
	case errors.Is(err, state.ErrExists):
		return api.KindExists, true
	case errors.Is(err, state.ErrConflict):
		return api.KindConflict, true
	case errors.Is(err, state.ErrCompacted), errors.Is(err, state.ErrFuture):
		return api.KindGone, true
	case errors.Is(err, state.ErrClosed):
		return api.KindUnavailable, true
	case errors.Is(err, state.ErrInvalid):
		return api.KindInvalid, true
	}
	return "", false
}

// maxDetail bounds, in bytes, what a problem says.
const maxDetail = 4 << 10

func complete(p *api.Problem) *api.Problem {
	c := classes[p.Kind]
	p.Type = "urn:panal:problem:" + string(p.Kind)
	p.Title, p.Status = c.title, c.status
	if len(p.Detail) > maxDetail { // a name that a stranger chose can have any length
		p.Detail = strings.ToValidUTF8(p.Detail[:maxDetail], "") + "…"
	}
	if len(p.Help) > maxDetail {
		p.Help = strings.ToValidUTF8(p.Help[:maxDetail], "") + "…"
	}
	return p
}
