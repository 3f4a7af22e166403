package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// A request can be wrong in as many places as it has bytes: the answer names
// this many of them, by paths of at most so many bytes.
const (
	maxFieldErrors = 100
	maxFieldPath   = 256
)

// failure is a problem as huma wants an error to be. Its JSON is the problem's.
type failure struct {
	*api.Problem
}

var (
	_ huma.StatusError       = failure{}
	_ huma.ContentTypeFilter = failure{}
)

// GetStatus is the HTTP status.
func (f failure) GetStatus() int { return f.Status }

// ContentType is the media type to answer with.
func (f failure) ContentType(string) string { return problemType }

// fail turns a service's error into the answer, and logs it when it is a
// defect.
func (s *server) fail(ctx context.Context, operation string, err error) failure {
	p := problem.Of(err)
	if problem.Status(p.Kind) == 0 {
		p = problem.New(api.KindInternal, "please report this", "%s (of the unknown kind %q)", p.Detail, p.Kind)
	}
	if p.Kind == api.KindInternal {
		s.logger.LogAttrs(ctx, slog.LevelError, "an operation failed for no known reason",
			append(who(ctx), slog.String("operation", operation), slog.String("error", err.Error()))...)
	}
	return failure{p}
}

// refuse answers with the problem that err is.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, operation string, err error) {
	writeProblem(w, s.fail(r.Context(), operation, err).Problem)
}

// writeProblem answers with a problem where huma has no part.
func writeProblem(w http.ResponseWriter, p *api.Problem) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("write a problem: %v", err)) // it holds strings and numbers only
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone misses it
}

// newError makes a problem of what huma finds wrong with a request. It is never
// asked about a service's errors: those are failures already.
func newError(status int, message string, errs ...error) huma.StatusError {
	if status == http.StatusInternalServerError {
		return failure{problem.New(api.KindInternal, "please report this", "%s: %v", message, errors.Join(errs...))}
	}
	kind := problem.KindOf(status)
	p := problem.New(kind, "", "%s", detail(message))
	p.Errors = fieldErrors(errs)
	if more := len(p.Errors) - maxFieldErrors; more > 0 {
		p.Errors = append(p.Errors[:maxFieldErrors], api.FieldError{Message: fmt.Sprintf("and %d more", more)})
	}
	return failure{p}
}

// detail says in our words what huma says of a whole request.
func detail(message string) string {
	switch message {
	case "validation failed":
		return "the request is not valid"
	case "request body is required":
		return "the request needs a JSON object as its body"
	}
	return message
}

func fieldErrors(errs []error) []api.FieldError {
	var fields []api.FieldError
	for _, err := range errs {
		if err == nil {
			continue
		}
		detailer, ok := err.(huma.ErrorDetailer)
		if !ok {
			fields = append(fields, api.FieldError{Message: err.Error()})
			continue
		}
		fields = append(fields, fieldError(detailer.ErrorDetail()))
	}
	slices.SortStableFunc(fields, func(a, b api.FieldError) int { return cmp.Compare(a.Field, b.Field) })
	return fields
}

// requiredBefore and requiredAfter stand around the name of a missing field.
var requiredBefore, requiredAfter, _ = strings.Cut(validation.MsgExpectedRequiredProperty, "%s")

// fieldError says in our words what huma says of one field.
func fieldError(found *huma.ErrorDetail) api.FieldError {
	field := api.FieldError{Field: fieldPath(found.Location), Message: found.Message}
	name, required := strings.CutPrefix(found.Message, requiredBefore)
	switch {
	case required:
		field.Message = "is missing"
		field.Field = fieldPath(found.Location + "." + strings.TrimSuffix(name, requiredAfter))
	case found.Message == validation.MsgUnexpectedProperty:
		field.Message = "there is no such field"
	case found.Message == "unknown query parameter":
		field.Message = "there is no such parameter"
	case found.Message == validation.MsgExpectedMatchAtLeastOneSchema:
		field.Message = `expected a size: bytes, or a string such as "512M"`
	}
	return field
}

// fieldPath is the path of a field as the services write it: without where in
// the request it was, and relative to the spec when it is one of the spec's.
func fieldPath(location string) string {
	for _, where := range []string{"body", "query", "path", "header"} {
		if rest, found := strings.CutPrefix(location, where); found && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			location = strings.TrimPrefix(rest, ".")
			break
		}
	}
	location = strings.TrimPrefix(location, "spec.")
	if len(location) > maxFieldPath {
		location = location[:maxFieldPath] + "…"
	}
	return strings.ToValidUTF8(location, "�")
}
