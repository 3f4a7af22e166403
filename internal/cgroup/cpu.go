package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Period is how often CPU time is dealt out. A machine that has used up its part waits for the next one: shorter
// ones disturb the guest's clock less, longer ones cost less.
const Period = 20 * time.Millisecond

// minQuota is the least that the kernel deals out in a period (kernel/sched: min_cfs_quota_period).
const minQuota = time.Millisecond

// Bandwidth is how much CPU time there is in each period; a quota of 0 is no limit.
type Bandwidth struct {
	Quota  time.Duration
	Period time.Duration
}

// BandwidthOf is the bandwidth that lets threads use so many percent of one CPU: 150 for one and a half, 0 or less for no limit.
// Small ones get longer periods, since the kernel deals out no less than a millisecond.
func BandwidthOf(percent float64) Bandwidth {
	if percent <= 0 {
		return Bandwidth{Period: Period}
	}
	period := Period
	quota := func() time.Duration { return time.Duration(float64(period) * percent / 100).Round(time.Microsecond) }
	for quota() < minQuota && period < time.Second {
		period = min(2*period, time.Second)
	}
	return Bandwidth{Quota: max(quota(), minQuota), Period: period}
}

// Percent is how many percent of one CPU a bandwidth is; 0 for no limit.
func (b Bandwidth) Percent() float64 {
	if b.Quota <= 0 || b.Period <= 0 {
		return 0
	}
	return 100 * float64(b.Quota) / float64(b.Period)
}

// Bounds of weights in version 2 (cgroup-v2, CPU), and of shares in version 1.
const (
	MinWeight     = 1
	MaxWeight     = 10000
	DefaultWeight = 100
	minShares     = 2
	maxShares     = 262144
)

// SharesOf is a weight of version 2 in the numbers of version 1, where 1024 is usual: the same ratio, within the kernel's bounds.
func SharesOf(weight int) int {
	return min(max(weight*1024/DefaultWeight, minShares), maxShares)
}

// CPUUsage is how a group has used the CPUs.
type CPUUsage struct {
	Used          time.Duration
	Periods       int64         // in which it ran, while there was a limit
	Throttled     int64         // of them, those in which it had to wait
	ThrottledTime time.Duration // how long it had to wait, in all threads
}

// SetBandwidth limits the CPU time of all threads of the process together.
func (g *Group) SetBandwidth(b Bandwidth) error {
	at, ok := g.dirs[CPU]
	if !ok {
		return g.tree.lacks[CPU]
	}
	return setBandwidth(at, b)
}

// SetWeight sets the process's part of the CPUs against its neighbours, MinWeight to MaxWeight; DefaultWeight is usual.
func (g *Group) SetWeight(weight int) error {
	if g.tree.Version(CPU) == 1 {
		return g.set(CPU, "cpu.shares", "", strconv.Itoa(SharesOf(weight)))
	}
	return g.set(CPU, "", "cpu.weight", strconv.Itoa(min(max(weight, MinWeight), MaxWeight)))
}

// CPUUsage reads how the process has used the CPUs. Periods and Throttled are those of the process's own bandwidth, not of its parts'.
func (g *Group) CPUUsage() (CPUUsage, error) {
	at, ok := g.dirs[CPU]
	if !ok {
		return CPUUsage{}, g.tree.lacks[CPU]
	}
	usage, err := readUsage(at)
	if err == nil && at.version == 1 {
		var used int64
		used, err = g.number(CPUAcct, "cpuacct.usage", "")
		usage.Used = time.Duration(used)
	}
	return usage, err
}

// Part is some of a process's threads.
type Part struct {
	at place
}

// Part makes a group for some of the process's threads, or finds it. The name is a file name.
func (g *Group) Part(name string) (*Part, error) {
	at, ok := g.dirs[CPU]
	if !ok {
		return nil, g.tree.lacks[CPU]
	}
	part := place{at.version, filepath.Join(at.dir, name)}
	if err := makeGroup(part.version, part.dir); err != nil {
		return nil, err
	}
	if at.version == 2 {
		if err := thread(at.dir, part.dir); err != nil {
			return nil, fmt.Errorf("make the control group %s: %w", part.dir, err)
		}
	}
	return &Part{part}, nil
}

// thread makes a group one for threads, and passes the controller on to it.
func thread(parent, dir string) error {
	file := filepath.Join(dir, "cgroup.type")
	if kind, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(kind)) != "threaded" {
		if err := write(file, "threaded"); err != nil {
			return err
		}
	}
	return write(filepath.Join(parent, "cgroup.subtree_control"), "+cpu")
}

// Parts are the names of the groups that were made for the process's threads.
func (g *Group) Parts() []string {
	at, ok := g.dirs[CPU]
	if !ok {
		return nil
	}
	return subgroups(at.dir)
}

// Add puts a thread of the process into the part.
func (p *Part) Add(tid int) error {
	name := "cgroup.threads"
	if p.at.version == 1 {
		name = "tasks"
	}
	if err := write(filepath.Join(p.at.dir, name), strconv.Itoa(tid)); err != nil {
		return fmt.Errorf("put thread %d into %s: %w", tid, p.at.dir, err)
	}
	return nil
}

// SetBandwidth limits the CPU time of the part's threads together.
func (p *Part) SetBandwidth(b Bandwidth) error { return setBandwidth(p.at, b) }

// Bandwidth is the limit of the part's threads, as the kernel has it.
func (p *Part) Bandwidth() (Bandwidth, error) { return readBandwidth(p.at) }

// Usage reads how often the part's threads had to wait. Used is known in version 2 alone.
func (p *Part) Usage() (CPUUsage, error) { return readUsage(p.at) }

// Remove removes a part whose threads have ended.
func (p *Part) Remove() error { return removeAll(p.at.dir) }

func setBandwidth(at place, b Bandwidth) error {
	quota, period := b.Quota.Microseconds(), b.Period.Microseconds()
	if at.version == 2 {
		value := fmt.Sprintf("max %d", period)
		if quota > 0 {
			value = fmt.Sprintf("%d %d", quota, period)
		}
		path := filepath.Join(at.dir, "cpu.max")
		return wrote(CPU, path, write(path, value))
	}
	if quota <= 0 {
		quota = -1
	}
	// The kernel checks each write by itself; without a quota every period is fine.
	for _, set := range []struct {
		name  string
		value int64
	}{{"cpu.cfs_quota_us", -1}, {"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}} {
		path := filepath.Join(at.dir, set.name)
		if err := wrote(CPU, path, write(path, strconv.FormatInt(set.value, 10))); err != nil {
			return err
		}
	}
	return nil
}

func readBandwidth(at place) (Bandwidth, error) {
	names := []string{"cpu.max"}
	if at.version == 1 {
		names = []string{"cpu.cfs_quota_us", "cpu.cfs_period_us"}
	}
	var words []string
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(at.dir, name))
		if err != nil {
			return Bandwidth{}, err
		}
		words = append(words, strings.Fields(string(text))...)
	}
	if len(words) != 2 {
		return Bandwidth{}, fmt.Errorf("%s: %d words in the place of 2", at.dir, len(words))
	}
	period, err := strconv.ParseInt(words[1], 10, 64)
	if words[0] == "max" || words[0] == "-1" || err != nil {
		return Bandwidth{Period: time.Duration(period) * time.Microsecond}, err
	}
	quota, err := strconv.ParseInt(words[0], 10, 64)
	return Bandwidth{time.Duration(quota) * time.Microsecond, time.Duration(period) * time.Microsecond}, err
}

// ReadUsage reads how the threads in a group's directory used the CPUs. Used is known in version 2 alone.
func ReadUsage(dir string) (CPUUsage, error) { return readUsage(place{dir: dir}) }

// ReadBandwidth reads the limit of the threads in a group's directory.
func ReadBandwidth(dir string) (Bandwidth, error) {
	version := 2
	if _, err := os.Stat(filepath.Join(dir, "cpu.max")); err != nil {
		version = 1
	}
	return readBandwidth(place{version, dir})
}

// OfThread is the directory of the group that a thread of a process is in for a controller; empty where that is none.
func OfThread(c Controller, pid, tid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/cgroup", pid, tid))
	if err != nil {
		return ""
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	unified := ""
	for _, m := range parseMounts(string(mounts)) {
		dir := groupOf(m, parseMembership(string(text)))
		if slices.Contains(m.controllers, c) {
			return dir
		}
		if m.version == 2 && slices.Contains(controllersIn(filepath.Join(dir, "cgroup.controllers")), c) {
			unified = dir
		}
	}
	return unified
}

func readUsage(at place) (CPUUsage, error) {
	text, err := os.ReadFile(filepath.Join(at.dir, "cpu.stat"))
	if err != nil {
		return CPUUsage{}, errors.Join(errors.New("read how a control group used the CPUs"), err)
	}
	stat := table(string(text))
	// Version 1 has nanoseconds under another name.
	waited := time.Duration(stat["throttled_usec"])*time.Microsecond + time.Duration(stat["throttled_time"])
	return CPUUsage{
		Used: time.Duration(stat["usage_usec"]) * time.Microsecond, Periods: stat["nr_periods"], Throttled: stat["nr_throttled"], ThrottledTime: waited,
	}, nil
}
