package vdi

import (
	"cmp"
	"context"
	"slices"

	"github.com/panalvm/panal/disk"
)

// held is a place that a block of the disk has.
type held struct{ place, index uint32 }

// survey is what the whole block map says.
type survey struct {
	held    []held // by place, ascending; of two with one place the lower block first
	zeroed  int64  // blocks that are zero by the map
	unknown int64  // blocks that are unallocated
	crowded bool   // more blocks are held than the file can hold; held ends there
}

// survey reads the block map.
func (m *image) survey(ctx context.Context) (survey, error) {
	var s survey
	room := m.fileEnd.Load()/m.geo.stride + 2
	for index := range m.geo.blocks {
		if index%longestRun == 0 && ctx.Err() != nil {
			return s, ctx.Err()
		}
		place, err := m.place(index)
		switch {
		case err != nil:
			return s, err
		case place == unallocated:
			s.unknown++
		case place == zeroed:
			s.zeroed++
		case int64(len(s.held)) >= room:
			s.crowded = true
			return s, nil
		default:
			s.held = append(s.held, held{place, uint32(index)})
		}
	}
	slices.SortFunc(s.held, func(a, b held) int { return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.index, b.index)) })
	return s, nil
}

// next is the place behind the highest that is held.
func (s survey) next() int64 {
	if len(s.held) == 0 {
		return 0
	}
	return int64(s.held[len(s.held)-1].place) + 1
}

// usable tells whether the map can be built on: no two blocks in one place,
// none where the file ended.
func (m *image) usable(s survey) error {
	if s.crowded {
		return disk.Corrupt(name, m.geo.offMap, "the map gives places to more blocks than the file can hold; repair the image before it is changed")
	}
	for i, h := range s.held {
		if i > 0 && s.held[i-1].place == h.place {
			return disk.Corrupt(name, m.entryAt(h), "blocks %d and %d have the same place %d; repair the image before it is changed", s.held[i-1].index, h.index, h.place)
		}
		if m.lost(h.place) {
			return disk.Corrupt(name, m.entryAt(h), "block %d has the place %d, before which the file ends; repair the image before it is changed", h.index, h.place)
		}
	}
	return nil
}

// entryAt is where the file says which place a block has.
func (m *image) entryAt(h held) int64 { return m.geo.offMap + 4*int64(h.index) }

// lost tells whether a place lies behind the end of the file though it is not
// the last one that is used.
func (m *image) lost(place uint32) bool {
	return m.missing(place) && int64(place)+1 != m.used.Load()
}

// missing tells whether a place lies behind the end of the file.
func (m *image) missing(place uint32) bool {
	return m.geo.offData+int64(place)*m.geo.stride >= m.fileEnd.Load()
}

// run is a row of places.
type run struct{ start, count int64 }

// allocator gives places out.
type allocator struct {
	next    int64    // behind it no place is used
	free    []run    // before next, ascending
	given   []uint32 // given up, while the file may still point to them
	durable []uint32 // given up, and the file points to them no more
}

// newAllocator finds the free places of a survey. used is the number in the
// header, as far as the file has these places.
func newAllocator(s survey, used int64) *allocator {
	a := &allocator{}
	for _, h := range s.held {
		a.gap(int64(h.place))
		a.next = int64(h.place) + 1
	}
	a.gap(used)
	a.next = max(a.next, used)
	return a
}

// gap makes the places from next to end free.
func (a *allocator) gap(end int64) {
	if end > a.next {
		a.free = append(a.free, run{a.next, end - a.next})
	}
}

// take gives out up to n places that follow each other: free ones first.
func (a *allocator) take(n int64) (start, got int64, err error) {
	if len(a.free) > 0 {
		r := &a.free[0]
		start, got = r.start, min(n, r.count)
		r.start, r.count = r.start+got, r.count-got
		if r.count == 0 {
			a.free = a.free[1:]
		}
		return start, got, nil
	}
	got = min(n, zeroed-a.next)
	if got <= 0 {
		return 0, 0, disk.Unsupported(name, "the image has no number left for a new block; compact it, or convert it to one with larger blocks")
	}
	start = a.next
	a.next += got
	return start, got, nil
}

// reuse makes the places free that were given up for good, and tells the new
// end of the places.
func (a *allocator) reuse() (next int64) {
	for _, p := range a.durable {
		a.free = append(a.free, run{int64(p), 1})
	}
	a.durable = nil
	slices.SortFunc(a.free, func(x, y run) int { return cmp.Compare(x.start, y.start) })
	joined := a.free[:0]
	for _, r := range a.free {
		if last := len(joined) - 1; last >= 0 && joined[last].start+joined[last].count == r.start {
			joined[last].count += r.count
			continue
		}
		joined = append(joined, r)
	}
	a.free = joined
	if last := len(joined) - 1; last >= 0 && joined[last].start+joined[last].count == a.next {
		a.next, a.free = joined[last].start, joined[:last]
	}
	return a.next
}
