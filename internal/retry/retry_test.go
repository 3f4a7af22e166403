package retry

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// attempts notes when something was tried, by synctest's clock.
type attempts struct {
	begun time.Time
	mu    sync.Mutex // guards at
	at    []time.Duration
}

func (a *attempts) add() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Since(a.begun))
}

func (a *attempts) want(t *testing.T, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.at, want) {
		t.Errorf("it was tried after %v, want %v", a.at, want)
	}
}

func TestItIsTriedLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := &attempts{begun: time.Now()}
		var q *Queue
		q = New(time.Minute, 5*time.Minute, func(key string) { tried.add(); q.Failed(key) })
		defer q.Close()
		if wait := q.Failed("x"); wait != time.Minute {
			t.Errorf("the first wait is %v", wait)
		}
		if wait := q.Failed("x"); wait != 0 {
			t.Errorf("it waits already, and for %v more", wait)
		}
		time.Sleep(20 * time.Minute)
		tried.want(t, time.Minute, 3*time.Minute, 7*time.Minute, 12*time.Minute, 17*time.Minute)
	})
}

func TestWhatIsDoneIsNotTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := &attempts{begun: time.Now()}
		q := New(time.Minute, time.Hour, func(string) { tried.add() })
		q.Failed("x")
		q.Failed("y")
		time.Sleep(30 * time.Second)
		q.Done("x")
		q.Done("nothing")
		time.Sleep(time.Hour)
		tried.want(t, time.Minute) // y
		q.Failed("y")
		time.Sleep(90 * time.Second)
		q.Done("y") // which waits for two minutes
		q.Failed("y")
		time.Sleep(time.Hour)
		tried.want(t, time.Minute, 63*time.Minute)
		q.Failed("y")
		q.Close()
		q.Close()
		if wait := q.Failed("z"); wait != 0 {
			t.Errorf("a queue that is closed waits for %v", wait)
		}
		time.Sleep(time.Hour)
		tried.want(t, time.Minute, 63*time.Minute)
	})
}

func TestWaitsDoNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := &attempts{begun: time.Now()}
		var q *Queue
		q = New(time.Minute, time.Hour, func(key string) { tried.add(); q.Failed(key) })
		defer q.Close()
		q.Failed("x")
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		tried.mu.Lock()
		defer tried.mu.Unlock()
		if last := len(tried.at) - 1; last < 90 || tried.at[last]-tried.at[last-1] != time.Hour {
			t.Errorf("it was tried %d times", last+1)
		}
	})
}
