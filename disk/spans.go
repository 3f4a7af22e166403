package disk

import (
	"context"
	"iter"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// chunk is how much is read at once when whole disks are worked on.
const chunk = 1 << 20

// span is a range of a disk that is worked on as one.
type span struct{ off, end int64 }

// dataSpans yields the ranges of a disk that may hold something else than
// zeros, cut at multiples of step and widened to multiples of unit; both are
// powers of two and unit divides step.
func dataSpans(img Image, step, unit int64) iter.Seq2[span, error] {
	return func(yield func(span, error) bool) {
		size, at := img.Size(), int64(0)
		for layer, err := range Layers(img) {
			if err != nil {
				yield(span{}, err)
				return
			}
			if layer.State != Data {
				continue
			}
			begin := max(at, layer.Off&^(unit-1))
			end := min(size, (layer.End()+unit-1)&^(unit-1))
			for begin < end {
				next := min(end, (begin+step)&^(step-1))
				if !yield(span{begin, next}, nil) {
					return
				}
				begin = next
			}
			at = max(at, end)
		}
	}
}

// union yields what lies in either of two ascending rows of spans, each cut at
// multiples of step as both are.
func union(a, b iter.Seq2[span, error], step int64) iter.Seq2[span, error] {
	return func(yield func(span, error) bool) {
		nextA, stopA := iter.Pull2(a)
		defer stopA()
		nextB, stopB := iter.Pull2(b)
		defer stopB()
		x, errX, okX := nextA()
		y, errY, okY := nextB()
		for okX || okY {
			if errX != nil || errY != nil {
				yield(span{}, firstError(errX, errY))
				return
			}
			var s span
			switch {
			case !okY || okX && x.off/step < y.off/step:
				s = x
				x, errX, okX = nextA()
			case !okX || y.off/step < x.off/step:
				s = y
				y, errY, okY = nextB()
			default: // in the same step
				s = span{min(x.off, y.off), max(x.end, y.end)}
				x, errX, okX = nextA()
				y, errY, okY = nextB()
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// workers is how many goroutines work on spans; a little more than processors,
// because some wait for the disk.
func workers(n int) int {
	if n > 0 {
		return n
	}
	return min(runtime.GOMAXPROCS(0)+1, 16)
}

// inOrder works on spans in several goroutines and hands the outcomes to take,
// one at a time and in the order of the spans. At most three times as many
// spans as goroutines are under way.
func inOrder[T any](ctx context.Context, n int, spans iter.Seq2[span, error], work func(span) (T, error), take func(span, T) error) error {
	type job struct {
		span
		out  T
		err  error
		done chan struct{}
	}
	group, ctx := errgroup.WithContext(ctx)
	todo, line := make(chan *job), make(chan *job, 2*n)
	group.Go(func() error {
		defer close(line)
		defer close(todo)
		for s, err := range spans {
			if err != nil {
				return err
			}
			j := &job{span: s, done: make(chan struct{})}
			for _, queue := range []chan *job{line, todo} {
				select {
				case queue <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	for range n {
		group.Go(func() error {
			for j := range todo {
				j.out, j.err = work(j.span)
				close(j.done)
			}
			return nil
		})
	}
	group.Go(func() error {
		for j := range line {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if j.err != nil {
				return j.err
			}
			if err := take(j.span, j.out); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// byTurns works on spans in several goroutines: each does one span from its
// beginning to its end, so that what it read is still in its processor's cache when it
// writes. turn waits until all spans before were done; what work does after it is done
// in the order of the spans, one at a time.
func byTurns(ctx context.Context, n int, spans iter.Seq2[span, error], work func(s span, turn func() error) error) error {
	type job struct {
		span
		before, done chan struct{}
	}
	group, ctx := errgroup.WithContext(ctx)
	todo := make(chan job)
	group.Go(func() error {
		defer close(todo)
		before := make(chan struct{})
		close(before)
		for s, err := range spans {
			if err != nil {
				return err
			}
			j := job{s, before, make(chan struct{})}
			select {
			case todo <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
			before = j.done
		}
		return nil
	})
	for range n {
		group.Go(func() error {
			for j := range todo {
				if err := work(j.span, func() error { return awaitTurn(ctx, j.before) }); err != nil {
					return err
				}
				if err := awaitTurn(ctx, j.before); err != nil {
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
