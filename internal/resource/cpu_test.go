package resource

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
)

func claims(t *rapid.T, capacity float64) []CPUClaim {
	var all []CPUClaim
	free := capacity
	for range rapid.IntRange(1, 12).Draw(t, "machines") {
		c := CPUClaim{
			CPUs: rapid.IntRange(1, 16).Draw(t, "cpus"), Cap: float64(rapid.IntRange(1, 100).Draw(t, "cap")),
			Shares: rapid.IntRange(1, 10000).Draw(t, "shares"), Limit: rapid.SampledFrom([]float64{0, 0, 50, 250}).Draw(t, "limit"),
		}
		c.Reserved = min(rapid.Float64Range(0, 400).Draw(t, "reserved"), c.Most(), free)
		if rapid.Bool().Draw(t, "unreserved") {
			c.Reserved = 0
		}
		free -= c.Reserved
		all = append(all, c)
	}
	return all
}

func TestEntitlementsHoldReservationsAndLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := 100 * float64(rapid.IntRange(1, 64).Draw(t, "threads"))
		all := claims(t, capacity)
		sum, most := 0.0, 0.0
		for i, got := range Entitlements(capacity, all) {
			c := all[i]
			if got < c.Reserved-1e-6 || got > c.Most()+1e-6 {
				t.Fatalf("%+v is entitled to %v", c, got)
			}
			sum, most = sum+got, most+c.Most()
		}
		if want := min(capacity, most); math.Abs(sum-want) > 1e-3*want {
			t.Fatalf("all together get %v, want %v", sum, want)
		}
	})
}

func TestMoreSharesAreNotLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := 100 * float64(rapid.IntRange(1, 16).Draw(t, "threads"))
		all := claims(t, capacity)
		before := Entitlements(capacity, all)[0]
		all[0].Shares *= 2
		if after := Entitlements(capacity, all)[0]; after < before-1e-6 {
			t.Fatalf("%v with twice the shares, %v before", after, before)
		}
	})
}

func TestWeightsHoldReservations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := 100 * float64(rapid.IntRange(1, 16).Draw(t, "threads"))
		all := claims(t, capacity)
		weights, sum := CPUWeights(capacity, all), 0.0
		for _, w := range weights {
			if w < 1 || w > 10000 {
				t.Fatalf("weight %d", w)
			}
			sum += float64(w)
		}
		for i, c := range all {
			// Weights are whole numbers: a thousandth may be missing, and what small ones were rounded up by.
			if got := capacity * float64(weights[i]) / sum; c.Reserved > 0 && got < min(c.Reserved, c.Most())*0.99-capacity*0.001 {
				t.Fatalf("%+v gets %v of %v, weights %v", c, got, capacity, weights)
			}
		}
	})
}

func TestWeightsAreSharesWhereNothingIsReserved(t *testing.T) {
	got := CPUWeights(200, []CPUClaim{{CPUs: 1, Cap: 100, Shares: 50}, {CPUs: 4, Cap: 100, Shares: 10000}})
	if got[0] != 50 || got[1] != 10000 {
		t.Errorf("%v", got)
	}
}

func TestAdmissionNeverBreaksAReservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := CPUHost{Threads: rapid.IntRange(1, 16).Draw(t, "threads")}
		var running []CPUClaim
		for range rapid.IntRange(1, 30).Draw(t, "starts") {
			wanted := CPUClaim{CPUs: rapid.IntRange(1, 8).Draw(t, "cpus"), Reserved: rapid.Float64Range(0, 500).Draw(t, "reserved")}
			var over *Overreserved
			if err := AdmitCPU(host, running, wanted, 1000); errors.As(err, &over) {
				continue
			}
			running = append(running, wanted)
			sum := 0.0
			for _, c := range running {
				sum += c.Reserved
			}
			if sum > host.Capacity()+1e-3 {
				t.Fatalf("%v%% are promised of %v%%", sum, host.Capacity())
			}
		}
	})
}

func TestAdmission(t *testing.T) {
	host := CPUHost{Threads: 2, MHz: 2000}
	running := []CPUClaim{{CPUs: 3, Reserved: 150}}
	if err := AdmitCPU(host, running, CPUClaim{CPUs: 1, Reserved: 50}, 2); err != nil {
		t.Error(err)
	}
	var over *Overreserved
	if err := AdmitCPU(host, running, CPUClaim{CPUs: 1, Reserved: 51}, 2); !errors.As(err, &over) || over.Free != 50 {
		t.Errorf("a reservation that does not fit: %v", err)
	}
	var many *Overcommitted
	if err := AdmitCPU(host, running, CPUClaim{CPUs: 2}, 2); !errors.As(err, &many) || many.Ratio != 2.5 {
		t.Errorf("beyond the ratio: %v", err)
	}
}

func TestClaims(t *testing.T) {
	c := ClaimOf("a", api.CPU{Count: 4, Cap: 30, Limit: "1GHz", Reservation: "500MHz"}, CPUHost{Threads: 2, MHz: 2000})
	if c.Most() != 50 || c.Reserved != 25 || c.Shares != DefaultShares || !c.IsLimited() {
		t.Errorf("%+v", c)
	}
	if got := c.ThreadPercent(1); got != 30 {
		t.Errorf("a thread of one CPU: %v", got)
	}
	if got := c.ThreadPercent(4); got != 0 {
		t.Errorf("a thread of all: %v", got)
	}
	if c := ClaimOf("a", api.CPU{Count: 4}, CPUHost{Threads: 2}); c.IsLimited() || c.Most() != 400 {
		t.Errorf("%+v", c)
	}
}

func TestWhatAUserCanDo(t *testing.T) {
	for shares, want := range map[int]int{10000: 0, 100: 0, 80: 1, 50: 3, 1: 19} {
		if got := NiceOf(shares); got != want {
			t.Errorf("%d shares: nice %d, want %d", shares, got, want)
		}
	}
	for _, c := range []struct {
		percent       float64
		threads, want int
	}{{30, 8, 1}, {100, 8, 1}, {101, 8, 2}, {800, 8, 0}, {750, 8, 0}, {5, 1, 0}} {
		if got := WholeCPUs(c.percent, c.threads); got != c.want {
			t.Errorf("%v%% of %d: %d, want %d", c.percent, c.threads, got, c.want)
		}
	}
}
