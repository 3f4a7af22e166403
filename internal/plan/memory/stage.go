package memory

import (
	"fmt"
	"slices"
	"time"
)

// Stage is by what a host makes room that runs short of memory.
type Stage int

// The stages in their order: each comes when the one before has given what it can, or not enough in time.
const (
	Enough      Stage = iota // it does not run short
	Ballooning               // guests give, by their balloons and by what is plugged into them
	Merging                  // equal pages are merged
	Compressing              // cold memory goes into compressed memory
	Swapping                 // cold memory goes to swap outside of memory
	Exhausted                // nothing is left
)

// stage is how far a host has come that has lacked memory for a while, and why.
func (c ReclaimConfig) stage(lack int64, why string, short time.Duration, claims []reclaim, means Means) (Stage, string) {
	reaches := func(reach Reach) bool {
		return slices.ContainsFunc(claims, func(k reclaim) bool { return k.Reach >= reach })
	}
	patience := c.Patience
	switch {
	case lack == 0:
		return Enough, ""
	case means.Ballooning >= c.Least && short < patience:
		return Ballooning, why + ", and guests give what they can spare"
	case means.Ballooning >= c.Least:
		patience += c.Patience
	}
	switch {
	case means.Sharing && short < patience:
		return Merging, why + ", guests give no more, and equal pages are being merged"
	case means.Barred != "":
	case means.CompressRoom >= c.Least && reaches(IntoCompressed):
		return Compressing, fmt.Sprintf("%s, and %s", why, c.exhausted(means, Compress))
	case means.SwapRoom >= c.Least && reaches(IntoSwap):
		return Swapping, fmt.Sprintf("%s, and %s", why, c.exhausted(means, Swap))
	}
	return Exhausted, fmt.Sprintf("%s, %s, and nothing can be moved out: %s", why, c.exhausted(means, Compress), c.barred(reaches, means))
}

// exhausted says why what comes before an action is not enough.
func (c ReclaimConfig) exhausted(means Means, action Action) string {
	before := "guests and sharing give no more"
	if means.Ballooning > 0 {
		before = "guests do not give enough in time"
	}
	if action == Compress {
		return before
	}
	return before + ", and " + c.fullness(means)
}

// fullness says why nothing more is compressed.
func (c ReclaimConfig) fullness(means Means) string {
	switch {
	case means.Compressor == "":
		return "the host has no compressed memory"
	case means.CompressRoom < c.Least:
		return fmt.Sprintf("compressed memory (%s) is full", means.Compressor)
	}
	return fmt.Sprintf("nothing more may go into compressed memory (%s)", means.Compressor)
}

// barred says why nothing can be moved out.
func (c ReclaimConfig) barred(reaches func(Reach) bool, means Means) string {
	swap := "swap is full"
	switch {
	case means.Barred != "":
		return means.Barred
	case !reaches(IntoCompressed):
		return "no machine's memory may be (memory.reclaim)"
	case !means.HasSwap:
		swap = "there is no swap outside of memory"
	case means.SwapRoom >= c.Least:
		swap = "no machine's memory may be swapped (memory.reclaim)"
	}
	return c.fullness(means) + ", and " + swap
}

// Told is what was said last of the stage that a host is in.
type Told struct {
	Stage  Stage
	nearer time.Time // since when it has not come so far any more; zero while it does
}

// tellAfter is for how long a host must not have come so far any more before that is said.
const tellAfter = 10 * time.Second

// Tell takes in the stage that a host is in, and tells whether that is to be said: of one that is farther at once, of one
// that is nearer when it has stayed so for a while.
func (t Told) Tell(now time.Time, stage Stage) (Told, bool) {
	switch {
	case stage == t.Stage:
		return Told{Stage: stage}, false
	case stage > t.Stage:
		return Told{Stage: stage}, true
	case t.nearer.IsZero():
		t.nearer = now
		return t, false
	case now.Sub(t.nearer) < tellAfter:
		return t, false
	}
	return Told{Stage: stage}, true
}
