package disk

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func listed(ranges []span) spans {
	return func(context.Context) iter.Seq2[span, error] {
		return func(yield func(span, error) bool) {
			for _, r := range ranges {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

func collect(t interface{ Fatal(...any) }, todo spans) (all []span) {
	for s, err := range todo(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestCut(t *testing.T) {
	const end = math.MaxInt64
	for _, c := range []struct {
		name            string
		end, step, unit int64
		ranges, want    []span
	}{
		{"nothing", 100, 16, 4, nil, nil},
		{"widened", 100, 16, 4, []span{{5, 6}}, []span{{4, 8}}},
		{"widened to the end", 10, 16, 4, []span{{9, 10}}, []span{{8, 10}}},
		{"cut", 100, 16, 4, []span{{8, 40}}, []span{{8, 16}, {16, 32}, {32, 40}}},
		{"joined", 100, 16, 4, []span{{0, 3}, {3, 5}, {5, 17}}, []span{{0, 16}, {16, 20}}},
		{"joined by being widened", 100, 16, 4, []span{{0, 1}, {3, 4}, {5, 6}}, []span{{0, 8}}},
		{"joined across a cut", 100, 16, 4, []span{{0, 13}, {15, 16}, {16, 18}}, []span{{0, 16}, {16, 20}}},
		{"apart", 100, 16, 4, []span{{0, 1}, {8, 9}, {50, 51}}, []span{{0, 4}, {8, 12}, {48, 52}}},
		{"at the end of all", end, 1 << 20, 1 << 12, []span{{end - 5, end}}, []span{{end &^ 4095, end}}},
	} {
		if got := collect(t, cut(c.end, c.step, c.unit, listed(c.ranges))); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; it should be %v", c.name, got, c.want)
		}
	}
}

func TestCutCoversWhatItGets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const end, step, unit = 1000, 32, 8
		var ranges []span
		var want, got [end]bool
		for off := int64(0); ; {
			off += rapid.Int64Range(0, 60).Draw(t, "gap")
			n := rapid.Int64Range(1, 90).Draw(t, "length")
			if off+n > end {
				break
			}
			ranges = append(ranges, span{off, off + n})
			for at := off / unit * unit; at < min(end, (off+n+unit-1)/unit*unit); at++ {
				want[at] = true
			}
			off += n
		}
		last := int64(-1)
		for _, s := range collect(t, cut(end, step, unit, listed(ranges))) {
			if s.off < last || s.end <= s.off || s.off/step != (s.end-1)/step {
				t.Fatalf("a span is %v, and the one before ended at %d", s, last)
			}
			if s.off == last && s.off%step != 0 {
				t.Fatalf("two spans touch at %d", s.off)
			}
			last = s.end
			for at := s.off; at < s.end; at++ {
				got[at] = true
			}
		}
		if got != want {
			t.Fatalf("%v are covered wrongly", ranges)
		}
	})
}

func TestCutEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	for _, err := range cut(100, 16, 4, someSpans(0, broken))(t.Context()) {
		if err != broken {
			t.Errorf("the error is %v", err)
		}
	}
}
