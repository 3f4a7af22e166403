package memstate

import (
	"context"
	"fmt"
	"iter"

	"github.com/panalvm/panal/internal/state"
)

// Watch implements state.Store. It reads the history one revision at a time and
// waits for the next, so it needs no goroutine and no buffer of its own.
func (s *Store) Watch(ctx context.Context, prefix string, from state.Revision) iter.Seq2[state.Change, error] {
	return func(yield func(state.Change, error) bool) {
		if err := state.CheckPrefix(prefix); err != nil {
			yield(state.Change{}, err)
			return
		}
		fail := func(err error) {
			yield(state.Change{}, fmt.Errorf("watch %q from revision %d: %w", prefix, from, err))
		}
		if err := s.startable(from); err != nil {
			fail(err)
			return
		}
		// 0 is the beginning, which is the empty store.
		for seen := max(from, first); ; seen++ {
			changes, err := s.next(ctx, prefix, seen)
			if err != nil {
				fail(err)
				return
			}
			for _, change := range changes {
				if !yield(change, nil) {
					return
				}
			}
		}
	}
}

// startable says whether a watch may begin at from.
func (s *Store) startable(from state.Revision) error {
	if from < 0 {
		return fmt.Errorf("%w: the revision is negative", state.ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if from > s.history.current() && !s.closed {
		return state.ErrFuture
	}
	return nil
}

// next waits for the revision after seen and returns its matching changes.
func (s *Store) next(ctx context.Context, prefix string, seen state.Revision) ([]state.Change, error) {
	for {
		changes, changed, err := s.poll(ctx, prefix, seen)
		if changed == nil || err != nil {
			return changes, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// poll returns the matching changes of the revision after seen, or the channel
// that will be closed when it is worth asking again.
func (s *Store) poll(ctx context.Context, prefix string, seen state.Revision) ([]state.Change, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, nil, err
	}
	switch {
	case seen < s.history.dropped:
		return nil, nil, state.ErrCompacted
	case seen == s.history.current():
		return nil, s.changed, nil
	}
	return s.history.matching(seen+1, prefix), nil, nil
}
