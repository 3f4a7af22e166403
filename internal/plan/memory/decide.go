package memory

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Guest is what is known of one guest. All sizes are bytes.
type Guest struct {
	ID      string
	Minimum int64 // what it keeps in any case
	Maximum int64 // what it can have
	Shares  int   // its weight, at least 1
	// Size is what it was given; Has is what it has now, which differs from Size while
	// it is on the way there.
	Size, Has int64
	// Available is what its programs could still have, as its kernel says. Unknown is
	// negative: such a guest is left alone.
	Available   int64
	MajorFaults float64 // pages a second that it had to read again
	SwapIns     float64 // bytes a second that it took back from its swap
}

// Host is what is known of the host.
type Host struct {
	Free     int64   // bytes that it can give to guests; negative where it is that short
	Pressure float64 // share of the time in which somebody waited for memory (PSI some avg10), in percent
}

// Memory is what Decide remembers of a guest from one time to the next.
type Memory struct {
	WorkingSet int64     // bytes that it needs, smoothed
	Grown      time.Time // when it was last given more
	Shrunk     time.Time
}

// State is what Decide remembers; the zero State remembers nothing.
type State map[string]Memory

// Step is one change.
type Step struct {
	ID       string
	From, To int64 // bytes: Guest.Size before and from now on
	Reason   string
}

// Config is how Decide weighs. The zero Config is [Defaults].
type Config struct {
	// LowPart of its size is what a guest must have available, and Low at least: with
	// less it runs short.
	LowPart float64
	Low     int64
	// RestPart of its working set is what a guest gets beyond that.
	RestPart float64
	// Leap is the least part of its size that a guest grows by.
	Leap float64
	// Faults and Swaps a second above which it runs short, too.
	Faults, Swaps float64
	// Pressure of the host from which on it counts as short, in percent.
	Pressure float64
	// Bite is the most of its size that is taken from a guest at once.
	Bite float64
	// Settle is how long one that has grown is left alone.
	Settle time.Duration
	// Forget is the time in which half of what a working set has fallen by is believed.
	Forget time.Duration
	// Dead is the part of its size below which a change is not worth it.
	Dead float64
}

// Defaults are what the daemon weighs with.
var Defaults = Config{
	LowPart: 0.10, Low: 24 << 20, RestPart: 0.30, Leap: 0.25, Faults: 400, Swaps: 4 << 20, Pressure: 10,
	Bite: 0.20, Settle: 15 * time.Second, Forget: 10 * time.Second, Dead: 0.02,
}

// block is what changes are made in whole numbers of.
const block = 2 << 20

// Decide says what is to change. elapsed is the time since the State was made; guests
// that it does not know begin afresh. The new State is to be given to the next call.
func Decide(c Config, now time.Time, elapsed time.Duration, host Host, guests []Guest, before State) ([]Step, State) {
	after := make(State, len(guests))
	claims := make([]claim, 0, len(guests))
	for _, g := range guests {
		remembered := c.remember(g, before[g.ID], elapsed)
		after[g.ID] = remembered
		claims = append(claims, c.claim(g, remembered, now))
	}
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Compare(a.ID, b.ID) })
	c.share(host, claims)
	var steps []Step
	for _, k := range claims {
		step, worth := c.step(k, host)
		if !worth {
			continue
		}
		remembered := after[k.ID]
		if step.To > step.From {
			remembered.Grown = now
		} else {
			remembered.Shrunk = now
		}
		after[k.ID] = remembered
		steps = append(steps, step)
	}
	return steps, after
}

// remember brings what is known of a guest up to date: a working set that rises is
// believed at once, one that falls by and by.
func (c Config) remember(g Guest, m Memory, elapsed time.Duration) Memory {
	if g.Available < 0 {
		return m
	}
	seen := max(0, g.Has-g.Available)
	if seen >= m.WorkingSet || m.WorkingSet == 0 {
		m.WorkingSet = seen
		return m
	}
	halves := float64(elapsed) / float64(c.Forget)
	m.WorkingSet = seen + int64(float64(m.WorkingSet-seen)*halve(halves))
	return m
}

// halve is a half to the power of n, near enough for small n, and never negative.
func halve(n float64) float64 { return 1 / (1 + n) }

// claim is what a guest must keep, may keep and is to get.
type claim struct {
	Guest
	floor  int64 // no less than that
	want   int64 // no more than that
	target int64
	short  string // why it runs short, empty if it does not
}

// claim weighs a guest.
func (c Config) claim(g Guest, m Memory, now time.Time) claim {
	k := claim{Guest: g, floor: g.Size, want: g.Size, target: g.Size}
	if g.Available < 0 {
		return k // it says nothing: it keeps what it has
	}
	low := c.low(g.Size)
	k.short = c.runsShort(g, low)
	switch {
	case k.short != "" && g.Has < g.Size-block:
		// More is on its way.
	case k.short != "":
		k.want = bounded(max(g.Size+int64(c.Leap*float64(g.Size)), m.WorkingSet+low+int64(c.RestPart*float64(m.WorkingSet))), g)
	default:
		keep := m.WorkingSet + 2*low
		if now.Sub(m.Grown) < c.Settle {
			keep = g.Size
		}
		k.floor = min(g.Size, bounded(keep, g))
	}
	k.want = max(k.want, bounded(g.Size, g)) // one that is below its minimum
	k.floor = min(max(k.floor, min(g.Minimum, g.Size)), k.want)
	k.target = k.want
	return k
}

// Spare is how many bytes a guest can still take before it runs short; negative when it does, or says nothing.
func (c Config) Spare(g Guest) int64 {
	if g.Available < 0 {
		return -1
	}
	return g.Available - c.low(g.Size)
}

// IsNear tells whether a guest that can have more is about to run short: what it has available is hardly three times what
// it must have.
func (c Config) IsNear(g Guest) bool {
	return g.Available >= 0 && g.Size < g.Maximum && g.Available < 3*c.low(g.Size)
}

// low is what a guest of a size must have available.
func (c Config) low(size int64) int64 { return max(c.Low, int64(c.LowPart*float64(size))) }

// bounded is a size within a guest's range, in whole blocks.
func bounded(size int64, g Guest) int64 {
	return min(max((size+block-1)/block*block, g.Minimum), g.Maximum)
}

// runsShort says why a guest needs more, empty if it does not.
func (c Config) runsShort(g Guest, low int64) string {
	switch {
	case g.Available < low:
		return fmt.Sprintf("the guest runs short: %s of its %s are available", mib(g.Available), mib(g.Has))
	case g.SwapIns > c.Swaps:
		return fmt.Sprintf("the guest runs short: it takes %s a second back from its swap", mib(int64(g.SwapIns)))
	case g.MajorFaults > c.Faults && g.Available < 2*low:
		return fmt.Sprintf("the guest runs short: it reads %.0f pages a second again", g.MajorFaults)
	}
	return ""
}

func mib(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
