package resource

import (
	"fmt"
	"math"
	"slices"

	"github.com/panalvm/panal/api"
)

// DefaultShares are the shares of a machine whose spec has none.
const DefaultShares = 100

// CPUHost is what a host has of CPU time.
type CPUHost struct {
	Threads int     // that the kernel schedules on
	MHz     float64 // of each; 0 where the host does not tell
}

// Capacity is all of the host's CPU time, in percent of one CPU.
func (h CPUHost) Capacity() float64 { return 100 * float64(h.Threads) }

// CPUClaim is what a machine has of a host's CPU time, or wants of it. Times are in percent of one of the host's CPUs.
type CPUClaim struct {
	Name     string
	CPUs     int // plugged in
	Cap      float64
	Limit    float64 // 0 for none
	Reserved float64
	Shares   int
}

// ClaimOf is a machine's claim on a host.
func ClaimOf(name string, cpu api.CPU, host CPUHost) CPUClaim {
	claim := CPUClaim{
		Name: name, CPUs: cpu.Count, Cap: float64(cpu.Cap), Limit: cpu.Limit.Of(host.MHz), Reserved: cpu.Reservation.Of(host.MHz), Shares: cpu.Shares,
	}
	if claim.Cap == 0 {
		claim.Cap = 100
	}
	if claim.Shares == 0 {
		claim.Shares = DefaultShares
	}
	return claim
}

// Most is how much CPU time the machine's CPUs can use, by their number, their cap and the limit.
func (c CPUClaim) Most() float64 {
	most := float64(c.CPUs) * c.Cap
	if c.Limit > 0 {
		most = min(most, c.Limit)
	}
	return most
}

// IsLimited tells whether anything but the number of its CPUs limits the machine.
func (c CPUClaim) IsLimited() bool { return c.Limit > 0 || c.Cap < 100 }

// ThreadPercent is how much a thread that runs so many of the machine's CPUs may use; 0 for as much as there is. A
// thread uses no more than one CPU whatever it runs.
func (c CPUClaim) ThreadPercent(cpus int) float64 {
	if percent := c.Cap * float64(max(1, cpus)); percent < 100 {
		return percent
	}
	return 0
}

// Overcommitted is a host with more CPUs given away than its policy likes.
type Overcommitted struct {
	CPUs    int
	Threads int
	Ratio   float64 // that the host would have
	Most    float64 // that it is set to
}

// Error says so.
func (o *Overcommitted) Error() string {
	return fmt.Sprintf("running machines would have %d CPUs on the host's %d threads, %.2f for each, and the host's cpu.ratio is %g", o.CPUs, o.Threads, o.Ratio, o.Most)
}

// Overreserved is a reservation that the host cannot keep.
type Overreserved struct {
	Wanted, Free, Capacity float64
}

// Error says so.
func (o *Overreserved) Error() string {
	return fmt.Sprintf("a reservation of %.4g%% does not fit: %.4g%% of the host's %.4g%% (100%% is one CPU) is not promised to running machines yet", o.Wanted, o.Free, o.Capacity)
}

// AdmitCPU tells whether a machine may have what it wants beside those that run. A reservation that does not fit is an *Overreserved, and nothing
// may override that; more CPUs than the ratio has is an *Overcommitted, and up to the host's policy.
func AdmitCPU(host CPUHost, running []CPUClaim, wanted CPUClaim, ratio float64) error {
	cpus, reserved := wanted.CPUs, 0.0
	for _, c := range running {
		cpus += c.CPUs
		reserved += c.Reserved
	}
	const rounding = 1e-6
	if wanted.Reserved > 0 && reserved+wanted.Reserved > host.Capacity()+rounding {
		return &Overreserved{wanted.Reserved, max(0, host.Capacity()-reserved), host.Capacity()}
	}
	if has := float64(cpus) / float64(max(1, host.Threads)); ratio > 0 && has > ratio {
		return &Overcommitted{cpus, host.Threads, has, ratio}
	}
	return nil
}

// Entitlements is what each machine gets when all of them want as much as they can use: at least its reservation, at most what it can use,
// and of the rest a part by its shares. Reservations must fit the capacity. The sum is the capacity, or less where all can have what they want.
func Entitlements(capacity float64, claims []CPUClaim) []float64 {
	given := make([]float64, len(claims))
	for i, c := range claims {
		given[i] = min(c.Reserved, c.Most())
	}
	// The level is what a share is worth: each gets its shares times that, but no less than its reservation and no more than it
	// can use. What is given grows with the level, so the right one is found by halving.
	at := func(level float64) (sum float64) {
		for _, c := range claims {
			sum += entitlement(c, level)
		}
		return sum
	}
	low, high := 0.0, 1.0
	for at(high) < capacity && high < math.MaxFloat64/4 {
		low, high = high, high*2
		if high > 1e12 {
			break // everybody has all that they can use
		}
	}
	for range 100 {
		if middle := (low + high) / 2; at(middle) <= capacity {
			low = middle
		} else {
			high = middle
		}
	}
	for i, c := range claims {
		given[i] = entitlement(c, low)
	}
	return given
}

func entitlement(c CPUClaim, level float64) float64 {
	return min(max(level*float64(c.Shares), c.Reserved), c.Most())
}

// The range of weights that CPUWeights gives, which the kernel has too (cgroup v2, cpu.weight).
const (
	minWeight = 1
	maxWeight = 10000
)

// CPUWeights is what the kernel is to be told, so that each machine gets its entitlement when CPUs are scarce: numbers in the ratio of what they
// are entitled to. Where no reservation and no limit says otherwise they are the shares themselves.
func CPUWeights(capacity float64, claims []CPUClaim) []int {
	weights := make([]int, len(claims))
	plain := !slices.ContainsFunc(claims, func(c CPUClaim) bool { return c.Reserved > 0 })
	if plain {
		for i, c := range claims {
			weights[i] = min(max(c.Shares, minWeight), maxWeight)
		}
		return weights
	}
	entitled := Entitlements(capacity, claims)
	most := slices.Max(append(entitled, 1e-9))
	for i, percent := range entitled {
		// Rounded up, so that small ones are not cut off.
		weights[i] = min(max(int(math.Ceil(percent/most*maxWeight)), minWeight), maxWeight)
	}
	return weights
}

// NiceOf is the niceness that comes nearest to shares, for hosts without control groups: the kernel gives each step up four fifths of the time of
// the one before (kernel/sched/core.c, sched_prio_to_weight). More than the usual shares need a privilege, so the least is 0.
func NiceOf(shares int) int {
	if shares <= 0 || shares >= DefaultShares {
		return 0
	}
	return min(int(math.Round(math.Log(float64(DefaultShares)/float64(shares))/math.Log(1.25))), 19)
}

// WholeCPUs is how many of a host's CPUs hold a limit without control groups, by letting the machine run on no more; 0 where the host has no more.
func WholeCPUs(percent float64, threads int) int {
	if cpus := int(math.Ceil(percent/100 - 1e-9)); cpus < threads {
		return max(1, cpus)
	}
	return 0
}
