package manager

import "sync"

// latest is what one goroutine finds out time after time, for others who ask.
type latest[T any] struct {
	mu  sync.Mutex // guards what follows
	now T
}

// describe is what was noted last.
func (l *latest[T]) describe() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *latest[T]) note(now T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = now
}
