package ovf

import (
	"slices"
	"time"
)

// Start is how one machine starts and stops.
type Start struct {
	System          *VirtualSystem
	Delay           time.Duration // to wait behind it, before the next step
	WaitingForGuest bool          // or until its guest says that it is up, if that is earlier
	StopDelay       time.Duration // to wait for it to stop by itself
	StartAction     string        // "powerOn" or "none"
	StopAction      string        // "powerOff", "guestShutdown" or "none"
}

// StartOrder lists all machines in steps: those of one step start at once. They
// stop in the reverse order. A collection within another is started, from its
// first step to its last, where the outer one has its place; members that the
// StartupSection does not name have the order 0 (DSP0243 1.1, 9.7).
func (e *Envelope) StartOrder() [][]Start { return inOrder(e.Content, nil, StartupItem{}) }

// inOrder gives the steps of members. What the outer collection says of the
// whole holds for each that starts (none of it when its action is "none"), and
// behind the last step.
func inOrder(members []Content, startup *StartupSection, outer StartupItem) [][]Start {
	items := itemsOf(startup)
	byOrder := map[int][]Content{}
	var orders []int
	for _, m := range members {
		n := items[m.ContentID()].Order
		if byOrder[n] == nil {
			orders = append(orders, n)
		}
		byOrder[n] = append(byOrder[n], m)
	}
	slices.Sort(orders)
	var steps [][]Start
	for _, n := range orders {
		steps = append(steps, together(byOrder[n], items, outer)...)
	}
	return steps
}

// together gives the steps of members that start at once.
func together(members []Content, items map[string]StartupItem, outer StartupItem) [][]Start {
	var steps [][]Start
	for _, m := range members {
		item := items[m.ContentID()]
		if outer.StartAction == "none" {
			item.StartAction = "none"
		}
		var own [][]Start
		switch m := m.(type) {
		case *VirtualSystem:
			own = [][]Start{{startOf(m, item)}}
		case *Collection:
			own = inOrder(m.Content, First[*StartupSection](m.Sections), item)
			delayLast(own, item)
		}
		for i, s := range own {
			if i == len(steps) {
				steps = append(steps, nil)
			}
			steps[i] = append(steps[i], s...)
		}
	}
	return steps
}

func delayLast(steps [][]Start, item StartupItem) {
	if len(steps) == 0 {
		return
	}
	last := steps[len(steps)-1]
	for i := range last {
		last[i].Delay = max(last[i].Delay, item.Delay())
		last[i].WaitingForGuest = last[i].WaitingForGuest || item.WaitingForGuest
	}
}

func startOf(s *VirtualSystem, item StartupItem) Start {
	start := Start{
		System: s, Delay: item.Delay(), WaitingForGuest: item.WaitingForGuest,
		StopDelay: time.Duration(item.StopDelay) * time.Second, StartAction: item.StartAction, StopAction: item.StopAction,
	}
	if start.StartAction == "" {
		start.StartAction = "powerOn"
	}
	if start.StopAction == "" {
		start.StopAction = "powerOff"
	}
	return start
}

// itemsOf is what a startup section says, by member.
func itemsOf(startup *StartupSection) map[string]StartupItem {
	items := map[string]StartupItem{}
	if startup == nil {
		return items
	}
	for _, item := range slices.Backward(startup.Items) {
		items[item.ID] = item // the first counts
	}
	return items
}
