package disk

import (
	"context"
	"iter"
)

// chunk is how much is read at once when whole disks are worked on.
const chunk = 1 << 20

// span is a range of a disk that is worked on as one.
type span struct{ off, end int64 }

// spans yields ranges of disks in ascending order. It ends at the first error,
// ctx's among them: it may have to go through a large table between two ranges.
type spans func(ctx context.Context) iter.Seq2[span, error]

// dataSpans are the ranges of a disk that may hold something else than zeros,
// as cut gives them.
func dataSpans(img Image, step, unit int64) spans {
	return cut(img.Size(), step, unit, func(ctx context.Context) iter.Seq2[span, error] {
		return func(yield func(span, error) bool) {
			for off, size := int64(0), img.Size(); off < size; {
				l, err := Layer{}, ctx.Err()
				if err == nil {
					l, err = LayerAt(img, off, size-off)
				}
				if (err != nil || l.State == Data) && !yield(span{off, l.End()}, err) || err != nil {
					return
				}
				off = l.End()
			}
		}
	})
}

// differing are the ranges of [off, end) that may read differently in two
// images, as cut gives them. Of the rest the images' maps tell that it is alike. A
// nil image, and what lies behind an image's end, reads as zeros.
func differing(a, b Image, off, end, step, unit int64) spans {
	return cut(end, step, unit, func(ctx context.Context) iter.Seq2[span, error] {
		return func(yield func(span, error) bool) {
			var x, y Extent
			for at := off; at < end; {
				err := firstError(ctx.Err(), firstError(advance(&x, a, at, end), advance(&y, b, at, end)))
				if err != nil {
					yield(span{}, err)
					return
				}
				next := min(x.End(), y.End())
				if !alike(x, y) && !yield(span{at, next}, nil) {
					return
				}
				at = next
			}
		}
	})
}

// advance maps what follows on an extent when that ends at the offset.
func advance(e *Extent, img Image, at, end int64) error {
	if at < e.End() {
		return nil
	}
	if img == nil || at >= img.Size() {
		*e = Extent{Off: at, Len: end - at, State: Zeroed}
		return nil
	}
	l, err := LayerAt(img, at, min(end, img.Size())-at)
	*e = l.Extent
	return err
}

// alike tells whether two extents read the same where both are: as zeros, or
// from the same place of one file. Both are answers of a whole chain.
func alike(a, b Extent) bool {
	if a.State != Data || b.State != Data {
		return a.State != Data && b.State != Data
	}
	if a.Compressed || b.Compressed || a.File == nil || b.File == nil || a.HostOff-a.Off != b.HostOff-b.Off {
		return false
	}
	if a.File == b.File {
		return true
	}
	s, ok := a.File.(Samer)
	return ok && s.Same(b.File)
}

// cut joins ascending ranges that touch, widens them to multiples of unit and
// cuts them at multiples of step; nothing goes beyond end. Both are powers of two,
// and unit divides step.
func cut(end, step, unit int64, ranges spans) spans {
	return func(ctx context.Context) iter.Seq2[span, error] {
		return func(yield func(span, error) bool) {
			var open span // joined, and not yielded yet
			pass := func(until int64) bool {
				for open.off < until {
					next := open.off + min(until-open.off, step-open.off&(step-1))
					if !yield(span{open.off, next}, nil) {
						return false
					}
					open.off = next
				}
				return true
			}
			for r, err := range ranges(ctx) {
				if err != nil {
					yield(span{}, err)
					return
				}
				r.off &^= unit - 1
				r.end += min(end-r.end, -r.end&(unit-1))
				if r.off > open.end {
					if !pass(open.end) {
						return
					}
					open = r
				}
				open.end = max(open.end, r.end)
				if !pass(open.end &^ (step - 1)) {
					return
				}
			}
			pass(open.end)
		}
	}
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
