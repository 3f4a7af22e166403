package disk

import (
	"context"
	"iter"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// copiers is how many goroutines copy; one more than processors, because
// some wait for the disk.
func copiers(n int) int {
	if n > 0 {
		return n
	}
	return min(runtime.GOMAXPROCS(0)+1, 16)
}

// workers is how many goroutines do work that takes now longer and now shorter,
// like compressing: enough for the processors to have work while some wait for
// their turn.
func workers(n int) int {
	if n > 0 {
		return n
	}
	return min(2*runtime.GOMAXPROCS(0)+1, 32)
}

// byTurns works on spans, or pieces, in several goroutines: each does one span from
// its beginning to its end, so that what it read is still in its processor's cache when
// it writes. turn waits until all spans before were done; what work does after it is done
// in the order of the spans, one at a time. Of several errors the one of the first
// span is returned, and todo's only when all spans before it were done.
func byTurns[T any](ctx context.Context, n int, todo func(context.Context) iter.Seq2[T, error], work func(s T, turn func() error) error) error {
	type job struct {
		item         T
		before, done chan struct{}
	}
	group, ctx := errgroup.WithContext(ctx)
	jobs := make(chan job)
	group.Go(func() error {
		defer close(jobs)
		before := make(chan struct{})
		close(before)
		for s, err := range todo(ctx) {
			if err != nil {
				return firstError(awaitTurn(ctx, before), err)
			}
			j := job{s, before, make(chan struct{})}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
			before = j.done
		}
		return nil
	})
	for range n {
		group.Go(func() error {
			for j := range jobs {
				turn := func() error { return awaitTurn(ctx, j.before) }
				err := work(j.item, turn)
				if err := firstError(err, turn()); err != nil {
					return err
				}
				close(j.done)
			}
			return nil
		})
	}
	return group.Wait()
}

func awaitTurn(ctx context.Context, before <-chan struct{}) error {
	select {
	case <-before:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
