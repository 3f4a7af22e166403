package memory

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStage tells how far a host comes by what it has, and what is said of it.
func TestStage(t *testing.T) {
	start := time.Unix(1e9, 0)
	short := Host{Free: -200 * mega}
	long := Reclaimed{Short: start.Add(-time.Minute)}
	process := func(reach Reach) []Process {
		return []Process{{ID: "web", Has: 2 * giga, Most: -1, Shares: 1, Reach: reach}}
	}
	full := Means{Compressor: "zram"}
	for _, test := range []struct {
		name      string
		host      Host
		means     Means
		processes []Process
		before    Reclaimed
		want      Stage
		why       string
	}{
		{"it has enough", Host{}, Means{}, process(IntoSwap), Reclaimed{}, Enough, ""},
		{"guests can give", short, Means{Ballooning: giga, CompressRoom: giga}, process(IntoSwap), Reclaimed{}, Ballooning, "it lacks 200 MiB, and guests give what they can spare"},
		{"equal pages are found", short, Means{Sharing: true, CompressRoom: giga}, process(IntoSwap), Reclaimed{}, Merging, "equal pages are being merged"},
		{"memory can be compressed", short, Means{CompressRoom: giga, SwapRoom: giga}, process(IntoSwap), long, Compressing, "guests and sharing give no more"},
		{"compressed memory is full", short, Means{Compressor: "zswap", SwapRoom: giga, HasSwap: true}, process(IntoSwap), long, Swapping, "compressed memory (zswap) is full"},
		{"it has swap alone", short, Means{SwapRoom: giga, HasSwap: true}, process(IntoSwap), long, Swapping, "the host has no compressed memory"},
		{"compressed memory is full, and there is no swap", short, full, process(IntoSwap), long, Exhausted, "nothing can be moved out: compressed memory (zram) is full, and there is no swap outside of memory"},
		{"all is full", short, Means{Compressor: "zswap", HasSwap: true}, process(IntoSwap), long, Exhausted, "compressed memory (zswap) is full, and swap is full"},
		{"compressed memory is full, and nobody may be swapped", short, Means{Compressor: "zswap", HasSwap: true, SwapRoom: giga}, process(IntoCompressed), long, Exhausted, "no machine's memory may be swapped"},
		{"nobody may be moved out", short, Means{Compressor: "zswap", CompressRoom: giga}, process(Nowhere), long, Exhausted, "no machine's memory may be (memory.reclaim)"},
		{"the kernel cannot be asked", short, Means{CompressRoom: giga, Barred: "no control groups"}, nil, long, Exhausted, "nothing can be moved out: no control groups"},
	} {
		_, after := Reclaim(ReclaimDefaults, start, time.Second, test.host, test.means, test.processes, test.before)
		if after.Stage != test.want || !strings.Contains(after.Why, test.why) || (after.Why == "") != (test.want == Enough) {
			t.Errorf("%s: stage %d, %q", test.name, after.Stage, after.Why)
		}
	}
}

// TestTold: a host that comes farther is told of at once, one that comes back when that lasts, and one that wavers not each time.
func TestTold(t *testing.T) {
	var told Told
	var said []Stage
	now := time.Unix(1e9, 0)
	stages := slices.Concat(slices.Repeat([]Stage{Enough, Ballooning}, 20), slices.Repeat([]Stage{Swapping}, 5), slices.Repeat([]Stage{Compressing}, 5), []Stage{Swapping},
		slices.Repeat([]Stage{Enough}, 30), []Stage{Exhausted})
	for _, stage := range stages {
		var tell bool
		if told, tell = told.Tell(now, stage); tell {
			said = append(said, told.Stage)
		}
		now = now.Add(time.Second)
	}
	if want := []Stage{Ballooning, Swapping, Enough, Exhausted}; !slices.Equal(said, want) {
		t.Errorf("said %v, want %v", said, want)
	}
}
