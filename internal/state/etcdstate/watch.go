package etcdstate

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/panalvm/panal/internal/state"
)

// Watch implements state.Store. Changes that the caller does not take are kept in
// memory, without a limit of their own.
func (s *Store) Watch(ctx context.Context, prefix string, from state.Revision) iter.Seq2[state.Change, error] {
	return func(yield func(state.Change, error) bool) {
		if err := state.CheckPrefix(prefix); err != nil {
			yield(state.Change{}, err)
			return
		}
		if err := s.watch(ctx, prefix, from, yield); err != nil {
			yield(state.Change{}, fmt.Errorf("watch %q from revision %d: %w", prefix, from, err))
		}
	}
}

// watch yields changes until the caller has enough, when it returns nil, or until
// there is an error.
func (s *Store) watch(ctx context.Context, prefix string, from state.Revision, yield func(state.Change, error) bool) error {
	if from < 0 {
		return fmt.Errorf("%w: the revision is negative", state.ErrInvalid)
	}
	// Not a call that Close waits for: the caller may take any time over a change.
	watch, cancel := s.join(ctx)
	defer cancel()
	responses, err := s.subscribe(watch, prefix, from)
	if err != nil {
		return err
	}
	for response := range responses {
		if err := response.Err(); err != nil {
			return s.translate(watch, err)
		}
		if !deliver(response.Events, from, yield) {
			return nil
		}
	}
	return s.translate(watch, errors.New("etcd ended the watch"))
}

// subscribe starts a watch that ends with the context watch.
func (s *Store) subscribe(watch context.Context, prefix string, from state.Revision) (clientv3.WatchChan, error) {
	_, leave, err := s.begin(watch)
	if err != nil {
		return nil, err
	}
	defer leave()
	// Revision 1 is the empty store, and etcd takes 0 for "now".
	return s.requestAfter(watch, prefix, max(from, 1))
}

// requestAfter asks for the changes after from. etcd accepts a first revision equal to the compacted
// one, though parts of that may be gone; so when there is any history to read, it is
// asked to begin at from itself, which fails as it should if from is too old, and
// deliver leaves out the changes of from.
func (s *Store) requestAfter(call context.Context, prefix string, from state.Revision) (clientv3.WatchChan, error) {
	attempt, cancel := context.WithCancel(call)
	responses, current, err := s.request(attempt, prefix, from+1)
	switch {
	case err == nil && current == from:
		context.AfterFunc(call, cancel)
		return responses, nil
	case err == nil && current < from:
		err = state.ErrFuture
	}
	cancel()
	if err != nil {
		return nil, err
	}
	responses, _, err = s.request(call, prefix, from)
	return responses, err
}

// request asks etcd for a watch and waits for its answer, which tells the revision
// at which the watch began.
func (s *Store) request(call context.Context, prefix string, first state.Revision) (clientv3.WatchChan, state.Revision, error) {
	responses := s.client.Watch(call, prefix, clientv3.WithPrefix(), clientv3.WithPrevKV(),
		clientv3.WithRev(int64(first)), clientv3.WithCreatedNotify())
	answer, ok := <-responses
	if !ok {
		return nil, 0, s.translate(call, errors.New("etcd did not start the watch"))
	}
	if err := answer.Err(); err != nil {
		return nil, 0, s.translate(call, err)
	}
	return responses, state.Revision(answer.Header.Revision), nil
}

// deliver yields the events after from. A response holds whole revisions.
func deliver(events []*clientv3.Event, from state.Revision, yield func(state.Change, error) bool) bool {
	for i, event := range events {
		if event.Kv.ModRevision <= int64(from) {
			continue
		}
		change := changeOf(event)
		change.Last = i == len(events)-1 || events[i+1].Kv.ModRevision != event.Kv.ModRevision
		if !yield(change, nil) {
			return false
		}
	}
	return true
}

func changeOf(event *clientv3.Event) state.Change {
	change := state.Change{Kind: state.KindPut, Entry: entryOf(event.Kv)}
	if event.Type == mvccpb.DELETE {
		change.Kind = state.KindDeleted
		change.Entry = state.Entry{Key: string(event.Kv.Key), Revision: state.Revision(event.Kv.ModRevision)}
	}
	if event.PrevKv != nil {
		previous := entryOf(event.PrevKv)
		change.Previous = &previous
	}
	return change
}
