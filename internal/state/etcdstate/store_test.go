package etcdstate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/etcdstate"
	"github.com/panalvm/panal/internal/state/statetest"
)

func TestStore(t *testing.T) {
	statetest.Run(t, func(t testing.TB) state.Store { return open(t, etcdstate.Config{Dir: t.TempDir()}) })
}

// open opens a store and fails t when that fails; the caller closes it.
func open(t testing.TB, cfg etcdstate.Config) *etcdstate.Store {
	t.Helper()
	s, err := etcdstate.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *etcdstate.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func put(t testing.TB, s state.Store, key string, value []byte) state.Revision {
	t.Helper()
	revision, err := s.Commit(t.Context(), state.Put(key, value))
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestReopenKeepsEntriesRevisionAndHistory(t *testing.T) {
	cfg := etcdstate.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	first := put(t, s, "a", []byte("1"))
	last := put(t, s, "a", []byte("2"))
	closeStore(t, s)

	s = open(t, cfg)
	defer closeStore(t, s)
	if at, err := s.Revision(t.Context()); err != nil || at != last {
		t.Errorf("revision is %d after opening again, want %d (%v)", at, last, err)
	}
	for change, err := range s.Watch(t.Context(), "", first) {
		if err != nil || change.Entry.Revision != last || change.Previous == nil {
			t.Errorf("history gives %+v, %v", change, err)
		}
		break
	}
	if next := put(t, s, "b", nil); next != last+1 {
		t.Errorf("the next commit is revision %d, want %d", next, last+1)
	}
}

func TestNothingAcknowledgedIsLostByKill(t *testing.T) {
	cfg := etcdstate.Config{Dir: t.TempDir()}
	var all []int64
	for range 8 {
		acknowledged, _ := runChild(t, cfg.Dir, "", 1+rand.IntN(700))
		all = append(all, acknowledged...)
		s := open(t, cfg)
		wantNumbered(t, s, all, 100)
		closeStore(t, s)
	}
	t.Logf("%d commits were acknowledged before 8 kills", len(all))
}

// A child that says so before it opens is killed somewhere in the opening.
func TestKillWhileOpeningLeavesAUsableDirectory(t *testing.T) {
	for i := range 12 {
		cfg := etcdstate.Config{Dir: t.TempDir()}
		runChild(t, cfg.Dir, "opening", 1+i%2)
		s := open(t, cfg)
		put(t, s, "a", nil)
		closeStore(t, s)
	}
}

func TestNoSocketIsOpened(t *testing.T) {
	before := sockets(t)
	s := open(t, etcdstate.Config{Dir: t.TempDir()})
	defer closeStore(t, s)
	put(t, s, "a", nil)
	for range s.Watch(t.Context(), "", 0) {
		if now := sockets(t); len(now) > len(before) {
			t.Errorf("the store has sockets: %v; before it there were %v", now, before)
		}
		break
	}
}

// sockets returns this process's open sockets of any kind.
func sockets(t *testing.T) []string {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", file.Name()))
		if err == nil && strings.HasPrefix(target, "socket:") {
			found = append(found, target)
		}
	}
	return found
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	s := open(t, etcdstate.Config{Dir: t.TempDir()})
	put(t, s, "a", nil)
	ready, ended := make(chan struct{}), make(chan error)
	go func() {
		for _, err := range s.Watch(t.Context(), "", 0) {
			if err != nil {
				ended <- err
				return
			}
			close(ready)
		}
	}()
	<-ready
	begun := time.Now()
	closeStore(t, s)
	t.Logf("close with an open watch took %v", time.Since(begun))
	if err := <-ended; !errors.Is(err, state.ErrClosed) {
		t.Errorf("the watch ended with %v", err)
	}
	goleak.VerifyNone(t, ignore)
}

func TestHistoryIsTrimmed(t *testing.T) {
	s := open(t, etcdstate.Config{Dir: t.TempDir()})
	defer closeStore(t, s)
	const commits = state.MinHistory + state.MinHistory/4
	for i := range commits {
		put(t, s, fmt.Sprintf("k/%d", i%10), nil)
	}
	at, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What must be there is there. The first revisions go in the background, at the
	// latest when as many again have been made.
	for change, err := range s.Watch(t.Context(), "", at-state.MinHistory) {
		if err != nil || change.Entry.Revision != at-state.MinHistory+1 {
			t.Errorf("the last %d revisions begin with %d, %v", state.MinHistory, change.Entry.Revision, err)
		}
		break
	}
	for i := 0; !errors.Is(firstOf(t, s, 0), state.ErrCompacted); i++ {
		if i == state.MinHistory {
			t.Fatal("the first revision is still in the history")
		}
		put(t, s, "k/more", nil)
	}
}

// firstOf returns the error that a watch begins with.
func firstOf(t *testing.T, s state.Store, from state.Revision) error {
	t.Helper()
	for _, err := range s.Watch(t.Context(), "", from) {
		return err
	}
	return nil
}
