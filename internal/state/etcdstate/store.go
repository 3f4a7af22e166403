package etcdstate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"

	"github.com/panalvm/panal/internal/state"
)

// Store is a state.Store and state.Compacter kept by an etcd member in this process.
// Make it with Open.
type Store struct {
	cfg     Config
	lock    *os.File
	server  *etcdserver.EtcdServer
	client  *client
	failure *failure
	space   space

	// alive ends with the store; its cause says why.
	alive context.Context
	end   context.CancelCauseFunc
	// running counts the goroutines of the store and the calls under way.
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

var (
	_ state.Store     = (*Store)(nil)
	_ state.Compacter = (*Store)(nil)
)

// Open opens the store in cfg.Dir, making it when it is not there, and returns when
// it serves. ctx bounds the opening only. It fails with *LockedError while another
// process has the directory open, ErrCorrupt when its files are damaged,
// state.ErrNoSpace when there is no room to open it, fs.ErrPermission when the user
// may not write there.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", cfg.Dir, err)
	}
	lock, err := lockDirectory(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, lock: lock, failure: newFailure()}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	if err := checkDatabase(s.cfg.Dir); err != nil {
		return err
	}
	if err := checkSpace(s.cfg); err != nil {
		return err
	}
	server, err := startServer(ctx, s.cfg, s.failure)
	if err != nil {
		return explain(s.cfg, err)
	}
	s.server, s.client = server, newClient(server)
	s.alive, s.end = context.WithCancelCause(context.Background())
	s.space.trim = make(chan struct{}, 1)
	s.running.Go(s.guard)
	s.running.Go(s.trimHistory)
	return nil
}

// Dir returns the directory the store is in.
func (s *Store) Dir() string { return s.cfg.Dir }

// Failed is closed when the store cannot go on; see the package comment. It stays
// open when the store is closed.
func (s *Store) Failed() <-chan struct{} { return s.failure.happened }

// guard ends the store when etcd fails.
func (s *Store) guard() {
	select {
	case <-s.failure.happened:
		s.end(s.failed())
	case <-s.alive.Done():
	}
}

// Close implements state.Store. It cancels the watches before it stops etcd, which
// otherwise waits for them.
func (s *Store) Close() error {
	if !s.endOnce() {
		return nil
	}
	if s.failure.cause() != nil {
		// etcd is half dead, and what is left of it may never stop, nor let go of its
		// files. The lock is left to the end of the process, too.
		return fmt.Errorf("close: %w", s.failed())
	}
	_, err := apart(s, func() (struct{}, error) { return struct{}{}, s.stop() })
	return err
}

// stop ends etcd when the last call has left it.
func (s *Store) stop() error {
	s.running.Wait()
	clientErr := s.client.Close()
	s.server.Stop()
	return errors.Join(clientErr, s.lock.Close())
}

// endOnce ends all calls and watches, and reports whether it was the first to. After
// it no call begins.
func (s *Store) endOnce() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed = true
	s.end(state.ErrClosed)
	return true
}

// begin enters a call, for which Close waits. Its context ends with ctx or with the
// store; leave must be called when it is over.
func (s *Store) begin(ctx context.Context) (call context.Context, leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive.Err() != nil {
		return nil, nil, context.Cause(s.alive)
	}
	s.running.Add(1)
	call, cancel := s.join(ctx)
	return call, func() {
		cancel()
		s.running.Done()
	}, nil
}

// join returns a context that ends with ctx or with the store.
func (s *Store) join(ctx context.Context) (context.Context, context.CancelFunc) {
	joined, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.alive, cancel)
	return joined, func() {
		stop()
		cancel()
	}
}

// translate turns etcd's errors into the contract's.
func (s *Store) translate(call context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrFailed):
		return err
	case s.alive.Err() != nil:
		return context.Cause(s.alive)
	case call.Err() != nil:
		return call.Err()
	case errors.Is(err, rpctypes.ErrCompacted):
		return state.ErrCompacted
	case errors.Is(err, rpctypes.ErrFutureRev):
		return state.ErrFuture
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: the database has reached its quota", state.ErrNoSpace)
	}
	return err
}

// Get implements state.Store.
func (s *Store) Get(ctx context.Context, key string) (state.Entry, error) {
	if err := state.CheckKey(key); err != nil {
		return state.Entry{}, err
	}
	response, err := s.read(ctx, key)
	if err != nil {
		return state.Entry{}, fmt.Errorf("get %s: %w", key, err)
	}
	if len(response.Kvs) == 0 {
		return state.Entry{}, &state.NotFoundError{Key: key}
	}
	return entryOf(response.Kvs[0]), nil
}

// List implements state.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]state.Entry, state.Revision, error) {
	if err := state.CheckPrefix(prefix); err != nil {
		return nil, 0, err
	}
	response, err := s.read(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, 0, fmt.Errorf("list %q: %w", prefix, err)
	}
	entries := make([]state.Entry, len(response.Kvs))
	for i, pair := range response.Kvs {
		entries[i] = entryOf(pair)
	}
	return entries, state.Revision(response.Header.Revision), nil
}

// Revision implements state.Store.
func (s *Store) Revision(ctx context.Context) (state.Revision, error) {
	// A read of nothing; the answer's header tells the revision.
	response, err := s.read(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithLimit(1))
	if err != nil {
		return 0, fmt.Errorf("read the revision: %w", err)
	}
	return state.Revision(response.Header.Revision), nil
}

func (s *Store) read(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	call, leave, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	response, err := apart(s, func() (*clientv3.GetResponse, error) { return s.client.Get(call, key, options...) })
	return response, s.translate(call, err)
}

// apart calls f in a goroutine of its own. etcd does much of its work in the goroutine
// that asks, and where it would end the process that goroutine ends instead, or
// waits for ever for what another held that ended: this must not be the caller's.
func apart[T any](s *Store, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-s.failure.happened:
		var none T
		return none, s.failed()
	}
}

// failed returns the error of a store whose etcd has failed.
func (s *Store) failed() error {
	return fmt.Errorf("%w: %s: %w", ErrFailed, s.cfg.Dir, s.failure.cause())
}

func entryOf(pair *mvccpb.KeyValue) state.Entry {
	// The value may lie in etcd's own buffers, and belongs to the caller from here.
	return state.Entry{
		Key:      string(pair.Key),
		Value:    append([]byte{}, pair.Value...),
		Created:  state.Revision(pair.CreateRevision),
		Revision: state.Revision(pair.ModRevision),
	}
}
