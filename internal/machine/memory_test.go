package machine

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
)

// TestPartsAfter: a guest that gives back nothing of what was plugged in gives it to the balloon, in the same sum.
func TestPartsAfter(t *testing.T) {
	m := api.Memory{Start: api.GiB, Size: api.GiB, Maximum: 4 * api.GiB}
	for _, c := range []struct{ size, plugged, wantPlugged, wantBallooned api.Size }{
		{3, 0, 2, 0}, {3, 2, 2, 0}, {2, 2, 2, 1}, {1, 2, 2, 2}, {4, 2, 3, 0},
	} {
		got := PartsAfter(m, c.size*api.GiB, c.plugged*api.GiB)
		if want := (MemoryParts{c.wantPlugged * api.GiB, c.wantBallooned * api.GiB}); got != want {
			t.Errorf("%d GiB with %d plugged in: %+v, want %+v", c.size, c.plugged, got, want)
		}
	}
}

// TestReclaimOf: of machine and host, who lets less be moved out decides, and fixed memory stays.
func TestReclaimOf(t *testing.T) {
	for _, c := range []struct {
		m          api.Memory
		host, want api.Reclaim
	}{
		{api.Memory{}, "", api.ReclaimSwap},
		{api.Memory{}, api.ReclaimCompress, api.ReclaimCompress},
		{api.Memory{Reclaim: api.ReclaimCompress}, api.ReclaimSwap, api.ReclaimCompress},
		{api.Memory{Reclaim: api.ReclaimSwap}, api.ReclaimOff, api.ReclaimOff},
		{api.Memory{Reclaim: api.ReclaimOff}, "", api.ReclaimOff},
		{api.Memory{Locked: true}, api.ReclaimSwap, api.ReclaimOff},
		{api.Memory{PageSize: LeastHugePage}, api.ReclaimSwap, api.ReclaimOff},
	} {
		if got := ReclaimOf(c.m, c.host); got != c.want {
			t.Errorf("%+v on a host with %q: %q, want %q", c.m, c.host, got, c.want)
		}
	}
}

// TestMemoryOfARunningMachine tells which changes of its memory a machine takes whose guest is in memory.
func TestMemoryOfARunningMachine(t *testing.T) {
	tests := []struct {
		name  string
		made  string
		state api.State
		set   string
		parts MemoryParts
		wrong string // empty for what is permitted
	}{
		{"more", "memory=1G|memory.maximum=4G", api.StateRunning, "memory=3G", MemoryParts{2 * api.GiB, 0}, ""},
		{"less than it booted with", "memory=1G", api.StateRunning, "memory=768M", MemoryParts{0, 256 * api.MiB}, ""},
		{"a balloon", "memory=1G", api.StateRunning, "balloon=256M", MemoryParts{0, 256 * api.MiB}, ""},
		{"less, with a balloon", "memory=1G|balloon=100M", api.StateRunning, "memory=768M", MemoryParts{0, 356 * api.MiB}, ""},
		{"more, with a balloon", "memory=1G|balloon=100M|memory.maximum=2G", api.StateRunning, "memory=1025M", MemoryParts{2 * api.MiB, 100 * api.MiB}, ""},
		{"above its maximum", "memory=1G|memory.maximum=4G", api.StateRunning, "memory=5G", MemoryParts{}, "memory.size: is 5G, which is above memory.maximum, 4G"},
		{"above what it booted with, without a maximum", "memory=1G", api.StateRunning, "memory=2G", MemoryParts{}, "above memory.maximum"},
		{"below its minimum", "memory=2G|memory.minimum=1G|memory.control=manual", api.StateRunning, "memory=512M", MemoryParts{}, "memory.size: is 512M, which is below memory.minimum, 1G"},
		{"a balloon below its minimum", "memory=2G|memory.minimum=1G|memory.control=manual", api.StateRunning, "balloon=1025M", MemoryParts{}, "less than memory.minimum, 1G"},
		{"a balloon that leaves nothing", "memory=1G", api.StateRunning, "balloon=1G", MemoryParts{}, "less than the 64M that every guest keeps"},
		{"below what every guest keeps", "memory=256M", api.StateRunning, "memory=32M", MemoryParts{}, "memory.size: is 32M; of what the guest boots with, 256M, the balloon can take all but 64M"},
		{"none", "memory=1G", api.StateRunning, "memory=0", MemoryParts{}, "memory: is 0; it must be 4M or more"},
		{"none, with a unit", "memory=1G", api.StateRunning, "memory.maximum=0M", MemoryParts{}, "memory.maximum: is 0; it must be 4M or more"},
		{"no shares", "memory=1G", api.StateRunning, "memory.shares=0", MemoryParts{}, "memory.shares: is 0; it must be 1 to 10000"},
		{"a limit of nothing", "memory=1G", api.StateRunning, "memory.limit=0", MemoryParts{}, "memory.limit: is 0"},
		{"no swap", "memory=1G", api.StateRunning, "memory.swap=0", MemoryParts{}, "memory.reclaim=off has nothing moved out"},
		{"by hand in a range", "memory=1G..2G", api.StateRunning, "memory=1.5G", MemoryParts{}, "memory.size: follows the guest's demand"},
		{"a balloon in a range", "memory=1G..2G", api.StateRunning, "balloon=100M", MemoryParts{}, "memory.balloon: is set by hand"},
		{"by hand in a range from now on", "memory=1G..2G", api.StateRunning, "memory=1.5G|memory.control=manual", MemoryParts{512 * api.MiB, 0}, ""},
		{"another maximum", "memory=1G|memory.maximum=4G", api.StateRunning, "memory.maximum=5G", MemoryParts{}, "memory.maximum: can only change while the machine is off"},
		{"another start", "memory=1G|memory.maximum=4G", api.StateRunning, "memory.start=2G", MemoryParts{}, "memory.start: can only change while the machine is off"},
		{"paused", "memory=1G|memory.maximum=4G", api.StatePaused, "memory=2G", MemoryParts{}, "memory.size: can only change while the guest runs"},
		{"shares, paused", "memory=1G", api.StatePaused, "memory.shares=2000", MemoryParts{}, ""},
		{"Windows takes more", "os=windows|memory=1G|memory.maximum=4G", api.StateRunning, "memory=3G", MemoryParts{2 * api.GiB, 0}, ""},
		{"Windows unplugs none", "os=windows|memory=3G|memory.start=1G", api.StateRunning, "memory=2G", MemoryParts{}, "Windows (the machine's os) takes memory while it runs"},
		{"Windows has a balloon", "os=windows|memory=3G|memory.start=1G", api.StateRunning, "balloon=512M", MemoryParts{2 * api.GiB, 512 * api.MiB}, ""},
		{"Linux unplugs", "memory=3G|memory.start=1G", api.StateRunning, "memory=2G", MemoryParts{api.GiB, 0}, ""},
		{"a limit", "memory=1G", api.StateRunning, "memory.limit=512M|memory.swap=1G|memory.reclaim=swap", MemoryParts{}, ""},
		{"a limit below what is reserved", "memory=1G|memory.reserve=768M", api.StateRunning, "memory.limit=512M", MemoryParts{}, "memory.limit: is 512M, which is below the 768M"},
		{"a limit without means", "memory=1G", api.StateRunning, "memory.limit=512M|memory.reclaim=off", MemoryParts{}, "memory.limit: cannot be held"},
		{"nothing may be moved out, and so much", "memory=1G", api.StateRunning, "memory.swap=512M|memory.reclaim=off", MemoryParts{}, "memory.swap: is 512M, but nothing may be moved out"},
		{"another kind of reclaim", "memory=1G", api.StateRunning, "memory.reclaim=all", MemoryParts{}, "memory.reclaim"},
		{"huge pages", "memory=1G", api.StateRunning, "memory.pageSize=2M", MemoryParts{}, "memory.pageSize: can only change while the machine is off"},
		{"locked", "memory=1G", api.StateRunning, "memory.locked=on", MemoryParts{}, "memory.locked: can only change while the machine is off"},
		{"other nodes", "memory=1G|memory.nodes=0", api.StateRunning, "memory.nodes=1-2", MemoryParts{}, ""},
		{"no nodes", "memory=1G|memory.nodes=0|memory.placement=interleave", api.StateRunning, "memory.nodes=|memory.placement=", MemoryParts{}, ""},
		{"another placement", "memory=1G|memory.nodes=0", api.StateRunning, "memory.placement=interleave", MemoryParts{}, "memory.placement: can only change while the machine is off"},
		{"several preferred", "memory=1G", api.StateRunning, "memory.nodes=0-1|memory.placement=preferred", MemoryParts{}, "which is for one node"},
		{"huge pages, and less", "memory=1G|memory.pageSize=2M", api.StateRunning, "memory=512M", MemoryParts{}, "it does not go with"},
		{"huge pages, swapped", "memory=1G|memory.pageSize=2M", api.StateRunning, "memory.reclaim=swap", MemoryParts{}, "memory.swap or memory.reclaim"},
		{"huge pages, shared", "memory=1G|memory.pageSize=1G", api.StateRunning, "memory.sharing=on", MemoryParts{}, "memory.sharing"},
		{"locked, and shared", "memory=1G|memory.locked=on", api.StateRunning, "memory.sharing=on", MemoryParts{}, ""},
		{"saved", "memory=1G", api.StateSaved, "balloon=100M", MemoryParts{}, "memory: can only change while the machine is off"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, wrong := Assign(api.Spec{Name: "m", Architecture: api.X8664}, strings.Split(test.made, "|"))
			if before = Complete(before, Defaults{UUID: "5f8a6bb2-0c3e-4b8e-9d6f-0d9f6f0a7c11"}); len(wrong)+len(Validate(before)) > 0 {
				t.Fatal(wrong, Validate(before))
			}
			after, wrong := AssignLive(before, strings.Split(test.set, "|"))
			after = Complete(after, Defaults{})
			wrong = append(wrong, Validate(after)...)
			wrong = append(wrong, Immutable(before, after, test.state)...)
			var texts []string
			for _, w := range wrong {
				texts = append(texts, w.Field+": "+w.Message)
			}
			text := strings.Join(texts, "\n")
			if test.wrong == "" && text != "" || !strings.Contains(text, test.wrong) {
				t.Fatalf("%s\nwant %q", text, test.wrong)
			}
			if parts := MemoryOf(after.Memory); test.wrong == "" && parts != test.parts {
				t.Errorf("is made of %+v, want %+v", parts, test.parts)
			}
		})
	}
}
