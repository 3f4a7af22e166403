// Package sharing decides how fast the kernel looks for equal pages of memory (KSM),
// which costs processor time and saves memory. [Tune] is a function of what the kernel
// has counted: the rate doubles while looking pays, halves while it does not, and where it
// has not paid for some rounds nothing is looked for, until there is something new.
package sharing

import "time"

// Counters are what the kernel has counted, in pages.
type Counters struct {
	Offered int64 // that processes offer to be merged; 0 for none
	Saved   int64 // that are not needed thanks to merging
	Scanned int64 // looked at since the host was booted
	Rounds  int64 // times that all that is offered was looked at
}

// Setting is how the kernel is to look.
type Setting struct {
	Run   bool
	Pages int           // looked at at once
	Sleep time.Duration // between that
}

// State is what Tune remembers; the zero State remembers nothing.
type State struct {
	Pages   int
	Before  Counters
	Idle    int       // rounds in a row that have not paid
	Stopped time.Time // when looking was given up; zero while it goes on
}

// The bounds of looking: what the kernel does if it is told nothing, and about half of a
// processor.
const (
	leastPages = 100
	mostPages  = 8000
	sleep      = 20 * time.Millisecond
	// pays is the part of the pages looked at that must turn out to be equal to others.
	pays = 0.002
	// givesUp is after how many rounds that have not paid looking stops.
	givesUp = 3
	// triesAgain is how long it is stopped.
	triesAgain = 10 * time.Minute
)

// Tune says how the kernel is to look from now on. short tells that the host runs short of
// memory, so that looking pays where it did not.
func Tune(now time.Time, counted Counters, short bool, s State) (Setting, State) {
	before := s.Before
	s.Before = counted
	if counted.Offered == 0 {
		return Setting{}, State{Before: counted}
	}
	fresh := counted.Offered > before.Offered+before.Offered/20 || s.Pages == 0
	if fresh {
		s.Pages, s.Idle, s.Stopped = max(s.Pages, 10*leastPages), 0, time.Time{}
	}
	if !s.Stopped.IsZero() {
		if now.Sub(s.Stopped) < triesAgain && !short {
			return Setting{}, s
		}
		s.Pages, s.Idle, s.Stopped = leastPages, 0, time.Time{}
	}
	scanned, found := counted.Scanned-before.Scanned, counted.Saved-before.Saved
	switch {
	case fresh || scanned <= 0:
	case float64(found) >= pays*float64(scanned):
		s.Pages, s.Idle = min(2*s.Pages, mostPages), 0
	case counted.Rounds > before.Rounds:
		// All was looked at, and hardly anything was new.
		s.Pages, s.Idle = max(s.Pages/2, leastPages), s.Idle+1
	}
	if s.Idle >= givesUp && s.Pages == leastPages && !short {
		s.Stopped = now
		return Setting{}, s
	}
	return Setting{Run: true, Pages: s.Pages, Sleep: sleep}, s
}
