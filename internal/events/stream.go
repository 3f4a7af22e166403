package events

import (
	"context"
	"errors"
	"iter"
	"sort"
	"sync"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/service"
	"github.com/panalvm/panal/internal/state"
)

// recent is how many events are kept in memory. A client that follows what it
// has just asked for finds the events since then there; the store would let it
// wait a tenth of a second until it looks into its history.
const recent = 1024

// Stream is the events of a store.
type Stream struct {
	store  state.Store
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	events []service.Delivery
	since  int64         // events holds all that came after this revision
	at     int64         // the newest revision seen whole
	err    error         // why the stream ended
	more   chan struct{} // closed, and made anew, when something is added
}

// Open begins to follow a store.
func Open(ctx context.Context, store state.Store) (*Stream, error) {
	now, err := store.Revision(ctx)
	if err != nil {
		return nil, err
	}
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Stream{store: store, cancel: cancel, since: int64(now), at: int64(now), more: make(chan struct{})}
	s.group.Go(func() { s.collect(following, now) })
	return s, nil
}

// Close ends the stream and every follower.
func (s *Stream) Close() {
	s.cancel()
	s.group.Wait()
}

// collect keeps the newest events.
func (s *Stream) collect(ctx context.Context, from state.Revision) {
	err := state.ErrClosed
	for delivery, failed := range past(ctx, s.store, from) {
		if failed != nil {
			err = failed
			break
		}
		s.add(delivery)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	close(s.more)
}

func (s *Stream) add(delivery service.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, delivery)
	if delivery.Last {
		s.at = delivery.Revision
	}
	if len(s.events) >= 2*recent {
		// Cut between revisions, so that since stays true.
		cut := recent
		for cut < len(s.events) && !s.events[cut-1].Last {
			cut++
		}
		s.since = s.events[cut-1].Revision
		s.events = append([]service.Delivery(nil), s.events[cut:]...)
	}
	close(s.more)
	s.more = make(chan struct{})
}

// Follow gives the events after a revision; a negative one is from now on. See
// service.Events.
func (s *Stream) Follow(ctx context.Context, since int64) iter.Seq2[service.Delivery, error] {
	return func(yield func(service.Delivery, error) bool) {
		now, err := s.store.Revision(ctx)
		if err == nil && since > int64(now) {
			err = explain(state.ErrFuture, state.Revision(since))
		}
		if err != nil {
			yield(service.Delivery{}, err)
			return
		}
		if since < 0 {
			since = int64(now)
		}
		s.follow(ctx, since, yield)
	}
}

func (s *Stream) follow(ctx context.Context, since int64, yield func(service.Delivery, error) bool) {
	for {
		batch, more, err := s.after(since)
		if errors.Is(err, errNotRecent) {
			if since, err = s.catchUp(ctx, since, yield); err == nil {
				continue
			}
		}
		if err != nil {
			if !errors.Is(err, errStopped) {
				yield(service.Delivery{}, err)
			}
			return
		}
		for _, delivery := range batch {
			if !yield(delivery, nil) {
				return
			}
			since = delivery.Revision
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			yield(service.Delivery{}, ctx.Err())
			return
		}
	}
}

var (
	// errNotRecent says that events are wanted that are in the store alone.
	errNotRecent = errors.New("not among the recent events")
	// errStopped says that the one who follows has had enough.
	errStopped = errors.New("nobody follows any more")
)

// after is the kept events after a revision, whole revisions only, and a
// channel that is closed when there are more.
func (s *Stream) after(since int64) ([]service.Delivery, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, nil, s.err
	}
	if since < s.since {
		return nil, nil, errNotRecent
	}
	first := sort.Search(len(s.events), func(i int) bool { return s.events[i].Revision > since })
	end := sort.Search(len(s.events), func(i int) bool { return s.events[i].Revision > s.at })
	return s.events[first:max(first, end)], s.more, nil
}

// catchUp gives the events of the store's history until they are among the
// recent ones, and returns the revision it has come to.
func (s *Stream) catchUp(ctx context.Context, since int64, yield func(service.Delivery, error) bool) (int64, error) {
	for delivery, err := range past(ctx, s.store, state.Revision(since)) {
		if err != nil {
			return since, err
		}
		if !yield(delivery, nil) {
			return since, errStopped
		}
		if !delivery.Last {
			continue
		}
		since = delivery.Revision
		s.mu.Lock()
		reached := since >= s.since
		s.mu.Unlock()
		if reached {
			return since, nil
		}
	}
	return since, state.ErrClosed
}

// past is the events of the store after a revision, and those to come. The
// last event of a revision is marked as such, though changes that are nobody's
// business may follow it in the store.
func past(ctx context.Context, store state.Store, from state.Revision) iter.Seq2[service.Delivery, error] {
	return func(yield func(service.Delivery, error) bool) {
		var waiting *api.Event
		for change, err := range store.Watch(ctx, "", from) {
			if err != nil {
				yield(service.Delivery{}, explain(err, from))
				return
			}
			if event, told := eventOf(change); told {
				if waiting != nil && !yield(service.Delivery{Event: *waiting}, nil) {
					return
				}
				waiting = &event
			}
			if change.Last && waiting != nil {
				if !yield(service.Delivery{Event: *waiting, Last: true}, nil) {
					return
				}
				waiting = nil
			}
		}
	}
}

func explain(err error, from state.Revision) error {
	if errors.Is(err, state.ErrFuture) {
		return problem.New(api.KindGone, "it is of another store; list the objects again and follow from there",
			"revision %d has not come yet", from)
	}
	if errors.Is(err, state.ErrCompacted) {
		return problem.New(api.KindGone, "list the objects again and follow from there",
			"the events since revision %d are not kept", from)
	}
	return err
}
