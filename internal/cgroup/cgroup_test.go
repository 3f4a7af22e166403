package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestMountsAreFound(t *testing.T) {
	text := `22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/7 /sys/fs/cgroup/with\040space rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
broken
`
	want := []mount{
		{1, "/sys/fs/cgroup/cpu,cpuacct", "/", []Controller{CPU, CPUAcct}},
		{1, "/sys/fs/cgroup/with space", "/docker/7", []Controller{Memory}},
		{2, "/sys/fs/cgroup/unified", "/", nil},
	}
	if diff := cmp.Diff(want, parseMounts(text), cmp.AllowUnexported(mount{})); diff != "" {
		t.Error(diff)
	}
}

func TestGroupOfAProcess(t *testing.T) {
	all := parseMembership("4:memory:/docker/7/x\n1:cpu,cpuacct:/\n0::/user.slice/a:b\n")
	for _, c := range []struct {
		m    mount
		want string
	}{
		{mount{1, "/c/memory", "/docker/7", []Controller{Memory}}, "/c/memory/x"},
		{mount{1, "/c/memory", "/docker/8", []Controller{Memory}}, "/c/memory"},
		{mount{1, "/c/cpu", "/", []Controller{CPU}}, "/c/cpu"},
		{mount{2, "/c/unified", "/", nil}, "/c/unified/user.slice/a:b"},
		{mount{1, "/c/cpuset", "/", []Controller{CPUSet}}, "/c/cpuset"},
	} {
		if got := groupOf(c.m, all); got != c.want {
			t.Errorf("%+v: %s, want %s", c.m, got, c.want)
		}
	}
}

func TestWhatAHostLacksIsSaid(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name   string
		mounts []mount
		own    string
		root   bool
		want   string
	}{
		{"nothing", nil, "0::/", true, "none is mounted"},
		{"version 1 for a user", []mount{{1, dir, "/", []Controller{CPU}}}, "1:cpu:/", false, "only root"},
		{"a user's session", []mount{{2, dir, "/", nil}}, "0::/user.slice/session-1.scope", false, "none that it may divide"},
		{"a container without controllers", []mount{{2, dir, "/", nil}}, "0::/", true, "has no more than: none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := open("panal", c.mounts, parseMembership(c.own+"\n"), c.root)
			lacks := tree.Lacks(CPU)
			if lacks == nil || !strings.Contains(lacks.Error(), c.want) {
				t.Fatalf("%v, want %q", lacks, c.want)
			}
			group, err := tree.Hold("m", os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			if err := group.SetBandwidth(BandwidthOf(50)); !IsLacking(err) {
				t.Errorf("a bandwidth: %v", err)
			}
			if _, err := group.Part("vcpu0"); !IsLacking(err) {
				t.Errorf("a part: %v", err)
			}
			if err := group.SetMemoryHigh(1 << 30); !IsLacking(err) {
				t.Errorf("a limit of memory: %v", err)
			}
			if _, err := group.Reclaim(1<<20, NoLimit); !IsLacking(err) || tree.ReclaimMeans() != "" {
				t.Errorf("taking memory: %v", err)
			}
		})
	}
}

// TestScopeOfAUser: a scope that systemd has given away is divided, after the daemon has moved into a part of it, and one that
// it has not given away is left alone.
func TestScopeOfAUser(t *testing.T) {
	dir := t.TempDir()
	scope := filepath.Join(dir, "user.slice", "run-r1.scope")
	for _, name := range []string{Leaf, "panal"} { // in the kernel's tree new groups have their files by themselves
		if err := os.MkdirAll(filepath.Join(scope, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := []string{filepath.Join(Leaf, "cgroup.procs"), "cgroup.subtree_control", "cgroup.controllers"}
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(scope, name), []byte("cpu memory"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	find := func() *Tree {
		return open("panal", []mount{{2, dir, "/", nil}}, parseMembership("0::/user.slice/run-r1.scope\n"), false)
	}
	if lacks := find().Lacks(CPU); lacks == nil || !strings.Contains(lacks.Error(), "systemd-run --user --scope") {
		t.Errorf("a scope of somebody's: %v", lacks)
	}
	if err := unix.Setxattr(scope, "user.delegate", []byte("1"), 0); err != nil {
		t.Skipf("no file here can be marked as systemd marks groups: %v", err)
	}
	tree := find()
	if lacks := tree.Lacks(CPU); lacks != nil || tree.Version(Memory) != 2 || tree.places[CPU].dir != scope {
		t.Errorf("a scope of the daemon's own: %v, %+v", lacks, tree.places)
	}
	if moved, err := os.ReadFile(filepath.Join(scope, files[0])); err != nil || !strings.HasPrefix(string(moved), strconv.Itoa(os.Getpid())) {
		t.Errorf("the daemon was not moved: %q, %v", moved, err)
	}
}

func TestBandwidthIsWhatWasAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		percent := rapid.Float64Range(0.2, 100*288).Draw(t, "percent")
		b := BandwidthOf(percent)
		if b.Period < time.Millisecond || b.Period > time.Second || b.Quota < time.Millisecond {
			t.Fatalf("the kernel refuses %+v", b)
		}
		// A microsecond is the unit of both.
		if got := b.Percent(); got < percent*0.999-0.01 || got > percent*1.001+0.01 {
			t.Fatalf("%v %% became %v %% (%+v)", percent, got, b)
		}
	})
}

func TestNoBandwidthIsNoLimit(t *testing.T) {
	for _, percent := range []float64{0, -1} {
		if b := BandwidthOf(percent); b.Quota != 0 || b.Period != Period || b.Percent() != 0 {
			t.Errorf("%v: %+v", percent, b)
		}
	}
}

func TestSharesKeepTheOrderOfWeights(t *testing.T) {
	if SharesOf(DefaultWeight) != 1024 {
		t.Errorf("the usual weight is %d shares, want 1024", SharesOf(DefaultWeight))
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.IntRange(MinWeight, MaxWeight).Draw(t, "a"), rapid.IntRange(MinWeight, MaxWeight).Draw(t, "b")
		sa, sb := SharesOf(a), SharesOf(b)
		if (a < b && sa >= sb) || (a == b && sa != sb) || sa < minShares || sa > maxShares {
			t.Fatalf("weights %d and %d became %d and %d shares", a, b, sa, sb)
		}
	})
}

// realTree is a tree on this host, removed at the test's end.
func realTree(t *testing.T) *Tree {
	t.Helper()
	tree := Open("panal-test-" + filepath.Base(t.TempDir()) + "-" + strings.ToLower(t.Name()))
	t.Cleanup(tree.Close)
	if lacks := tree.Lacks(CPU); lacks != nil {
		t.Skip(lacks)
	}
	return tree
}

func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	command := exec.Command("sleep", "1000")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command
}

// holding has the test binary be a process that holds so many MiB.
const holding = "CGROUP_TEST_HOLDING"

// hold takes memory once it is told to, says so, and keeps it.
func hold(mib string) {
	n, _ := strconv.Atoi(mib)
	in := bufio.NewReader(os.Stdin)
	_, _ = in.ReadString('\n')
	memory := make([]byte, n<<20)
	for i := range memory {
		memory[i] = byte(i / 4096)
	}
	fmt.Println("held")
	_, _ = in.ReadString('\n')
	runtime.KeepAlive(memory)
	os.Exit(0)
}

// holder is a process that holds 64 MiB, in a group of its own from before that on.
func holder(t *testing.T, tree *Tree) *Group {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run", "^TestReclaimOnThisHost$")
	command.Env = append(os.Environ(), holding+"=64")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	group, err := tree.Hold("one", command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "take it")
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("it says %q, %v", line, err)
	}
	return group
}

func without(names []string, one string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return name == one })
}

// Story cpu_groups runs the tests OnThisHost in a guest, too, whose control groups are of version 2.
func TestGroupsOnThisHost(t *testing.T) {
	tree := realTree(t)
	command := sleeper(t)
	pid := command.Process.Pid
	group, err := tree.Hold("one", pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := group.SetBandwidth(BandwidthOf(150)); err != nil {
		t.Fatal(err)
	}
	part, err := group.Part("vcpu0")
	if err != nil {
		t.Fatal(err)
	}
	if err := part.Add(pid); err != nil {
		t.Fatal(err)
	}
	for _, percent := range []float64{30, 1, 100, 0, 7} {
		want := BandwidthOf(percent)
		if err := part.SetBandwidth(want); err != nil {
			t.Fatal(err)
		}
		if got, err := part.Bandwidth(); err != nil || got != want {
			t.Errorf("%v %%: %+v, %v; want %+v", percent, got, err, want)
		}
	}
	for _, weight := range []int{1, 100, 10000} {
		if err := group.SetWeight(weight); err != nil {
			t.Errorf("weight %d: %v", weight, err)
		}
	}
	if _, err := group.CPUUsage(); err != nil {
		t.Error(err)
	}
	if parts := group.Parts(); !slices.Equal(parts, []string{"vcpu0"}) {
		t.Errorf("parts: %v", parts)
	}

	again, err := tree.Hold("one", pid) // as the next daemon does
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(group.dirs, again.dirs, cmp.AllowUnexported(place{})); diff != "" {
		t.Errorf("the group that it is in was not found: %s", diff)
	}
	if tree.Remove("one") == nil {
		t.Error("a group with a process was removed")
	}
	_ = command.Process.Kill()
	_ = command.Wait()
	if err := tree.Sweep(func(string) bool { return false }); err != nil {
		t.Error(err)
	}
	for _, at := range tree.dirs() {
		if left := without(subgroups(at.dir), Leaf); len(left) > 0 {
			t.Errorf("%s: left are %v", at.dir, left)
		}
	}
}

func TestMemoryOnThisHost(t *testing.T) {
	tree := realTree(t)
	if lacks := tree.Lacks(Memory); lacks != nil {
		t.Skip(lacks)
	}
	t.Cleanup(func() { // once the process has ended
		if err := tree.Sweep(func(string) bool { return false }); err != nil {
			t.Error(err)
		}
	})
	group, err := tree.Hold("one", sleeper(t).Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := group.MemoryUsage(); err != nil {
		t.Error(err)
	}
	high, low := group.SetMemoryHigh(64<<20), group.SetMemoryMin(1<<20)
	if tree.Version(Memory) == 1 && (!IsLacking(high) || !IsLacking(low)) {
		t.Errorf("what version 1 does not have: %v, %v", high, low)
	} else if tree.Version(Memory) == 2 && (high != nil || low != nil) {
		t.Errorf("high: %v, min: %v", high, low)
	}
	if err := group.Release(); err != nil {
		t.Error(err)
	}
	for _, nodes := range []string{"0", ""} {
		if err := group.SetMemoryNodes(nodes); err != nil && !IsLacking(err) {
			t.Errorf("nodes %q: %v", nodes, err)
		}
		if is, err := group.MemoryNodes(); !IsLacking(err) && (err != nil || nodes != "" && is != nodes) {
			t.Errorf("nodes %q: they are %q, %v", nodes, is, err)
		}
	}
}

// TestReclaimOnThisHost takes memory from a process that holds 64 MiB that it does not look at again. It needs swap:
// where the host has none, nothing of it can be taken.
func TestReclaimOnThisHost(t *testing.T) {
	if held := os.Getenv(holding); held != "" {
		hold(held)
	}
	tree := realTree(t)
	if lacks := tree.Lacks(Memory); lacks != nil {
		t.Skip(lacks)
	}
	t.Cleanup(func() {
		if err := tree.Sweep(func(string) bool { return false }); err != nil {
			t.Error(err)
		}
	})
	group := holder(t, tree)
	for _, swap := range []int64{NoLimit, 0, 1 << 20, NoLimit} {
		if err := group.SetSwapMax(swap); err != nil && !IsLacking(err) {
			t.Errorf("at most %d bytes swapped: %v", swap, err)
		}
	}
	if err := group.SetWriteback(true); err != nil && !IsLacking(err) {
		t.Error(err)
	}
	t.Logf("version %d, by %s", tree.Version(Memory), tree.ReclaimMeans())
	for range 2 { // and again, when there is less
		before, err := group.MemoryUsage()
		if err != nil {
			t.Fatal(err)
		}
		done, err := group.Reclaim(32<<20, NoLimit)
		after, err2 := group.MemoryUsage()
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		t.Logf("done: %v; before: %+v, after: %+v", done, before, after)
		if swaps, _ := os.ReadFile("/proc/swaps"); strings.Count(string(swaps), "\n") < 2 {
			if done {
				t.Error("without swap, anonymous memory was taken")
			}
			continue
		}
		if moved := before.Current - after.Current; done && moved < 24<<20 {
			t.Errorf("32 MiB were taken, and it has %d bytes less", moved)
		}
	}
}
