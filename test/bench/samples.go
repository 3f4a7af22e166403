package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// samples are the times of one contestant.
type samples []time.Duration

// quantile is the smallest sample that the given part of all, 0 to 1, does not exceed.
func (s samples) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

func (s samples) median() time.Duration { return s.quantile(0.5) }

// contestant does the work once and says how long that took.
type contestant func() (time.Duration, error)

// inTurn runs the contestants in turn, each once a round, so that whatever else the machine does meets them alike. Their
// order is another in every round, because what one leaves behind, such as memory to be freed, the next has to bear. What
// comes before the first round warms caches and does not count.
func inTurn(rounds int, contestants ...contestant) ([]samples, error) {
	times := make([]samples, len(contestants))
	for round := range rounds + 1 {
		for _, i := range rand.Perm(len(contestants)) {
			took, err := contestants[i]()
			if err != nil {
				return nil, err
			}
			if round > 0 {
				times[i] = append(times[i], took)
			}
		}
	}
	return times, nil
}

// timed makes a contestant of something whose whole time counts.
func timed(work func() error) contestant {
	return func() (time.Duration, error) {
		began := time.Now()
		err := work()
		return time.Since(began), err
	}
}

// medianDifference is the median of the differences round by round: what is common to a round, such as a busy
// neighbour, cancels out.
func medianDifference(a, b samples) time.Duration {
	differences := make(samples, 0, len(a))
	for i := range min(len(a), len(b)) {
		differences = append(differences, a[i]-b[i])
	}
	return differences.median()
}
