package blockmap

import (
	"cmp"
	"slices"
)

// Span is a range of the file, and what is in it.
type Span struct {
	From, To int64
	What     string // unless it is a block
}

// Space is the room of a file for blocks. All of it that is free lies in gaps
// or behind the end. It is guarded by the lock of the space.
type Space struct {
	shape   Shape
	end     int64
	gaps    []Span  // before end, ascending, each long enough for a block
	fixed   []Span  // before end, used by something else than blocks
	given   []int64 // given up, while durable pointers may lead there
	durable []int64 // given up, and no durable pointer leads there
}

// NewSpace finds the room that is left. used is what else than blocks the file
// has, and blocks are where the blocks begin, ascending. The room behind the end
// begins at least at end.
func NewSpace(shape Shape, used []Span, blocks []int64, end int64) *Space {
	a := &Space{shape: shape, end: shape.Base, fixed: slices.Clone(used)}
	slices.SortFunc(a.fixed, func(x, y Span) int { return cmp.Compare(x.From, y.From) })
	rest := a.fixed
	for _, at := range blocks {
		for ; len(rest) > 0 && rest[0].From < at; rest = rest[1:] {
			a.take(rest[0].From, rest[0].To)
		}
		a.take(at, at+shape.Stride())
	}
	for _, s := range rest {
		a.take(s.From, s.To)
	}
	a.take(end, end)
	a.end = a.whole(a.end)
	return a
}

// Behind is a space with no room but that behind end.
func Behind(shape Shape, end int64) *Space {
	a := &Space{shape: shape}
	a.end = a.whole(end)
	return a
}

// take notes that a range is used, and what lies between it and those before
// is a gap.
func (a *Space) take(from, to int64) {
	if at := a.whole(a.end); from-at >= a.shape.Stride() {
		a.gaps = append(a.gaps, Span{From: at, To: from})
	}
	a.end = max(a.end, to)
}

// whole is the next offset that a pointer can lead to.
func (a *Space) whole(at int64) int64 { return a.shape.Base + roundUp(at-a.shape.Base, a.shape.Unit) }

// aligned is the next offset at which a block has its data aligned.
func (a *Space) aligned(at int64) int64 {
	return roundUp(at+a.shape.Before, a.shape.Align) - a.shape.Before
}

// End is where the room ends that is used: all behind it is free.
func (a *Space) End() int64 { return a.end }

// Gaps is how many bytes of gaps there are, and how many of these in gaps that
// begin before an offset.
func (a *Space) Gaps(at int64) (all, before int64) {
	for _, g := range a.gaps {
		all += g.To - g.From
		if g.From < at {
			before += g.To - g.From
		}
	}
	return all, before
}

// Take gives room for up to n blocks that follow each other, in the first gap
// or behind the end, and tells for how many. It gives none when no pointer leads
// to what is free.
func (a *Space) Take(n int64) (pointer uint32, got int64) {
	stride := a.shape.Stride()
	for len(a.gaps) > 0 {
		g := &a.gaps[0]
		at := a.aligned(g.From)
		if at+stride > g.To {
			at = g.From
		}
		got = min(n, (g.To-at)/stride)
		if got == 0 {
			a.gaps = a.gaps[1:]
			continue
		}
		g.From = at + got*stride
		return a.pointer(at), got
	}
	at := a.aligned(a.end)
	room := (int64(a.shape.None)*a.shape.Unit - (at - a.shape.Base) + stride - 1) / stride
	got = min(n, room)
	if got <= 0 {
		return 0, 0
	}
	a.end = at + got*stride
	return a.pointer(at), got
}

func (a *Space) pointer(at int64) uint32 { return uint32((at - a.shape.Base) / a.shape.Unit) }

// Back takes room back that was not used after all.
func (a *Space) Back(pointer uint32, n int64) {
	at := a.shape.At(pointer)
	a.gaps = append([]Span{{From: at, To: at + n*a.shape.Stride()}}, a.gaps...)
}

// Append gives room behind the end for something else than blocks, which stays.
func (a *Space) Append(n int64) (at int64) {
	at = a.end
	a.end = a.whole(at + n)
	a.fixed = append(a.fixed, Span{From: at, To: a.end})
	return at
}

// Give takes the room of a block that is given up. It is used again after
// Settle and Reuse.
func (a *Space) Give(pointer uint32) { a.given = append(a.given, a.shape.At(pointer)) }

// Settle says that the pointers are durable.
func (a *Space) Settle() {
	a.durable = append(a.durable, a.given...)
	a.given = nil
}

// Reuse makes gaps of the room that no durable pointer leads to, and calls each
// for what it was. It tells whether the end moved forward.
func (a *Space) Reuse(each func(at, n int64)) (shorter bool) {
	if len(a.durable) == 0 {
		return false
	}
	for _, at := range a.durable {
		each(at, a.shape.Stride())
		a.gaps = append(a.gaps, Span{From: at, To: at + a.shape.Stride()})
	}
	a.durable = nil
	slices.SortFunc(a.gaps, func(x, y Span) int { return cmp.Compare(x.From, y.From) })
	joined := a.gaps[:1]
	for _, g := range a.gaps[1:] {
		if last := &joined[len(joined)-1]; a.empty(last.To, g.From) {
			last.To = max(last.To, g.To)
			continue
		}
		joined = append(joined, g)
	}
	a.gaps = joined
	if last := len(joined) - 1; joined[last].To == a.end {
		a.end, a.gaps = joined[last].From, joined[:last]
		return true
	}
	return false
}

// empty tells whether a range between two gaps holds nothing but what was left
// over for the sake of alignment.
func (a *Space) empty(from, to int64) bool {
	return to-from < min(a.shape.Align, a.shape.Stride()) &&
		!slices.ContainsFunc(a.fixed, func(s Span) bool { return s.From < to && from < s.To })
}

// gapBefore tells whether there is a gap before an offset.
func (a *Space) gapBefore(at int64) bool {
	for len(a.gaps) > 0 && a.gaps[0].To-a.gaps[0].From < a.shape.Stride() {
		a.gaps = a.gaps[1:]
	}
	return len(a.gaps) > 0 && a.gaps[0].From < at
}
