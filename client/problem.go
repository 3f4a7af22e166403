package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"

	"github.com/panalvm/panal/api"
)

// KindOf is the kind of an error of this package, or "" for nil and for errors
// that are no [api.Problem].
func KindOf(err error) api.Kind {
	if problem, ok := errors.AsType[*api.Problem](err); ok {
		return problem.Kind
	}
	return ""
}

// readProblem is the problem in an answer that reports a failure. An answer
// that holds none, because something else listens on the socket or the daemon
// is broken, is made one.
func readProblem(operation api.Operation, response *http.Response) *api.Problem {
	data, err := readAll(response.Body, maxProblem)
	var problem api.Problem
	if err == nil && json.Unmarshal(data, &problem) == nil && (problem.Kind != "" || problem.Detail != "") {
		if problem.Kind == "" {
			problem.Kind = kindOfStatus(response.StatusCode)
		}
		return &problem
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	if text == "" {
		text = http.StatusText(response.StatusCode)
	}
	const readable = 200
	if len(text) > readable {
		text = strings.ToValidUTF8(text[:readable], "") + "…"
	}
	return &api.Problem{
		Kind:   kindOfStatus(response.StatusCode),
		Status: response.StatusCode,
		Detail: fmt.Sprintf("%s: the daemon answered with HTTP status %d: %s", operation.ID, response.StatusCode, text),
	}
}

// kindOfStatus is the kind that fits an HTTP status best.
func kindOfStatus(status int) api.Kind {
	kinds := map[int]api.Kind{
		http.StatusBadRequest:            api.KindInvalid,
		http.StatusForbidden:             api.KindRefused,
		http.StatusNotFound:              api.KindNotFound,
		http.StatusConflict:              api.KindConflict,
		http.StatusGone:                  api.KindGone,
		http.StatusRequestEntityTooLarge: api.KindTooLarge,
		http.StatusUnprocessableEntity:   api.KindInvalid,
		http.StatusServiceUnavailable:    api.KindUnavailable,
		http.StatusInsufficientStorage:   api.KindNoSpace,
	}
	if kind, known := kinds[status]; known {
		return kind
	}
	return api.KindInternal
}

// unreachable is the error of a request that got no answer.
func (c *Client) unreachable(ctx context.Context, operation api.Operation, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if problem, ok := errors.AsType[*api.Problem](err); ok {
		return problem
	}
	problem := &api.Problem{Kind: api.KindUnavailable, Status: http.StatusServiceUnavailable}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		problem.Detail = "no daemon listens on " + c.socket
		problem.Help = "start one with: panal daemon"
	case errors.Is(err, fs.ErrPermission):
		problem.Kind, problem.Status = api.KindRefused, http.StatusForbidden
		problem.Detail = fmt.Sprintf("connect to the daemon at %s: permission denied", c.socket)
		problem.Help = "the system's daemon answers root and members of the group panal"
	default:
		problem.Detail = fmt.Sprintf("%s: ask the daemon at %s: %v", operation.ID, c.socket, err)
		problem.Help = "see whether it still runs, and its log"
	}
	return problem
}

// broken is the error of an answer that ended too early or makes no sense.
func (c *Client) broken(ctx context.Context, operation api.Operation, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &api.Problem{
		Kind:   api.KindUnavailable,
		Status: http.StatusServiceUnavailable,
		Detail: fmt.Sprintf("%s: read the answer of the daemon at %s: %v", operation.ID, c.socket, err),
	}
}
