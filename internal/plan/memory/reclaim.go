package memory

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Reach is how far memory may be moved out.
type Reach int

// How far memory may be moved out, each farther than the one before.
const (
	Nowhere Reach = iota
	IntoCompressed
	IntoSwap
)

// Action is what a [Reclamation] does.
type Action string

// The actions: where what is moved out goes.
const (
	Compress Action = "compress"
	Swap     Action = "swap"
)

// Process is what is known of a machine's process, whose memory may be moved out without
// its guest. All sizes are bytes.
type Process struct {
	ID    string
	Has   int64 // of the host's memory
	Out   int64 // moved out already
	Keep  int64 // what it keeps in any case: its reservation
	Limit int64 // the most that it may have; 0 for any number
	Most  int64 // the most that may be moved out; negative for any number
	// Shares is its weight against others, at least 1.
	Shares int
	Reach  Reach
	// Returned is how much of what was moved out it takes back in a second.
	Returned float64
}

// Means are what there is to make room by.
type Means struct {
	Ballooning   int64 // what guests still can give, or are about to
	Sharing      bool  // the kernel is finding equal pages
	CompressRoom int64 // what compressed memory still takes
	SwapRoom     int64 // what swap outside of memory still takes

	Compressor string // what compressed memory is called, empty where there is none
	HasSwap    bool   // there is swap outside of memory, full or not
	Barred     string // why the kernel cannot be asked to move anything out; empty where it can
}

// Reclamation is memory to be moved out.
type Reclamation struct {
	ID     string
	Bytes  int64
	Action Action
	Reason string
}

// Moved is what Reclaim remembers of a process from one time to the next.
type Moved struct {
	Needs int64         // what it was seen to need: it took back what was moved out
	Last  time.Time     // when something was moved out last
	Rest  time.Duration // how long it is left alone, once it took something back
	Until time.Time     // until when that is
}

// Reclaimed is what Reclaim remembers; the zero Reclaimed remembers nothing.
type Reclaimed struct {
	Short     time.Time // since when the host runs short
	Processes map[string]Moved
	Stage     Stage  // how far it has come
	Why       string // why; empty for Enough
}

// ReclaimConfig is how Reclaim weighs.
type ReclaimConfig struct {
	// Patience is how long what comes before is waited for, each.
	Patience time.Duration
	// Pressure of the host from which on it counts as short, in percent.
	Pressure float64
	// Bite is the most of what it has that is taken from a process at once.
	Bite float64
	// Least is what it is not worth it to move less than.
	Least int64
	// Returns is how much a second a process may take back without being left alone, and
	// Within how long after something was moved out that counts.
	Returns float64
	Within  time.Duration
	// Rest is how long a process is left alone at first, and MostRest at last: it
	// doubles each time.
	Rest, MostRest time.Duration
	// Believe is the time in which half of what a process was seen to need is forgotten, once
	// it has rested.
	Believe time.Duration
}

// ReclaimDefaults are what the daemon weighs with.
var ReclaimDefaults = ReclaimConfig{
	Patience: 6 * time.Second, Pressure: 20, Bite: 0.10, Least: 8 << 20,
	Returns: 4 << 20, Within: 30 * time.Second, Rest: 20 * time.Second, MostRest: 20 * time.Minute, Believe: 5 * time.Minute,
}

// Reclaim says which memory is to be moved out: of processes above their limits, and,
// once the balloon and sharing had their time, of all where the host runs short. It goes
// into compressed memory as long as there is room, then into swap. elapsed is the time since
// the state was made, which the next call is to be given.
func Reclaim(c ReclaimConfig, now time.Time, elapsed time.Duration, host Host, means Means, processes []Process, before Reclaimed) ([]Reclamation, Reclaimed) {
	after := Reclaimed{Short: before.Short, Processes: make(map[string]Moved, len(processes))}
	claims := make([]reclaim, 0, len(processes))
	for _, p := range processes {
		moved := c.remember(p, before.Processes[p.ID], now, elapsed)
		after.Processes[p.ID] = moved
		claims = append(claims, c.claim(p, moved, now))
	}
	slices.SortFunc(claims, func(a, b reclaim) int { return cmp.Compare(a.ID, b.ID) })
	lack, why := c.lack(host, claims)
	switch {
	case lack == 0:
		after.Short = time.Time{}
	case after.Short.IsZero():
		after.Short = now
	}
	after.Stage, after.Why = c.stage(lack, why, now.Sub(after.Short), claims, means)
	if after.Stage < Compressing {
		lack = 0
	}
	steps := c.move(claims, lack, why, means)
	for _, step := range steps {
		moved := after.Processes[step.ID]
		moved.Last = now
		after.Processes[step.ID] = moved
	}
	return steps, after
}

// lack is how much memory the host lacks, and the reason as a text.
func (c ReclaimConfig) lack(host Host, claims []reclaim) (lack int64, why string) {
	if host.Free < 0 {
		return -host.Free, fmt.Sprintf("the host runs short: it lacks %s", mib(-host.Free))
	}
	if host.Pressure < c.Pressure {
		return 0, ""
	}
	for _, k := range claims {
		lack += int64(c.Bite / 4 * float64(k.Has))
	}
	return lack, fmt.Sprintf("the host runs short: programs wait for memory %.0f %% of the time", host.Pressure)
}

// remember brings what is known of a process up to date: what it takes back it needs,
// and it is left alone for a while, longer each time.
func (c ReclaimConfig) remember(p Process, m Moved, now time.Time, elapsed time.Duration) Moved {
	resting := now.Before(m.Until)
	if p.Returned > c.Returns && !m.Last.IsZero() && (resting || now.Sub(m.Last) < c.Within) {
		m.Needs = max(m.Needs, p.Has)
		if !resting {
			m.Rest = min(max(c.Rest, 2*m.Rest), c.MostRest)
			m.Until = now.Add(m.Rest)
		}
		return m
	}
	if resting {
		return m
	}
	m.Needs = int64(float64(m.Needs) * halve(float64(elapsed)/float64(c.Believe)))
	return m
}

// reclaim is what may be taken from a process, and what must.
type reclaim struct {
	Process
	floor int64 // no less than that
	over  int64 // what it has beyond its limit
}

func (c ReclaimConfig) claim(p Process, m Moved, now time.Time) reclaim {
	k := reclaim{Process: p, floor: max(p.Keep, m.Needs)}
	if now.Before(m.Until) {
		k.floor = max(k.floor, p.Has)
	}
	if p.Most >= 0 {
		k.floor = max(k.floor, p.Has-max(0, p.Most-p.Out))
	}
	if p.Limit > 0 && p.Has > p.Limit+c.Least {
		// What its administrator has set goes before what it needs, but not before what it was promised.
		k.over = p.Has - max(p.Limit, p.Keep)
		k.over = min(k.over, p.Has-min(p.Has, p.Keep))
		if p.Most >= 0 {
			k.over = min(k.over, max(0, p.Most-p.Out))
		}
	}
	return k
}

// mayGive is what may be taken from a process at once.
func (c ReclaimConfig) mayGive(k reclaim) int64 {
	return max(0, min(k.Has-k.floor, max(int64(c.Bite*float64(k.Has)), 4*c.Least)))
}

// move deals out what is to be taken: what is beyond limits, and of the lack what is left
// then, by shares.
func (c ReclaimConfig) move(claims []reclaim, lack int64, why string, means Means) []Reclamation {
	var steps []Reclamation
	room := map[Action]int64{Compress: means.CompressRoom, Swap: means.SwapRoom}
	take := func(k reclaim, bytes int64, action Action, reason string) {
		if bytes = min(bytes, room[action]); bytes >= c.Least {
			room[action] -= bytes
			steps = append(steps, Reclamation{k.ID, bytes, action, reason})
		}
	}
	for _, k := range claims {
		if action, ok := c.action(k.Reach, means); ok && k.over >= c.Least {
			take(k, k.over, action, fmt.Sprintf("it has %s of the host's memory, more than its limit, %s", mib(k.Has), mib(k.Limit)))
			lack -= k.over
		}
	}
	if lack <= 0 {
		return steps
	}
	action := Swap
	givers := c.givers(claims, IntoCompressed)
	if means.CompressRoom >= c.Least && len(givers) > 0 {
		action = Compress
	} else {
		givers = c.givers(claims, IntoSwap)
	}
	why = fmt.Sprintf("%s, and %s", why, c.exhausted(means, action))
	for i, bytes := range c.parts(givers, lack) {
		if bytes > 0 {
			take(givers[i], bytes, action, why)
		}
	}
	return steps
}

// action is where what is taken from a process goes first.
func (c ReclaimConfig) action(reach Reach, means Means) (Action, bool) {
	switch {
	case reach >= IntoCompressed && means.CompressRoom >= c.Least:
		return Compress, true
	case reach >= IntoSwap && means.SwapRoom >= c.Least:
		return Swap, true
	}
	return "", false
}

// givers are those of which something may be taken that goes so far, and that are not
// being brought to their limits anyway.
func (c ReclaimConfig) givers(claims []reclaim, reach Reach) []reclaim {
	var givers []reclaim
	for _, k := range claims {
		if k.Reach >= reach && k.over < c.Least && c.mayGive(k) >= c.Least {
			givers = append(givers, k)
		}
	}
	return givers
}

// parts is what each is to give of a lack: by shares, what lies above its floor. Those that
// would give next to nothing do so in turn, the largest part first.
func (c ReclaimConfig) parts(givers []reclaim, lack int64) []int64 {
	claims := make([]claim, len(givers))
	var has, floors int64
	for i, k := range givers {
		claims[i] = claim{Guest: Guest{Shares: k.Shares}, floor: k.Has - c.mayGive(k), want: k.Has}
		has += k.Has
		floors += claims[i].floor
	}
	level := waterLevel(claims, max(has-lack, floors))
	parts, order := make([]int64, len(givers)), make([]int, len(givers))
	for i := range claims {
		parts[i], order[i] = givers[i].Has-claims[i].at(level), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(parts[b], parts[a]) })
	for _, i := range order {
		if lack <= 0 {
			parts[i] = 0
			continue
		}
		parts[i] = max(parts[i], c.Least) // each may give that much, or it were none of them
		lack -= parts[i]
	}
	return parts
}

// Room is how much guests could give if the host ran short: what lies between what they
// have and what they need, and what they have been asked for and not given yet.
func Room(c Config, now time.Time, guests []Guest, state State) (room int64) {
	for _, g := range guests {
		k := c.claim(g, state[g.ID], now)
		give := g.Size - k.floor
		if give >= c.dead(g.Size) {
			room += give
		}
		room += max(0, g.Has-g.Size)
	}
	return room
}
