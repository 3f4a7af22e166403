package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/panalvm/panal/api"
)

// The bounds of what is sent and read, so that neither side can be made to
// hold more than it can afford.
const (
	maxRequest = 1 << 20  // a spec is a few KiB
	maxAnswer  = 64 << 20 // a list of 10,000 machines is about 4 MiB
	maxProblem = 1 << 20
)

// request is one call of an operation, before it is sent.
type request struct {
	operation api.Operation
	reference string     // the machine or the task, not escaped
	part      string     // what of it, where the operation says so, not escaped
	query     url.Values // may be nil
	body      any        // sent as JSON; nil for none
	accept    string
}

// call makes a request and decodes the answer.
func call[T any](ctx context.Context, c *Client, r request) (T, error) {
	var answer T
	body, err := c.open(ctx, r)
	if err != nil {
		return answer, err
	}
	defer body.Close()
	data, err := readAll(body, maxAnswer)
	if err != nil {
		return answer, c.broken(ctx, r.operation, err)
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, c.broken(ctx, r.operation, fmt.Errorf("the answer is not what the interface promises: %w", err))
	}
	return answer, nil
}

// open makes a request and returns the body of a successful answer, for the
// caller to close.
func (c *Client) open(ctx context.Context, r request) (io.ReadCloser, error) {
	response, err := c.answer(ctx, r)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// answer makes a request and returns a successful answer, whose body is for the
// caller to close.
func (c *Client) answer(ctx context.Context, r request) (*http.Response, error) {
	httpRequest, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(httpRequest)
	if err != nil {
		return nil, c.unreachable(ctx, r.operation, err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		defer response.Body.Close()
		return nil, readProblem(r.operation, response)
	}
	return response, nil
}

// build makes the HTTP request.
func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	address, err := target(r)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, &api.Problem{Kind: api.KindInvalid, Detail: fmt.Sprintf("%s: write the request as JSON: %v", r.operation.ID, err)}
		}
		if len(data) > maxRequest {
			return nil, &api.Problem{
				Kind: api.KindTooLarge, Status: http.StatusRequestEntityTooLarge,
				Detail: fmt.Sprintf("%s: the request has %d bytes, and at most %d are accepted", r.operation.ID, len(data), maxRequest),
			}
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, r.operation.Method, address, body)
	if err != nil {
		return nil, &api.Problem{Kind: api.KindInvalid, Detail: fmt.Sprintf("%s: make the request: %v", r.operation.ID, err)}
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.accept == "" {
		r.accept = "application/json"
	}
	request.Header.Set("Accept", r.accept)
	request.Header.Set("User-Agent", c.options.UserAgent)
	return request, nil
}

// target is the request's URL. A reference of dots alone would be taken for a
// step in the path, and an empty one would leave the path another one.
func target(r request) (string, error) {
	one, two := r.operation.For("x"), r.operation.For("x", "x")
	if one != r.operation.Path && namesNothing(r.reference) {
		return "", nothing(r.reference)
	}
	if two != one && namesNothing(r.part) {
		return "", nothing(r.part)
	}
	address := "http://panal" + r.operation.For(url.PathEscape(r.reference), url.PathEscape(r.part))
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	return address, nil
}

func namesNothing(reference string) bool {
	return reference == "" || reference == "." || reference == ".."
}

func nothing(reference string) error {
	return &api.Problem{
		Kind: api.KindNotFound, Status: http.StatusNotFound,
		Detail: fmt.Sprintf("%q names nothing", reference),
	}
}

// readAll reads everything, but no more than the bound.
func readAll(from io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("the answer has more than %d bytes", most)
	}
	return data, nil
}
