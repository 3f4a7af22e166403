// Package history keeps the last samples of something, at most one for each interval
// and no more than its bound: the oldest make way.
package history

import (
	"sync"
	"time"
)

// Ring is a bounded row of samples. Its methods may be called from several goroutines.
type Ring[T any] struct {
	every time.Duration
	bound int

	mu      sync.Mutex // guards what follows
	samples []sample[T]
	first   int // the oldest, once the ring is full
}

type sample[T any] struct {
	at    time.Time
	value T
}

// New makes a ring of samples that are every apart, and that reach back so far.
func New[T any](every, back time.Duration) *Ring[T] {
	return &Ring[T]{every: every, bound: int(back / every)}
}

// Add appends a sample. One that comes less than the interval after the one before, by more
// than a tenth of it, is left out.
func (r *Ring[T]) Add(at time.Time, value T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, some := r.last(); some && at.Sub(last.at) < r.every-r.every/10 {
		return
	}
	if len(r.samples) < r.bound {
		r.samples = append(r.samples, sample[T]{at, value})
		return
	}
	r.samples[r.first] = sample[T]{at, value}
	r.first = (r.first + 1) % r.bound
}

func (r *Ring[T]) last() (sample[T], bool) {
	if len(r.samples) == 0 {
		return sample[T]{}, false
	}
	return r.samples[(r.first+len(r.samples)-1)%len(r.samples)], true
}

// Newest is when the newest sample was taken; zero without any.
func (r *Ring[T]) Newest() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, _ := r.last()
	return last.at
}

// Since are the samples after a time, the oldest first.
func (r *Ring[T]) Since(after time.Time) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	var values []T
	for i := range r.samples {
		if s := r.samples[(r.first+i)%len(r.samples)]; s.at.After(after) {
			values = append(values, s.value)
		}
	}
	return values
}
