package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// The bounds of a connection.
const (
	headerTimeout = 10 * time.Second // for a request's header to arrive
	idleTimeout   = 2 * time.Minute  // between two requests
	maxHeader     = 64 << 10
	stopTimeout   = 10 * time.Second // for what is under way when the daemon stops
)

// Serve answers on listener until ctx is done: it then accepts nothing more,
// ends the streams of events and the WebSockets, gives the other requests up to
// ten seconds, and cuts off what is left, which is an error. It closes the
// listener. A request's context is not ctx: it lasts as long as the client
// waits, so that what was begun is finished.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	drain := newDrain()
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), drainKey{}, drain)
		},
		ConnContext: withPeer,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		drain.begin()
		_ = server.Close()
		return fmt.Errorf("accept connections on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	return stop(server, drain)
}

// stop ends a server in good order.
func stop(server *http.Server, drain *drain) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	drain.begin()
	err := server.Shutdown(ctx)
	if waitErr := drain.wait(ctx); err == nil {
		err = waitErr
	}
	if err != nil {
		return errors.Join(fmt.Errorf("requests were still under way %v after the daemon was told to stop: %w", stopTimeout, err), server.Close())
	}
	return nil
}

// drainKey is where a request's context holds the server's drain.
type drainKey struct{}

// drain ends what has no end of its own when the server stops, and knows when
// all of it has ended: http.Server forgets a connection that has become a
// WebSocket.
type drain struct {
	stopping chan struct{} // closed by begin
	idle     chan struct{} // closed when stopping and nothing is left

	mu    sync.Mutex // guards what is below
	open  int
	begun bool
}

func newDrain() *drain {
	return &drain{stopping: make(chan struct{}), idle: make(chan struct{})}
}

// begin tells all to end. It is called once.
func (d *drain) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun = true
	close(d.stopping)
	if d.open == 0 {
		close(d.idle)
	}
}

// wait returns when all have ended, or with ctx's error.
func (d *drain) wait(ctx context.Context) error {
	select {
	case <-d.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter counts one in. One that comes when all has ended is not waited for,
// and finds itself told to end.
func (d *drain) enter() (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begun && d.open == 0 {
		return func() {}
	}
	d.open++
	return d.leave
}

func (d *drain) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open--; d.open == 0 && d.begun {
		close(d.idle)
	}
}

// endless is the context of an answer without end: it is done when the client
// has gone, or when the server stops. The caller calls end when it has ended.
func endless(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	d, ok := ctx.Value(drainKey{}).(*drain)
	if !ok {
		return ctx, cancel
	}
	leave, ended := d.enter(), make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-d.stopping:
			cancel()
		case <-ended:
		}
	})
	return ctx, func() {
		close(ended)
		watch.Wait()
		cancel()
		leave()
	}
}

// stopping reports whether the server, not the client, has ended ctx.
func stopping(ctx context.Context) bool {
	d, ok := ctx.Value(drainKey{}).(*drain)
	if !ok {
		return false
	}
	select {
	case <-d.stopping:
		return true
	default:
		return false
	}
}
