package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// The parts of a request that something to be imported is sent along with.
const (
	partRequest = "request" // an ImportRequest, in JSON
	partContent = "content" // what is to be imported, to the end of the body
)

// leaveTimeout is how long a client may take to see that its content is not
// read any more.
const leaveTimeout = 10 * time.Second

func (s *server) registerImports(h huma.API) {
	machines := s.services.Machines
	streamed(h, api.PlanImportStream, reflect.TypeFor[api.ImportPlan](), s.receive(api.PlanImportStream, func(ctx context.Context, r api.ImportRequest, content io.ReadCloser) (any, error) {
		return machines.PlanImportStream(ctx, r, content)
	}))
	streamed(h, api.ImportStream, reflect.TypeFor[api.ImportResult](), s.receive(api.ImportStream, func(ctx context.Context, r api.ImportRequest, content io.ReadCloser) (any, error) {
		return machines.ImportStream(ctx, r, content)
	}))
}

// streamed registers an operation whose request has a body of any length.
func streamed(h huma.API, op api.Operation, answer reflect.Type, serve func(http.ResponseWriter, *http.Request, *none)) {
	described := operation(op)
	described.DefaultStatus = http.StatusOK
	described.Responses = responses{http.StatusOK: {description: "OK", mediaType: "application/json", object: answer}}.with(h)
	register(h, described, serve)
	// Huma reads the body of an operation that has one when it is registered.
	h.OpenAPI().Paths[op.Path].Post.RequestBody = &huma.RequestBody{
		Required:    true,
		Description: "Two parts: request, in JSON, and then content, of any length. When the connection ends before the content does, nothing is made.",
		Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{partRequest, partContent},
			Properties: map[string]*huma.Schema{
				partRequest: schemaOf(h, reflect.TypeFor[api.ImportRequest]()),
				partContent: {Type: huma.TypeString, Format: "binary"},
			},
		}}},
	}
}

// flows tells whether the body of a request flows through instead of being
// read first.
func flows(r *http.Request) bool {
	return r.URL.Path == api.ImportStream.Path || r.URL.Path == api.PlanImportStream.Path
}

// receive serves an operation on content that comes along with the request.
func (s *server) receive(op api.Operation, call func(context.Context, api.ImportRequest, io.ReadCloser) (any, error)) func(http.ResponseWriter, *http.Request, *none) {
	return func(w http.ResponseWriter, r *http.Request, _ *none) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // a refusal comes while content still does
		_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
		request, content, err := parts(r)
		var answer any
		if err == nil {
			_ = control.SetReadDeadline(time.Time{}) // what writes into a pipe may have to think first
			ctx, end := endless(r.Context())
			defer end()
			flowing := &flow{Reader: content, control: control}
			defer context.AfterFunc(ctx, func() { _ = flowing.Close() })()
			answer, err = call(ctx, request, flowing)
		}
		if err != nil {
			s.refuse(w, r, op.ID, err)
		} else {
			writeAnswer(w, answer)
		}
		_ = control.Flush()
		// Closing a connection that data still comes in on would lose the answer.
		_ = control.SetReadDeadline(time.Now().Add(leaveTimeout))
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

func writeAnswer(w http.ResponseWriter, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // it is one of ours
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(append(body, '\n')) // a client that has gone misses it
}

// parts takes the body of a request apart.
func parts(r *http.Request) (request api.ImportRequest, content io.Reader, err error) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || parameters["boundary"] == "" {
		return request, nil, problem.New(api.KindInvalid, "GET "+openAPIPath+" describes it", "the request's body has to be multipart/form-data")
	}
	body := multipart.NewReader(r.Body, parameters["boundary"])
	first, err := body.NextPart()
	if err != nil {
		return request, nil, bodyProblem(err)
	}
	if first.FormName() != partRequest {
		return request, nil, problem.New(api.KindInvalid, "", "the first part of the body has to be called %s", partRequest)
	}
	text, err := io.ReadAll(io.LimitReader(first, maxBody+1))
	if err != nil {
		return request, nil, bodyProblem(err)
	}
	if len(text) > maxBody {
		return request, nil, problem.New(api.KindTooLarge, "", "the request is larger than %d bytes", maxBody)
	}
	if err := json.Unmarshal(text, &request); err != nil {
		return request, nil, problem.New(api.KindInvalid, "", "the part %s is no request: %v", partRequest, err)
	}
	second, err := body.NextPart()
	if err != nil {
		return request, nil, bodyProblem(err)
	}
	if second.FormName() != partContent {
		return request, nil, problem.New(api.KindInvalid, "", "the second part of the body has to be called %s", partContent)
	}
	return request, second, nil
}

// flow is content as it comes.
type flow struct {
	io.Reader
	control *http.ResponseController
}

// Read waits for the next piece.
func (f *flow) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = problem.New(api.KindUnreadable, "send it again", "what was sent broke off: %v", err)
	}
	return n, err
}

// Close ends a Read that waits.
func (f *flow) Close() error { return f.control.SetReadDeadline(time.Now()) }
