package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/service"
)

// Options is what the server needs besides its services.
type Options struct {
	// Logger takes defects, and every request at the debug level; nil logs
	// nothing.
	Logger *slog.Logger
	// Version is Panal's version, for the OpenAPI description.
	Version string
}

// server holds what the handlers of the routes share.
type server struct {
	services service.Services
	logger   *slog.Logger
}

// New is the handler of the whole interface. It answers every request, also
// one for a path that there is not, and never panics. Serve it with [Serve], so
// that its endless answers end when the daemon does.
func New(services service.Services, opts Options) http.Handler {
	tameHuma()
	s := &server{services: services, logger: opts.Logger}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	s.register(mux, opts.Version)
	var handler http.Handler = mux
	handler = s.readBody(handler)
	handler = s.match(mux, handler)
	handler = s.recoverPanics(handler)
	return s.logRequests(handler)
}

// register puts every operation into mux, and the description of them all.
func (s *server) register(mux *http.ServeMux, version string) huma.API {
	h := humago.New(mux, config(version))
	s.registerHost(h)
	s.registerMachines(h)
	s.registerImports(h)
	s.registerPower(h)
	s.registerDrives(h)
	s.registerSnapshots(h)
	s.registerMedia(h)
	s.registerPools(h)
	s.registerViews(h)
	s.registerStats(h)
	s.registerTasks(h)
	s.registerEvents(h)
	describe(mux, h)
	return h
}

// tameHuma sets what huma keeps for the whole process and offers no other way
// to set: our errors instead of its own, names of fields that differ in case
// are not the same, and lists are never null.
var tameHuma = sync.OnceFunc(func() {
	huma.NewError = newError
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
})

// answer is what huma wants around the body of an answer.
type answer[T any] struct {
	Body T
}

// route registers an operation that takes I and answers with a JSON object.
func route[I, O any](h huma.API, s *server, op api.Operation, status int, call func(context.Context, *I) (O, error)) {
	described := operation(op)
	described.DefaultStatus = status
	huma.Register(h, described, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := call(ctx, in)
		if err != nil {
			return nil, s.fail(ctx, op.ID, err)
		}
		return &answer[O]{Body: out}, nil
	})
}

// stream registers an operation that writes its answer itself: one that is not
// JSON, or that has no end. What it writes is described by responses.
func stream[I any](h huma.API, op api.Operation, status int, responses responses, serve func(http.ResponseWriter, *http.Request, *I)) {
	described := operation(op)
	described.DefaultStatus = status
	described.Responses = responses.with(h)
	register(h, described, serve)
}

// register registers an operation that writes its answer itself.
func register[I any](h huma.API, described huma.Operation, serve func(http.ResponseWriter, *http.Request, *I)) {
	huma.Register(h, described, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			serve(w, r, in)
		}}, nil
	})
}
