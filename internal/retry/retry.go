// Package retry does again what has failed, later and later: after a first wait, which doubles with each further failure
// up to a last one.
//
//	Failed(x) ── first ──► again(x) … Failed(x) ── 2 × first ──► again(x) … Done(x)
//
// What is done again, and whether it fails, is the caller's; this counts and waits. Nothing of it outlasts the process:
// who begins anew tries at once.
package retry

import (
	"sync"
	"time"
)

// Queue is what has failed and waits to be done again. Its methods may be called from several goroutines.
type Queue struct {
	first, last time.Duration
	again       func(key string)

	mu     sync.Mutex // guards what follows
	failed map[string]*attempt
	closed bool
}

// attempt is what is known of one that failed.
type attempt struct {
	times int         // how often, in a row
	timer *time.Timer // of the next attempt; nil when that was begun
}

// New returns an empty Queue, which waits for first at least and for last at most. It calls again in a goroutine of its own, which must
// not take long.
func New(first, last time.Duration, again func(key string)) *Queue {
	return &Queue{first: first, last: last, again: again, failed: map[string]*attempt{}}
}

// Failed has something done again after a while, which it returns. What waits already waits no longer for that: the wait is 0 then, as
// it is of a Queue that is closed.
func (q *Queue) Failed(key string) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	try := q.failed[key]
	if try == nil {
		try = &attempt{}
		q.failed[key] = try
	}
	if q.closed || try.timer != nil {
		return 0
	}
	wait := q.last
	if try.times < 32 {
		wait = min(q.first<<try.times, q.last)
	}
	try.times++
	try.timer = time.AfterFunc(wait, func() { q.due(key, try) })
	return wait
}

// due begins the next attempt.
func (q *Queue) due(key string, try *attempt) {
	q.mu.Lock()
	current := !q.closed && q.failed[key] == try
	if current {
		try.timer = nil
	}
	q.mu.Unlock()
	if current {
		q.again(key)
	}
}

// Done forgets that something has failed: it has succeeded since, or is no more.
func (q *Queue) Done(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if try := q.failed[key]; try != nil && try.timer != nil {
		try.timer.Stop()
	}
	delete(q.failed, key)
}

// Close forgets everything. What was begun may still be under way.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, try := range q.failed {
		if try.timer != nil {
			try.timer.Stop()
		}
	}
	clear(q.failed)
}
