package schedule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/inventory"
)

// world is machines in memory, whose clock is synctest's: it begins at midnight.
type world struct {
	mu        sync.Mutex // guards what follows
	scheduled map[string]inventory.Scheduled
	changed   chan struct{}
	done      []string // "UUID hours:minutes" of each call
	most, now int      // calls at the same time
	fails     int      // so many calls fail
	takes     time.Duration
}

func newWorld() *world {
	return &world{scheduled: map[string]inventory.Scheduled{}, changed: make(chan struct{})}
}

func (w *world) Scheduled(context.Context) (map[string]inventory.Scheduled, <-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.scheduled), w.changed, nil
}

func (w *world) set(uuid string, s inventory.Scheduled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scheduled[uuid] = s
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) Attend(ctx context.Context, uuid string) error {
	begun := time.Now()
	w.mu.Lock()
	w.done = append(w.done, uuid+" "+begun.UTC().Format("15:04"))
	w.now++
	w.most = max(w.most, w.now)
	fail := w.fails > 0
	w.fails = max(0, w.fails-1)
	s := w.scheduled[uuid]
	w.mu.Unlock()
	select {
	case <-time.After(w.takes):
	case <-ctx.Done():
	}
	w.mu.Lock()
	w.now--
	w.mu.Unlock()
	if fail {
		return errors.New("it failed")
	}
	s.Attended = begun
	w.set(uuid, s)
	return nil
}

func (w *world) seen() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.done)
}

// run runs the loop for a time, and returns when it has ended.
func run(t *testing.T, w *world, span time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	if err := Run(ctx, w); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

var hourly = api.SnapshotSchedule{Hourly: 24}

func TestAttendsAtOnceAndThenByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		time.AfterFunc(20*time.Minute, func() { w.set("web", inventory.Scheduled{Schedule: hourly}) })
		run(t, w, 150*time.Minute)
		if got := w.seen(); got != "[web 00:20 web 01:00 web 02:00]" {
			t.Error(got)
		}
	})
}

func TestCatchesUpOnceAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set("web", inventory.Scheduled{Schedule: hourly})
		run(t, w, 30*time.Minute)
		time.Sleep(5 * time.Hour) // of synctest's clock: no daemon runs
		run(t, w, time.Hour)
		if got := w.seen(); got != "[web 00:00 web 05:30 web 06:00]" {
			t.Error(got)
		}
	})
}

func TestTriesAgainLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fails = 8
		w.set("web", inventory.Scheduled{Schedule: hourly})
		run(t, w, 5*time.Hour-time.Minute)
		if got := w.seen(); got != "[web 00:00 web 00:01 web 00:03 web 00:07 web 00:15 web 00:31 web 01:03 web 02:03 web 03:03 web 04:00]" {
			t.Error(got)
		}
	})
}

func TestAttendsToFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.takes = 10 * time.Minute
		for i := range 9 {
			w.set(fmt.Sprint("m", i), inventory.Scheduled{Schedule: hourly})
		}
		run(t, w, 59*time.Minute)
		if len(w.done) != 9 || w.most != atOnce {
			t.Errorf("%d done, at most %d at once", len(w.done), w.most)
		}
	})
}

func TestWaitsForWhatItHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.takes = time.Hour
		w.set("web", inventory.Scheduled{Schedule: hourly})
		run(t, w, time.Minute)
		if w.now != 0 {
			t.Error("somebody is still attended to")
		}
	})
}
