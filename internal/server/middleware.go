package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
)

// The bounds of a request's body and of a slow client's patience.
const (
	maxBody      = 1 << 20
	bodyTimeout  = 10 * time.Second // for the whole body
	writeTimeout = 30 * time.Second // for an answer, or for each piece of an endless one
)

// recorder remembers what was answered. Every answer gets writeTimeout, so that
// a client that does not read cannot hold on to it for ever.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the header was written
}

// Unwrap lets http.ResponseController and the WebSockets reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader remembers the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		extendWrite(w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes the header first, if need be.
func (w *recorder) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(data)
}

// extendWrite gives the next piece of an answer its time.
func extendWrite(w http.ResponseWriter) {
	// A connection without deadlines is one of a test.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

func (s *server) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded, began := &recorder{ResponseWriter: w}, time.Now()
		defer func() {
			s.logger.LogAttrs(r.Context(), slog.LevelDebug, "request", append(who(r.Context()),
				slog.String("method", r.Method), slog.String("path", r.URL.EscapedPath()),
				slog.Int("status", recorded.status), slog.Duration("took", time.Since(began)))...)
		}()
		next.ServeHTTP(recorded, r)
	})
}

// recoverPanics turns a panic into an answer, or, when the answer had begun,
// into a broken connection, so that the client does not take half of it for
// the whole.
func (s *server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
				panic(value)
			}
			s.logPanic(r.Context(), r.Method+" "+r.URL.EscapedPath(), value)
			if recorded, ok := w.(*recorder); ok && recorded.status != 0 {
				panic(http.ErrAbortHandler)
			}
			writeProblem(w, problem.New(api.KindInternal, "please report this with the daemon's log",
				"%s %s failed by a defect", r.Method, r.URL.EscapedPath()))
		}()
		next.ServeHTTP(w, r)
	})
}

// catch is recoverPanics for a goroutine of a request's own: deferred there, it
// gives a panic to tell as an error.
func (s *server) catch(ctx context.Context, operation string, tell func(error)) {
	if value := recover(); value != nil {
		s.logPanic(ctx, operation, value)
		tell(problem.New(api.KindInternal, "please report this with the daemon's log", "the request failed by a defect"))
	}
}

func (s *server) logPanic(ctx context.Context, operation string, value any) {
	s.logger.LogAttrs(ctx, slog.LevelError, "a request made the daemon panic", append(who(ctx),
		slog.String("operation", operation), slog.Any("panic", value), slog.String("stack", string(debug.Stack())))...)
}

// match refuses what no operation answers, in place of ServeMux's plain text,
// and keeps ServeMux from redirecting: whatever stands where a reference does,
// ".." too, is a reference.
func (s *server) match(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/") || strings.Contains(r.URL.EscapedPath(), "//") {
			writeProblem(w, problem.New(api.KindNotFound, "", "there is no path %q", r.URL.Path))
			return
		}
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			writeProblem(w, problem.New(api.KindInvalid, "", "the query %q cannot be read: %v", r.URL.RawQuery, err))
			return
		}
		r = escapeDots(r)
		if handler, pattern := mux.Handler(r); pattern == "" {
			s.refuseUnmatched(w, r, handler)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuseUnmatched says that nothing answers, and which methods would be; those
// are known to ServeMux's own handler only.
func (s *server) refuseUnmatched(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	probe := discarder{http.Header{}}
	handler.ServeHTTP(probe, r)
	p := problem.New(api.KindNotFound, "GET "+openAPIPath+" describes what there is", "there is no path %q", r.URL.Path)
	if allowed := probe.header.Get("Allow"); allowed != "" {
		w.Header().Set("Allow", allowed)
		p.Detail = "there is no " + r.Method + " of " + r.URL.Path + ", only " + allowed
		p.Status = http.StatusMethodNotAllowed
	}
	writeProblem(w, p)
}

// discarder takes an answer for its header alone.
type discarder struct {
	header http.Header
}

// Header is the header to be kept.
func (d discarder) Header() http.Header { return d.header }

// Write drops the data.
func (d discarder) Write(data []byte) (int, error) { return len(data), nil }

// WriteHeader drops the status.
func (d discarder) WriteHeader(int) {}

// escapeDots writes the segments "." and ".." of a path in their escaped form,
// which mean the same but are not taken for a way through a tree.
func escapeDots(r *http.Request) *http.Request {
	segments, changed := strings.Split(r.URL.EscapedPath(), "/"), false
	for i, segment := range segments {
		if segment == "." || segment == ".." {
			segments[i], changed = strings.ReplaceAll(segment, ".", "%2E"), true
		}
	}
	if !changed {
		return r
	}
	escaped, where := *r, *r.URL
	where.RawPath = strings.Join(segments, "/")
	escaped.URL = &where
	return &escaped
}

// readBody reads a request's body before anything else looks at the request,
// within its bounds of size and time. net/http takes the deadline off when the
// body has come to its end, so that it does not end a long request.
func (s *server) readBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || flows(r) {
			next.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // as in extendWrite
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			w.Header().Set("Connection", "close")
			writeProblem(w, bodyProblem(err))
			return
		}
		whole := *r
		whole.Body = io.NopCloser(bytes.NewReader(body))
		whole.ContentLength, whole.TransferEncoding = int64(len(body)), nil
		next.ServeHTTP(w, &whole)
	})
}

func bodyProblem(err error) *api.Problem {
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return problem.New(api.KindTooLarge, "", "the request's body is larger than %d bytes", tooLarge.Limit)
	case errors.As(err, &network) && network.Timeout():
		return problem.New(api.KindInvalid, "", "the request's body did not arrive within %v", bodyTimeout)
	}
	return problem.New(api.KindInvalid, "", "the request's body cannot be read: %v", err)
}
