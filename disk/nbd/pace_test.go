package nbd

import (
	"testing"
	"time"
)

// inline counts how many of n requests the reader does itself.
func inline(n int, took func(i int) time.Duration) int {
	c := &conn{}
	done := 0
	for i := range n {
		if c.isQuick(request{kind: cmdRead, length: 4096}) {
			done++
			c.pace.took(took(i), 4096)
		}
	}
	return done
}

func TestPace(t *testing.T) {
	const n = 100_000
	quick, slow := 5*time.Microsecond, 2*time.Millisecond
	for name, try := range map[string]struct {
		took        func(i int) time.Duration
		least, most int
	}{
		"from memory":          {func(int) time.Duration { return quick }, n, n},
		"now and then a pause": {func(i int) time.Duration { return []time.Duration{slow, quick, quick, quick}[i%4] }, n, n},
		"from a disk":          {func(int) time.Duration { return slow }, 5, 100},
		"memory, after a disk": {
			func(i int) time.Duration {
				if i < n/10 {
					return slow
				}
				return quick
			}, n * 8 / 10, n,
		},
	} {
		if got := inline(n, try.took); got < try.least || got > try.most {
			t.Errorf("%s: %d of %d", name, got, n)
		}
	}
}

func TestWhatIsNeverQuick(t *testing.T) {
	for _, r := range []request{
		{kind: cmdFlush},
		{kind: cmdTrim},
		{kind: cmdWriteZeroes, length: 1},
		{kind: cmdBlockStatus, length: 1},
		{kind: cmdWrite, length: 1, flags: cmdFlagFUA},
		{kind: cmdRead, length: quickBytes + 1},
	} {
		if (&conn{}).isQuick(r) {
			t.Errorf("%+v", r)
		}
	}
}
