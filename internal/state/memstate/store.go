// Package memstate is a state.Store in memory: the double that tests use in place
// of etcdstate, with the same semantics, history and errors, and no start-up time.
// Nothing is kept after Close.
package memstate

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/panalvm/panal/internal/state"
)

// first is the revision of a new, empty store; see state.Revision.
const first state.Revision = 1

// Store is a state.Store and state.Compacter in memory. Make it with New.
type Store struct {
	mu      sync.Mutex
	entries map[string]state.Entry
	history history
	closed  bool
	// changed is closed and replaced by every commit, compaction and Close, to
	// wake the watches.
	changed chan struct{}
}

var (
	_ state.Store     = (*Store)(nil)
	_ state.Compacter = (*Store)(nil)
)

// New returns an empty store at revision 1.
func New() *Store {
	return &Store{
		entries: map[string]state.Entry{},
		history: history{dropped: first},
		changed: make(chan struct{}),
	}
}

// Get implements state.Store.
func (s *Store) Get(ctx context.Context, key string) (state.Entry, error) {
	if err := state.CheckKey(key); err != nil {
		return state.Entry{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return state.Entry{}, fmt.Errorf("get %s: %w", key, err)
	}
	entry, ok := s.entries[key]
	if !ok {
		return state.Entry{}, &state.NotFoundError{Key: key}
	}
	return copied(entry), nil
}

// List implements state.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]state.Entry, state.Revision, error) {
	if err := state.CheckPrefix(prefix); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, 0, fmt.Errorf("list %q: %w", prefix, err)
	}
	found := []state.Entry{}
	for key, entry := range s.entries {
		if strings.HasPrefix(key, prefix) {
			found = append(found, copied(entry))
		}
	}
	slices.SortFunc(found, func(a, b state.Entry) int { return strings.Compare(a.Key, b.Key) })
	return found, s.history.current(), nil
}

// Commit implements state.Store.
func (s *Store) Commit(ctx context.Context, ops ...state.Op) (state.Revision, error) {
	if err := state.CheckOps(ops); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	for _, op := range ops {
		if err := op.Judge(s.entries[op.Key].Revision); err != nil {
			return 0, err
		}
	}
	if changes := s.apply(ops); len(changes) > 0 {
		s.history.add(changes)
		s.wake()
	}
	return s.history.current(), nil
}

// Revision implements state.Store.
func (s *Store) Revision(ctx context.Context) (state.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, fmt.Errorf("read the revision: %w", err)
	}
	return s.history.current(), nil
}

// Compact implements state.Compacter.
func (s *Store) Compact(ctx context.Context, at state.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	if at > s.history.current() {
		return fmt.Errorf("compact to revision %d: %w", at, state.ErrFuture)
	}
	s.history.drop(at)
	s.wake()
	return nil
}

// Close implements state.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.wake()
	}
	return nil
}

// apply carries out ops that have all been judged; s.mu is held.
func (s *Store) apply(ops []state.Op) []state.Change {
	revision := s.history.current() + 1
	var changes []state.Change
	for _, op := range ops {
		if op.Writes() {
			changes = append(changes, s.applyOne(op, revision))
		}
	}
	return changes
}

func (s *Store) applyOne(op state.Op, revision state.Revision) state.Change {
	before, existed := s.entries[op.Key]
	change := state.Change{Kind: state.KindPut}
	if existed {
		change.Previous = &before
	}
	if op.Kind == state.OpDelete {
		delete(s.entries, op.Key)
		change.Kind = state.KindDeleted
		change.Entry = state.Entry{Key: op.Key, Revision: revision}
		return change
	}
	change.Entry = state.Entry{Key: op.Key, Value: bytes.Clone(op.Value), Created: revision, Revision: revision}
	if existed {
		change.Entry.Created = before.Created
	}
	s.entries[op.Key] = change.Entry
	return change
}

// usable reports why a call cannot go on; s.mu is held.
func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return state.ErrClosed
	}
	return ctx.Err()
}

// wake lets every watch look again; s.mu is held.
func (s *Store) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// copied returns the entry with a value of its own, never nil: a store does not
// tell an empty value from none.
func copied(entry state.Entry) state.Entry {
	entry.Value = append([]byte{}, entry.Value...)
	return entry
}
