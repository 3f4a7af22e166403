package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// NoLimit takes a limit away.
const NoLimit int64 = -1

// limit is how a number of bytes is written, or that there is no limit.
func limit(bytes int64, version int) string {
	switch {
	case bytes >= 0:
		return strconv.FormatInt(bytes, 10)
	case version == 1:
		return "-1"
	default:
		return "max"
	}
}

func (g *Group) setMemory(v1, v2 string, bytes int64) error {
	return g.set(Memory, v1, v2, limit(bytes, g.tree.Version(Memory)))
}

// SetMemoryHigh sets how many bytes the process may have before the kernel takes some back and slows it down; NoLimit for any
// number. Version 1 does not have that.
func (g *Group) SetMemoryHigh(bytes int64) error { return g.setMemory("", "memory.high", bytes) }

// SetMemoryMin sets how many bytes the kernel leaves the process whatever happens. Version 1 does not have that.
func (g *Group) SetMemoryMin(bytes int64) error { return g.setMemory("", "memory.min", max(0, bytes)) }

// SetSwapMax sets how many bytes of the process may be swapped out, compressed memory included; NoLimit for any number, 0 for
// none. Of version 1 the kernel takes none and any number alone (by its swappiness); another number is a LackingError there.
func (g *Group) SetSwapMax(bytes int64) error {
	if g.tree.Version(Memory) != 1 {
		return g.setMemory("", "memory.swap.max", bytes)
	}
	if bytes > 0 {
		return &LackingError{Memory, "it is of version 1 here, which does not limit swap by itself (version 2: memory.swap.max)"}
	}
	swappiness := "0"
	if bytes < 0 {
		swappiness = "60" // what Linux begins with
	}
	return g.set(Memory, "memory.swappiness", "", swappiness)
}

// SetWriteback says whether what is in compressed memory (zswap) may go on into swap. Kernels before 6.8 and version 1 do
// not let it be said.
func (g *Group) SetWriteback(on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	return g.set(Memory, "", "memory.zswap.writeback", value)
}

// ReclaimMeans is by which of the kernel's files [Group.Reclaim] does it; empty where the tree has no place for memory.
func (t *Tree) ReclaimMeans() string {
	at, ok := t.places[Memory]
	switch {
	case !ok:
		return ""
	case at.version == 1:
		return limitV1
	}
	// The root of the hierarchy has that file as well.
	if _, err := os.Stat(filepath.Join(filepath.Dir(at.dir), reclaimV2)); err != nil {
		return "memory.high"
	}
	return reclaimV2
}

const (
	limitV1   = "memory.limit_in_bytes"
	reclaimV2 = "memory.reclaim"
)

// Reclaim asks the kernel to take so many bytes from the process, coldest first, into compressed memory or swap, or by dropping
// what files hold. It is no error when there is less to be taken; done is false then. Where the kernel has no memory.reclaim
// (before 5.19, and in version 1) the limit is lowered for a moment: the kernel makes the process fit, and then the limit goes.
// high is the limit that holds otherwise, NoLimit for none.
func (g *Group) Reclaim(bytes, high int64) (done bool, err error) {
	switch g.tree.ReclaimMeans() {
	case reclaimV2:
		err = g.set(Memory, "", reclaimV2, strconv.FormatInt(bytes, 10))
	case "":
		return false, g.tree.lacks[Memory]
	default:
		err = g.squeeze(bytes, high)
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}

// squeeze lowers the limit of a group for a moment.
func (g *Group) squeeze(bytes, high int64) error {
	now, err := g.number(Memory, "memory.usage_in_bytes", "memory.current")
	if err != nil {
		return err
	}
	set := func(to int64) error { return g.setMemory(limitV1, "memory.high", to) }
	if high >= 0 && g.tree.Version(Memory) == 1 {
		high = NoLimit // beyond it the kernel would end the process
	}
	return errors.Join(set(max(0, now-bytes)), set(high))
}

// Release takes a limit away that an earlier daemon may have been killed while it had lowered it.
func (g *Group) Release() error {
	if g.tree.Version(Memory) != 1 {
		return nil // SetMemoryHigh says what it is to be
	}
	return g.setMemory(limitV1, "", NoLimit)
}

// MemoryUsage is what a group has, in bytes.
type MemoryUsage struct {
	Current    int64 // of memory, page cache included
	Anonymous  int64 // of it, memory that no file stands behind
	File       int64 // of it, page cache
	Swap       int64 // swapped out; 0 where the kernel does not count it
	Compressed int64 // what compressed memory (zswap) takes for what is in it; 0 where the kernel does not count it
	Zswapped   int64 // what is in compressed memory, as large as it was
	OOMKills   int64 // processes that the kernel has ended for want of memory
}

// MemoryUsage reads what the process has.
func (g *Group) MemoryUsage() (MemoryUsage, error) {
	current, err := g.number(Memory, "memory.usage_in_bytes", "memory.current")
	if err != nil {
		return MemoryUsage{}, err
	}
	text, err := g.get(Memory, "memory.stat", "memory.stat")
	if err != nil {
		return MemoryUsage{}, err
	}
	stat := table(text)
	if g.tree.Version(Memory) == 1 {
		return MemoryUsage{Current: current, Anonymous: stat["rss"], File: stat["cache"], Swap: stat["swap"]}, nil
	}
	usage := MemoryUsage{
		Current: current, Anonymous: stat["anon"], File: stat["file"], Compressed: stat["zswap"], Zswapped: stat["zswapped"],
	}
	if swap, err := g.number(Memory, "", "memory.swap.current"); err == nil {
		usage.Swap = swap
	}
	if events, err := g.get(Memory, "", "memory.events"); err == nil {
		usage.OOMKills = table(events)["oom_kill"]
	}
	return usage, nil
}

// SetMemoryNodes says which of the host's memory nodes the process may take memory from, as a list such as 0-1,3; what it has
// elsewhere is moved. An empty list is all that the daemon may use itself.
func (g *Group) SetMemoryNodes(list string) error {
	version := g.tree.Version(CPUSet)
	if version == 1 {
		if err := g.set(CPUSet, "cpuset.memory_migrate", "", "1"); err != nil {
			return err
		}
	}
	if now, err := g.MemoryNodes(); err == nil && now == list {
		return nil
	}
	if list == "" { // the kernel takes no empty list of a group that has a process
		name := map[int]string{1: "cpuset.mems", 2: "cpuset.mems.effective"}[version]
		all, err := os.ReadFile(filepath.Join(filepath.Dir(g.dirs[CPUSet].dir), name))
		if version != 0 && err != nil {
			return err
		}
		list = strings.TrimSpace(string(all))
	}
	return g.set(CPUSet, "cpuset.mems", "cpuset.mems", list)
}

// MemoryNodes is what SetMemoryNodes has set, as the kernel has it.
func (g *Group) MemoryNodes() (string, error) { return g.get(CPUSet, "cpuset.mems", "cpuset.mems") }
