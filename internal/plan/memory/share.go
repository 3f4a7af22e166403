package memory

import "fmt"

// share sets every claim's target: what it wants where the host has that, else what
// falls to it by shares between its floor and that.
func (c Config) share(host Host, claims []claim) {
	var has, wanted, floors int64
	for i := range claims {
		k := &claims[i]
		has += k.Size
		wanted += k.want
		floors += k.floor
	}
	there := has + host.Free
	if host.Pressure >= c.Pressure {
		// Whatever the figures say, somebody waits for memory: it must become less.
		there = min(there, has-int64(c.Bite/4*float64(has)))
	}
	if wanted <= there {
		return
	}
	level := waterLevel(claims, max(there, floors))
	for i := range claims {
		k := &claims[i]
		k.target = k.at(level)
		if k.target < k.Size {
			k.target = max(k.target, k.Size-int64(c.Bite*float64(k.Size)))
			k.target = min(k.Size, (k.target+block-1)/block*block)
			if k.Size-k.target < c.dead(k.Size) {
				k.target = k.Size
			}
		} else if k.target > k.Size {
			k.target = max(k.Size, k.target/block*block)
		}
	}
	curb(claims, there)
}

// curb holds growth back where those that give may not give so much at once.
func curb(claims []claim, there int64) {
	var sum, growth int64
	for _, k := range claims {
		sum += k.target
		growth += max(0, k.target-k.Size)
	}
	excess := min(sum-there, growth)
	if excess <= 0 {
		return
	}
	part := 1 - float64(excess)/float64(growth)
	for i := range claims {
		if k := &claims[i]; k.target > k.Size {
			k.target = k.Size + int64(part*float64(k.target-k.Size))/block*block
		}
	}
}

// at is what a claim gets at a level of the water: its floor and so much for each share.
func (k *claim) at(level float64) int64 {
	more := level * float64(max(1, k.Shares))
	if more >= float64(k.want-k.floor) {
		return k.want
	}
	return k.floor + int64(more)
}

// waterLevel is how much for each share there is where all claims together get no
// more than there is.
func waterLevel(claims []claim, there int64) float64 {
	low, high := 0.0, 0.0
	for _, k := range claims {
		high = max(high, float64(k.want-k.floor)/float64(max(1, k.Shares)))
	}
	for range 60 { // halving: to far below a byte
		middle := (low + high) / 2
		var sum int64
		for i := range claims {
			sum += claims[i].at(middle)
		}
		if sum <= there {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// dead is the least change of a size that is worth it.
func (c Config) dead(size int64) int64 { return max(int64(c.Dead*float64(size)), block) }

// step is what a claim comes to, and whether that is worth it.
func (c Config) step(k claim, host Host) (Step, bool) {
	change := k.target - k.Size
	outside := k.Size < k.Minimum || k.Size > k.Maximum
	dead := c.dead(k.Size)
	if change == 0 || !outside && change < dead && -change < dead {
		return Step{}, false
	}
	step := Step{ID: k.ID, From: k.Size, To: k.target, Reason: k.short}
	switch {
	case change < 0 && host.Pressure >= c.Pressure:
		step.Reason = fmt.Sprintf("the host runs short: programs wait for memory %.0f %% of the time", host.Pressure)
	case change < 0 && host.Free < 0:
		step.Reason = fmt.Sprintf("the host runs short: it lacks %s", mib(-host.Free))
	case change < 0:
		step.Reason = "another guest runs short, and the host has nothing left to give"
	case step.Reason == "":
		step.Reason = "it had less than its minimum"
	}
	return step, true
}
