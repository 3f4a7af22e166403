package disk

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
)

func someSpans(n int64, last error) spans {
	return func(context.Context) iter.Seq2[span, error] {
		return func(yield func(span, error) bool) {
			for i := range n {
				if !yield(span{i, i + 1}, nil) {
					return
				}
			}
			if last != nil {
				yield(span{}, last)
			}
		}
	}
}

// What comes after a turn is done in order, one at a time, whoever does it.
func TestByTurns(t *testing.T) {
	var inside atomic.Int32
	var seen []span
	err := byTurns(t.Context(), 4, someSpans(1000, nil), func(s span, turn func() error) error {
		if err := turn(); err != nil {
			return err
		}
		if inside.Add(1) != 1 {
			t.Error("two had the turn at once")
		}
		defer inside.Add(-1)
		seen = append(seen, s)
		return nil
	})
	if err != nil || len(seen) != 1000 {
		t.Fatalf("%d of 1000 spans were done: %v", len(seen), err)
	}
	for i, s := range seen {
		if s.off != int64(i) {
			t.Fatalf("span %d was the %dth to be done", s.off, i)
		}
	}
}

// An error, of whoever, ends the work: nobody waits for a turn that does not come.
func TestByTurnsEnds(t *testing.T) {
	broken := errors.New("broken")
	work := func(s span, turn func() error) error {
		if s.off == 50 {
			return broken
		}
		return turn()
	}
	if err := byTurns(t.Context(), 3, someSpans(1000, nil), work); !errors.Is(err, broken) {
		t.Errorf("broken work ended with %v", err)
	}
	if err := byTurns(t.Context(), 3, someSpans(40, broken), work); !errors.Is(err, broken) {
		t.Errorf("a broken list of spans ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := byTurns(ctx, 3, someSpans(1000, nil), func(s span, turn func() error) error {
		if s.off == 10 {
			cancel()
		}
		return turn()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled work ended with %v", err)
	}
}

// Of two errors the one of the first span counts, also when it comes later; and
// errors of the list come behind those of all spans in it.
func TestByTurnsTellsTheFirstError(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	for range 100 {
		failed := make(chan struct{})
		err := byTurns(t.Context(), 3, someSpans(2, errors.New("third")), func(s span, _ func() error) error {
			if s.off == 1 {
				close(failed)
				return second
			}
			<-failed
			return first
		})
		if err != first {
			t.Fatalf("the error is %v", err)
		}
	}
}

// What goes through a table without end, between two spans, ends when work fails.
func TestByTurnsEndsTheList(t *testing.T) {
	broken := errors.New("broken")
	endless := func(ctx context.Context) iter.Seq2[span, error] {
		return func(yield func(span, error) bool) {
			if yield(span{0, 1}, nil) {
				<-ctx.Done()
				yield(span{}, ctx.Err())
			}
		}
	}
	if err := byTurns(t.Context(), 3, endless, func(span, func() error) error { return broken }); err != broken {
		t.Errorf("the error is %v", err)
	}
}
