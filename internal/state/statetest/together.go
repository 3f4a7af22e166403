package statetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/panalvm/panal/internal/state"
)

var closeChecks = []check{
	{"everything fails after close", "a late caller must get a clear word, not a crash", func(t *testing.T, s state.Store) {
		closeStore(t, s)
		_, err := s.Get(t.Context(), "a")
		wantIs(t, err, state.ErrClosed)
		_, _, err = s.List(t.Context(), "")
		wantIs(t, err, state.ErrClosed)
		_, err = s.Commit(t.Context(), state.Put("a", nil))
		wantIs(t, err, state.ErrClosed)
		_, err = s.Commit(t.Context())
		wantIs(t, err, state.ErrClosed)
		_, err = s.Revision(t.Context())
		wantIs(t, err, state.ErrClosed)
		wantIs(t, watchError(t.Context(), s, "", 0), state.ErrClosed)
		closeStore(t, s)
	}},
	{"close ends the watches", "the daemon must stop although clients are listening", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("a", nil))
		ready, ended := make(chan struct{}, 5), make(chan error, 5)
		for range cap(ended) {
			go func() {
				for _, err := range s.Watch(t.Context(), "", 0) {
					if err != nil {
						ended <- err
						return
					}
					ready <- struct{}{}
				}
			}()
		}
		for range cap(ready) {
			<-ready
		}
		closeStore(t, s)
		for range cap(ended) {
			wantIs(t, <-ended, state.ErrClosed)
		}
	}},
	{"close does not wait for a slow watcher", "one stuck client must not hold up the daemon", func(t *testing.T, s state.Store) {
		commit(t, s, state.Put("a", nil))
		inside, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for range s.Watch(t.Context(), "", 0) {
				close(inside)
				<-release
				return
			}
		}()
		<-inside
		closeStore(t, s)
		close(release)
		<-done
	}},
}

func closeStore(t *testing.T, s state.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

var concurrentChecks = []check{
	{"increments add up", "optimistic locking must lose none and repeat none", func(t *testing.T, s state.Store) {
		const workers, each = 8, 25
		commit(t, s, state.Create("counter", make([]byte, 8)))
		var running sync.WaitGroup
		for range workers {
			running.Go(func() {
				for range each {
					if err := increment(t.Context(), s); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
		equal(t, "total", binary.BigEndian.Uint64(get(t, s, "counter").Value), uint64(workers*each))
	}},
	{"one of many creates the key", "a name is given once", func(t *testing.T, s state.Store) {
		var mu sync.Mutex
		winners := 0
		var running sync.WaitGroup
		for i := range 16 {
			running.Go(func() {
				_, err := s.Commit(t.Context(), state.Create("name", []byte{byte(i)}))
				if err != nil {
					wantIs(t, err, state.ErrExists)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				winners++
			})
		}
		running.Wait()
		equal(t, "winners", winners, 1)
	}},
	{"watchers see every revision once, in order", "views on all clients must agree", func(t *testing.T, s state.Store) {
		const watchers, writers, each = 6, 4, 50
		from := revision(t, s)
		var running sync.WaitGroup
		for i := range watchers {
			// Half of them begin somewhere in the middle of the writing.
			running.Go(func() { wantEveryRevision(t, s, from, from+writers*each, i%2 == 1) })
		}
		for w := range writers {
			running.Go(func() {
				for i := range each {
					if _, err := s.Commit(t.Context(), state.Put(fmt.Sprintf("w/%d", w), fmt.Appendf(nil, "%d", i)), state.Put(fmt.Sprintf("v/%d", w), nil)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
	}},
	{"a list is one moment", "two halves of one change must be seen together", func(t *testing.T, s state.Store) {
		const changes = 100
		commit(t, s, state.Put("l/a", []byte{0}), state.Put("l/b", []byte{0}))
		var running sync.WaitGroup
		running.Go(func() {
			for i := range changes {
				commit(t, s, state.Put("l/a", []byte{byte(i)}), state.Put("l/b", []byte{byte(i)}))
			}
		})
		running.Go(func() {
			for range changes {
				entries, at := list(t, s, "l/")
				if entries[0].Value[0] != entries[1].Value[0] || entries[0].Revision > at {
					t.Errorf("list at %d shows %+v", at, entries)
					return
				}
			}
		})
		running.Wait()
	}},
	{"a read sees every commit before it", "the user who created a machine must find it", func(t *testing.T, s state.Store) {
		var running sync.WaitGroup
		for w := range 4 {
			running.Go(func() {
				key := fmt.Sprintf("own/%d", w)
				for range 30 {
					at := commit(t, s, state.Put(key, nil))
					if got := get(t, s, key).Revision; got != at {
						t.Errorf("%s is at revision %d after a commit of %d", key, got, at)
					}
				}
			})
		}
		running.Wait()
	}},
}

func increment(ctx context.Context, s state.Store) error {
	for {
		entry, err := s.Get(ctx, "counter")
		if err != nil {
			return err
		}
		next := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(entry.Value)+1)
		_, err = s.Commit(ctx, state.Update("counter", next, entry.Revision))
		if !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

// wantEveryRevision watches until revision last and wants two changes of each.
// A late watcher first waits for the middle and resumes from there.
func wantEveryRevision(t *testing.T, s state.Store, from, last state.Revision, late bool) {
	if late {
		middle := (from + last) / 2
		wantEveryRevision(t, s, from, middle, false)
		from = middle
	}
	want, parts := from+1, 0
	for change, err := range s.Watch(t.Context(), "", from) {
		if err != nil {
			t.Errorf("watch: %v", err)
			return
		}
		parts++
		if change.Entry.Revision != want || change.Last != (parts == 2) {
			t.Errorf("part %d of revision %d came as revision %d, last %v", parts, want, change.Entry.Revision, change.Last)
			return
		}
		if change.Last {
			want, parts = want+1, 0
		}
		if want > last {
			return
		}
	}
}
