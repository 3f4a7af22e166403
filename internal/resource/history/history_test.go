package history

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSamplesThatComeTooSoonAreLeftOut(t *testing.T) {
	r, begin := New[int](10*time.Second, time.Minute), time.Unix(1e9, 0)
	for i, after := range []time.Duration{0, 5 * time.Second, 9500 * time.Millisecond, 20 * time.Second} {
		r.Add(begin.Add(after), i)
	}
	if diff := cmp.Diff([]int{0, 2, 3}, r.Since(time.Time{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{3}, r.Since(begin.Add(10*time.Second))); diff != "" {
		t.Error(diff)
	}
}

// TestRingKeepsTheNewest compares with a slice.
func TestRingKeepsTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(1, 20).Draw(t, "bound")
		r := New[int](time.Second, time.Duration(bound)*time.Second)
		var all []int
		for i := range rapid.IntRange(0, 60).Draw(t, "count") {
			r.Add(time.Unix(int64(i), 0), i)
			all = append(all, i)
		}
		want := all[max(0, len(all)-bound):]
		if got := r.Since(time.Time{}); len(got) != len(want) || len(want) > 0 && !cmp.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}
