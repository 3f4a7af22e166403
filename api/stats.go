package api

import "time"

// Stats is what a running machine uses, at one instant.
type Stats struct {
	UUID   string      `json:"uuid"`
	Name   string      `json:"name"`
	State  State       `json:"state" enum:"off,starting,running,paused,stopping,saving,saved"`
	Silent bool        `json:"silent,omitempty" doc:"its process does not answer: what the guest has is what was last known, and what it says is left out"`
	Time   time.Time   `json:"time"`
	CPU    CPUStats    `json:"cpu"`
	Memory MemoryStats `json:"memory"`
}

// CPUStats is what a machine has of the host's processors. QEMU's own threads count
// as its.
type CPUStats struct {
	Count        int     `json:"count" doc:"plugged in"`
	Cap          int     `json:"cap" doc:"percent of one CPU of the host that each of them may use; 100 without a cap"`
	LimitPercent float64 `json:"limitPercent,omitempty" doc:"of one CPU of the host, that all together may use; absent without a limit"`
	UsedPercent  float64 `json:"usedPercent" doc:"of one CPU of the host, since the look before"`
	ReadyPercent float64 `json:"readyPercent" doc:"of one CPU of the host: its threads were ready to run and had to wait"`
	Used         float64 `json:"used" doc:"seconds since it was started"`
	Ready        float64 `json:"ready" doc:"seconds since it was started"`
}

// MemoryStats is what a machine has of the host's memory, as the host sees it, and how
// its guest says that it stands.
type MemoryStats struct {
	Assigned   Size         `json:"assigned" doc:"what the guest has: what it booted with, and what was plugged in, without the balloon"`
	Minimum    Size         `json:"minimum"`
	Maximum    Size         `json:"maximum"`
	Plugged    Size         `json:"plugged" doc:"plugged in since it booted"`
	Ballooned  Size         `json:"ballooned" doc:"taken by the balloon"`
	Resident   Size         `json:"resident" doc:"what its process has of the host's memory, what it shares with others whole"`
	Used       Size         `json:"used" doc:"what its process has of the host's memory, of what it shares its part"`
	Shared     Size         `json:"shared" doc:"what the kernel has merged with equal pages (KSM)"`
	Compressed Size         `json:"compressed" doc:"what of it is in compressed memory"`
	Swapped    Size         `json:"swapped" doc:"what of it is swapped out, compressed memory included"`
	Guest      *GuestMemory `json:"guest,omitempty" doc:"what the guest says; absent while it has said nothing"`
}

// GuestMemory is what a guest's kernel says of its memory.
type GuestMemory struct {
	Updated     time.Time `json:"updated" doc:"when it said so"`
	Total       Size      `json:"total"`
	Free        Size      `json:"free"`
	Available   Size      `json:"available" doc:"what its programs could have without swapping"`
	Caches      Size      `json:"caches" doc:"what files hold"`
	MajorFaults int64     `json:"majorFaults" doc:"pages that had to be read, since it booted"`
	MinorFaults int64     `json:"minorFaults"`
	SwappedIn   Size      `json:"swappedIn" doc:"since it booted"`
	SwappedOut  Size      `json:"swappedOut"`
}

// StatsList is what all running machines use, and how the host stands.
type StatsList struct {
	Time     time.Time `json:"time"`
	Host     HostStats `json:"host"`
	Machines []Stats   `json:"machines" doc:"those that run, ordered by name"`
}

// HostStats is how a host's memory stands.
type HostStats struct {
	CPUs      int          `json:"cpus" doc:"threads the kernel schedules on"`
	Memory    Size         `json:"memory"`
	Available Size         `json:"available" doc:"what the kernel could give now without swapping"`
	Swap      Size         `json:"swap"`
	SwapFree  Size         `json:"swapFree"`
	Sharing   SharingStats `json:"sharing"`
	Reclaim   ReclaimStats `json:"reclaim"`
	Pressure  *float64     `json:"pressure,omitempty" doc:"percent of the last 10 s in which somebody waited for memory; absent where the kernel does not say"`
}

// ReclaimStats is what the host has to move cold memory of machines into, and how that stands.
type ReclaimStats struct {
	Compressor string   `json:"compressor,omitempty" enum:"zswap,zram" doc:"the compressed memory of the host; absent where it has none"`
	Room       Size     `json:"room" doc:"what compressed memory still takes, as large as it is before"`
	SwapRoom   Size     `json:"swapRoom" doc:"what swap outside of memory still takes"`
	Means      string   `json:"means,omitempty" doc:"by what the kernel is asked: memory.reclaim, memory.high or memory.limit_in_bytes"`
	Why        string   `json:"why,omitempty" doc:"why nothing is moved out"`
	Lacks      []string `json:"lacks,omitempty" doc:"what the host does not have, and what that means"`

	Now *HostMemory `json:"now,omitempty" doc:"by what the host makes room now; absent where it never ran short"`
}

// MemoryStage is by what a host makes room that runs short of memory: each comes when the one before has given what it can, or
// not enough in time.
type MemoryStage string

// The stages, in their order.
const (
	StageEnough    MemoryStage = "enough"    // it does not run short
	StageBalloon   MemoryStage = "balloon"   // guests give what they can spare
	StageSharing   MemoryStage = "sharing"   // equal pages are merged
	StageCompress  MemoryStage = "compress"  // cold memory goes into compressed memory
	StageSwap      MemoryStage = "swap"      // cold memory goes to swap outside of memory
	StageExhausted MemoryStage = "exhausted" // nothing is left
)

// HostMemory is how far a host has come with making room for memory.
type HostMemory struct {
	Time   time.Time   `json:"time" doc:"since when"`
	Stage  MemoryStage `json:"stage" enum:"enough,balloon,sharing,compress,swap,exhausted" doc:"by what it makes room; exhausted: by nothing any more"`
	Reason string      `json:"reason,omitempty" doc:"why what comes before is not enough; absent for enough"`
}

// SharingStats is how the host's kernel merges equal pages, of machines and of others.
type SharingStats struct {
	Running bool   `json:"running" doc:"the kernel looks for equal pages now"`
	Shared  Size   `json:"shared" doc:"what stands for several equal pages"`
	Saved   Size   `json:"saved" doc:"what is not needed thanks to that"`
	Why     string `json:"why,omitempty" doc:"why it does not look, or cannot"`
}

// StatsHistory is what a machine has used.
type StatsHistory struct {
	Interval int           `json:"interval" doc:"seconds between samples"`
	Samples  []StatsSample `json:"samples" doc:"the oldest first"`
}

// StatsSample is what a machine used at one instant of its past.
type StatsSample struct {
	Time         time.Time `json:"time"`
	CPUPercent   float64   `json:"cpuPercent" doc:"of one CPU of the host, since the sample before"`
	ReadyPercent float64   `json:"readyPercent"`
	Assigned     Size      `json:"assigned"`
	Used         Size      `json:"used"`
	Ballooned    Size      `json:"ballooned"`
	Shared       Size      `json:"shared"`
	Compressed   Size      `json:"compressed"`
	Swapped      Size      `json:"swapped"`
	Available    Size      `json:"available" doc:"as the guest says; 0 while it says nothing"`
}
