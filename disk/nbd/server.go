package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/panalvm/panal/disk"
)

// Options bound what clients may do. The zero value is good for most.
type Options struct {
	TLS       TLSPolicy   // whether sessions are encrypted
	TLSConfig *tls.Config // needed unless TLS is TLSOff; see TLSFromPEM

	MaxConnections   int           // at once; those beyond are closed. 0: 64
	HandshakeTimeout time.Duration // from connecting to choosing an export. 0: 30 s
	DrainTimeout     time.Duration // how long a client that is leaving may take to accept its last replies. 0: 10 s
	Workers          int           // requests of one connection that are worked on at once. 0: 16
	Memory           int64         // bytes that one connection's requests and replies may occupy. 0: 64 MiB, which is also the least

	Log *slog.Logger // what goes wrong, for the administrator; nil for nowhere
}

// ErrServerClosed is what Serve gives when the server was closed before.
var ErrServerClosed = errors.New("nbd: the server is closed")

// minMemory lets the longest read and the longest write be in flight together.
const minMemory = 2 * maxPayload

// acceptPause is how long no connection is accepted after the system ran out
// of what it takes.
const acceptPause = 50 * time.Millisecond

// Server serves exports to any number of clients, on any number of listeners.
type Server struct {
	options Options
	exports []*export
	buffers *pool
	slots   chan struct{}   // one for each connection
	life    context.Context // ends with Close
	end     context.CancelFunc

	mu      sync.Mutex
	serving sync.WaitGroup // calls of Serve; added to under mu, and not after life has ended
}

// New makes a server. What is wrong with the exports or options is a
// disk.UsageError.
func New(exports []Export, o Options) (*Server, error) {
	checked, err := newExports(exports)
	if err != nil {
		return nil, err
	}
	if o.TLS != TLSOff && o.TLSConfig == nil {
		return nil, disk.Usage("TLS needs a certificate")
	}
	o = o.withDefaults()
	s := &Server{options: o, exports: checked, buffers: newPool(), slots: make(chan struct{}, o.MaxConnections)}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.MaxConnections <= 0 {
		o.MaxConnections = 64
	}
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = 30 * time.Second
	}
	if o.DrainTimeout <= 0 {
		o.DrainTimeout = 10 * time.Second
	}
	if o.Workers <= 0 {
		o.Workers = 16
	}
	o.Memory = max(o.Memory, minMemory)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Serve accepts clients until ctx is done or the server is closed, and closes
// the listener. Then requests in flight are finished and answered, clients
// disconnected, and the images synced; it returns after that: nil, or what
// failed. A listener that fails ends it likewise.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if !s.begin() {
		return errors.Join(ErrServerClosed, l.Close())
	}
	defer s.serving.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	closed := make(chan error)
	context.AfterFunc(ctx, func() { closed <- l.Close() })

	var clients sync.WaitGroup
	failed := s.accept(ctx, l, &clients)
	cancel()
	clients.Wait()
	// A listener may have more to do than to wake Accept, as a Unix socket that is
	// removed: the caller may end the program as soon as this returns.
	return errors.Join(failed, <-closed, s.sync())
}

// begin counts a call of Serve, unless the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.serving.Add(1)
	return true
}

// accept takes clients until ctx is done, which is no error.
func (s *Server) accept(ctx context.Context, l net.Listener, clients *sync.WaitGroup) error {
	for {
		accepted, err := l.Accept()
		switch {
		case err == nil:
			s.admit(ctx, accepted, clients)
		case ctx.Err() != nil:
			return nil
		case !transient(err):
			return fmt.Errorf("accept NBD clients: %w", err)
		default:
			s.options.Log.Warn("cannot accept NBD clients for the moment", "error", err)
			pause(ctx, acceptPause)
		}
	}
}

// admit serves a client, if there is room.
func (s *Server) admit(ctx context.Context, accepted net.Conn, clients *sync.WaitGroup) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.options.Log.Warn("refused an NBD client: too many connections", "client", accepted.RemoteAddr(), "limit", s.options.MaxConnections)
		accepted.Close() //nolint:errcheck // nothing was written to it
		return
	}
	clients.Go(func() {
		defer func() { <-s.slots }()
		newConn(s, accepted).run(ctx)
	})
}

// transient tells whether accepting may work again later.
func transient(err error) bool {
	for _, known := range []syscall.Errno{
		syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.EPROTO,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Close ends every Serve and waits for them: requests in flight are finished
// and answered, clients disconnected, images synced. Requests that come
// meanwhile are answered with ESHUTDOWN. The images stay open. It may be called
// again.
func (s *Server) Close() error {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.serving.Wait()
	return s.sync()
}

func (s *Server) sync() error {
	var failed error
	for _, e := range s.exports {
		failed = errors.Join(failed, e.sync())
	}
	return failed
}
