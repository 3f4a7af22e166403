package stories

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/panalvm/panal/internal/cgroup"
	hostprocess "github.com/panalvm/panal/internal/process"
)

// capped runs a command in a guest that keeps one CPU busy, and checks that this CPU had no more than so many percent of one of the host's. What is compared
// is its thread's CPU time with what the kernel dealt out to the thread meanwhile, which the kernel counts in periods: however slow the computer is, a
// thread that had to wait in so many periods has used up its part in each of them.
func capped(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "capped NAME PERCENT COMMAND")
	percent, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	pid := pidOf(ts, args[0])
	before := measure(ts, pid)
	ask(ts, false, []string{args[0], "run", args[2]})
	after := measure(ts, pid)
	busiest := slices.MaxFunc(keysOf(after), func(a, b int) int {
		return int(after[a].used - before[a].used - after[b].used + before[b].used)
	})
	b, a := before[busiest], after[busiest]
	used, periods, throttled := a.used-b.used, a.Periods-b.Periods, a.Throttled-b.Throttled
	if throttled < 1 {
		ts.Fatalf("%s had to wait in %d of %d periods only: is it limited?", args[0], throttled, periods)
	}
	deal := cgroup.BandwidthOf(percent).Quota
	// One period is under way at either end.
	if most := time.Duration(periods+2) * deal * 12 / 10; used > most {
		ts.Fatalf("%s used %v in %d periods of %v, want %v at most", args[0], used, periods, deal, most)
	}
	if least := time.Duration(throttled-2) * deal * 7 / 10; used < least {
		ts.Fatalf("%s used %v in %d periods of which it used up all of %v in %d, want %v at least", args[0], used, periods, deal, throttled, least)
	}
}

// threadUse is how a thread has used the CPUs, and what the group that it is in says.
type threadUse struct {
	used time.Duration
	cgroup.CPUUsage
}

func keysOf(uses map[int]threadUse) []int {
	var keys []int
	for tid := range uses {
		keys = append(keys, tid)
	}
	return keys
}

// measure reads the use of each thread of a process that has a group of its own for CPU time.
func measure(ts *testscript.TestScript, pid int) map[int]threadUse {
	uses := map[int]threadUse{}
	threads, err := hostprocess.Threads(pid)
	ts.Check(err)
	for _, tid := range threads {
		dir := cgroup.OfThread(cgroup.CPU, pid, tid)
		if !strings.HasPrefix(filepath.Base(dir), "vcpu") {
			continue
		}
		usage, err := cgroup.ReadUsage(dir)
		ts.Check(err)
		times, err := hostprocess.ThreadTimes(pid, tid)
		ts.Check(err)
		uses[tid] = threadUse{times.Ran, usage}
	}
	if len(uses) == 0 {
		ts.Fatalf("no thread of process %d is in a group for CPU time", pid)
	}
	return uses
}

func pidOf(ts *testscript.TestScript, name string) int {
	c := worldOf(ts).home.Client()
	defer c.Close()
	machine, err := c.Get(context.Background(), name)
	ts.Check(err)
	return machine.Status.PID
}

// pinned checks on which of the host's CPUs the threads of a machine's CPUs may run.
func pinned(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, false, args, 2, "[!] pinned NAME CPUS")
	pid := pidOf(ts, args[0])
	for tid := range measure(ts, pid) {
		cpus, err := hostprocess.Affinity(tid)
		ts.Check(err)
		if got := strings.Trim(strings.ReplaceAll(fmt.Sprint(cpus), " ", ","), "[]"); (got == args[1]) == neg {
			ts.Fatalf("a CPU of %s may run on %s of the host", args[0], got)
		}
	}
}

// nodes checks which of the host's nodes the kernel lets a machine's process take memory from.
func nodes(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "nodes NAME LIST")
	pid := pidOf(ts, args[0])
	dir := cgroup.OfThread(cgroup.CPUSet, pid, pid)
	is, err := os.ReadFile(filepath.Join(dir, "cpuset.mems"))
	if got := strings.TrimSpace(string(is)); err != nil || got != args[1] || !strings.Contains(dir, "panal-") {
		ts.Fatalf("the group %s of %s has the nodes %q, %v", dir, args[0], got, err)
	}
}

// nogroups checks that no control group is left of a process that has ended.
func nogroups(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "nogroups UUID")
	found, err := filepath.Glob("/sys/fs/cgroup/*/panal-*/" + args[0])
	ts.Check(err)
	more, err := filepath.Glob("/sys/fs/cgroup/panal-*/" + args[0])
	ts.Check(err)
	if found = append(found, more...); len(found) > 0 {
		ts.Fatalf("left are the control groups %v", found)
	}
}

// cgrouptest makes a disk of the tests of control groups, for a guest whose kernel has another version of them than the host's.
func cgrouptest(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "cgrouptest FILE")
	file := ts.MkAbs(args[0])
	build := exec.Command("go", "test", "-c", "-o", file, "github.com/panalvm/panal/internal/cgroup")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		ts.Fatalf("build the tests: %v: %s", err, out)
	}
	info, err := os.Stat(file)
	ts.Check(err)
	const mib = 1 << 20
	ts.Check(os.Truncate(file, (info.Size()+mib-1)/mib*mib))
}
