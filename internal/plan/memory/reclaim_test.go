package memory

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestReclaim tells what single situations lead to.
func TestReclaim(t *testing.T) {
	start := time.Unix(1e9, 0)
	web := Process{ID: "web", Has: 2 * giga, Most: -1, Shares: 1000, Reach: IntoSwap}
	with := func(change func(*Process)) []Process {
		p := web
		change(&p)
		return []Process{p}
	}
	short, both := Host{Free: -200 * mega}, Means{CompressRoom: giga, SwapRoom: giga}
	long := Reclaimed{Short: start.Add(-time.Minute)}
	tests := []struct {
		name      string
		host      Host
		means     Means
		processes []Process
		before    Reclaimed
		want      Action // of the only step; empty for none
		reason    string
	}{
		{"the host has enough", Host{}, both, []Process{web}, Reclaimed{}, "", ""},
		{"it has not", short, both, []Process{web}, Reclaimed{}, Compress, "it lacks 200 MiB, and guests and sharing give no more"},
		{"programs wait", Host{Free: giga, Pressure: 40}, both, []Process{web}, Reclaimed{}, Compress, "wait for memory 40 %"},
		{"guests can give", short, Means{Ballooning: giga, CompressRoom: giga}, []Process{web}, Reclaimed{}, "", ""},
		{"they have not in time", short, Means{Ballooning: giga, CompressRoom: giga}, []Process{web}, long, Compress, "guests do not give enough in time"},
		{"equal pages are found", short, Means{Sharing: true, CompressRoom: giga}, []Process{web}, Reclaimed{}, "", ""},
		{"not enough of them", short, Means{Sharing: true, CompressRoom: giga}, []Process{web}, long, Compress, ""},
		{"compressed memory is full", short, Means{SwapRoom: giga, Compressor: "zswap", HasSwap: true}, []Process{web}, Reclaimed{}, Swap, "and compressed memory (zswap) is full"},
		{"there is none", short, Means{SwapRoom: giga, HasSwap: true}, []Process{web}, Reclaimed{}, Swap, "and the host has no compressed memory"},
		{"there is neither", short, Means{}, []Process{web}, Reclaimed{}, "", ""},
		{"it may only be compressed", short, Means{SwapRoom: giga}, with(func(p *Process) { p.Reach = IntoCompressed }), Reclaimed{}, "", ""},
		{"it may not", short, both, with(func(p *Process) { p.Reach = Nowhere }), Reclaimed{}, "", ""},
		{"it is reserved", short, both, with(func(p *Process) { p.Keep = p.Has }), Reclaimed{}, "", ""},
		{"it is known to need it", short, both, []Process{web}, Reclaimed{Processes: map[string]Moved{"web": {Needs: web.Has}}}, "", ""},
		{"so much is moved out that it may not be more", short, both, with(func(p *Process) { p.Most, p.Out = giga, giga }), Reclaimed{}, "", ""},
		{"it takes back what was moved out", short, both, with(func(p *Process) { p.Returned = 50e6 }), Reclaimed{Processes: map[string]Moved{"web": {Last: start.Add(-time.Second)}}}, "", ""},
		{"above its limit", Host{Free: giga}, both, with(func(p *Process) { p.Limit = giga }), Reclaimed{}, Compress, "more than its limit, 1024 MiB"},
		{"below its limit", Host{Free: giga}, both, with(func(p *Process) { p.Limit = 3 * giga }), Reclaimed{}, "", ""},
		{"above its limit, and reserved", Host{Free: giga}, both, with(func(p *Process) { p.Limit, p.Keep = giga, 2*giga }), Reclaimed{}, "", ""},
		{"above its limit, into swap", Host{Free: giga}, Means{SwapRoom: giga}, with(func(p *Process) { p.Limit = giga }), Reclaimed{}, Swap, "limit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			steps, _ := Reclaim(ReclaimDefaults, start, time.Second, test.host, test.means, test.processes, test.before)
			if test.want == "" {
				if len(steps) > 0 {
					t.Fatalf("steps %+v, want none", steps)
				}
				return
			}
			if len(steps) != 1 || steps[0].Action != test.want || steps[0].Bytes < ReclaimDefaults.Least || !strings.Contains(steps[0].Reason, test.reason) {
				t.Fatalf("steps %+v, want %s: %s", steps, test.want, test.reason)
			}
		})
	}
}

// cellar is a simulated host whose kernel moves out what is coldest, into compressed
// memory as long as there is room, and fetches what is needed again.
type cellar struct {
	now              time.Time
	memory           int64 // for all processes, and for what is compressed
	compress, swap   int64 // room, as large as it was
	ballooning       int64
	asked            Means // what there was when it was decided last
	before           int64 // what was free then
	processes        []Process
	hot              []int64 // of each: what it uses all the time
	compressed, disk []int64 // of each: where what is moved out is
	state            Reclaimed
}

func (w *cellar) free() int64 {
	free := w.memory
	for i, p := range w.processes {
		free -= p.Has + w.compressed[i]/2
	}
	return free
}

func (w *cellar) room() (compress, swap int64) {
	compress, swap = w.compress, w.swap
	for i := range w.processes {
		compress -= w.compressed[i]
		swap -= w.disk[i]
	}
	return compress, swap
}

// second lets a second pass and returns what was moved out.
func (w *cellar) second() []Reclamation {
	w.now = w.now.Add(time.Second)
	for i := range w.processes {
		p := &w.processes[i]
		back := max(0, min(w.hot[i]-p.Has, p.Out))
		fast := min(back, w.compressed[i])
		w.compressed[i] -= fast
		w.disk[i] -= back - fast
		p.Has, p.Out, p.Returned = p.Has+back, p.Out-back, float64(back)
	}
	compress, swap := w.room()
	w.asked, w.before = Means{Ballooning: w.ballooning, CompressRoom: compress, SwapRoom: swap}, w.free()
	var steps []Reclamation
	steps, w.state = Reclaim(ReclaimDefaults, w.now, time.Second, Host{Free: w.before}, w.asked, w.processes, w.state)
	for _, step := range steps {
		for i := range w.processes {
			if p := &w.processes[i]; p.ID == step.ID {
				p.Has, p.Out = p.Has-step.Bytes, p.Out+step.Bytes
				fast := min(step.Bytes, max(0, compress))
				w.compressed[i], w.disk[i] = w.compressed[i]+fast, w.disk[i]+step.Bytes-fast
				compress -= fast
			}
		}
	}
	return steps
}

func drawCellar(t *rapid.T) *cellar {
	w := &cellar{now: time.Unix(1e9, 0)}
	size := func(name string, least, most int64) int64 { return rapid.Int64Range(least, most).Draw(t, name) * mega }
	var all int64
	for i := range rapid.IntRange(1, 10).Draw(t, "processes") {
		p := Process{
			ID: string(rune('a' + i)), Has: size("has", 64, 4096), Shares: rapid.IntRange(1, 10000).Draw(t, "shares"),
			Reach: Reach(rapid.IntRange(0, 2).Draw(t, "reach")), Most: -1,
		}
		if rapid.Bool().Draw(t, "reserved") {
			p.Keep = rapid.Int64Range(0, p.Has/mega).Draw(t, "keep") * mega
		}
		hot := rapid.Int64Range(0, p.Has/mega).Draw(t, "hot") * mega
		if rapid.IntRange(0, 3).Draw(t, "bounded") == 0 {
			p.Most = size("most", 0, 1024)
		}
		all += p.Has
		w.processes, w.hot = append(w.processes, p), append(w.hot, hot)
	}
	w.compressed, w.disk = make([]int64, len(w.processes)), make([]int64, len(w.processes))
	w.memory = int64(float64(all) * rapid.Float64Range(0.4, 1.2).Draw(t, "memory"))
	w.compress, w.swap = size("compress", 0, 4096), size("swap", 0, 4096)
	return w
}

// TestReclaimBounds: whatever happens, nobody is brought below what it was promised or is known to need, or farther
// than it may go; nothing is swapped that could be compressed, and nothing moved while guests could give by themselves.
func TestReclaimBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawCellar(t)
		for second := range rapid.IntRange(1, 60).Draw(t, "seconds") {
			if rapid.IntRange(0, 9).Draw(t, "changes") == 0 {
				i := rapid.IntRange(0, len(w.hot)-1).Draw(t, "whose")
				w.hot[i] = min(w.hot[i]+64*mega, w.processes[i].Has+w.processes[i].Out)
			}
			w.ballooning = 0
			if second < 5 {
				w.ballooning = rapid.Int64Range(0, 2).Draw(t, "ballooning") * giga
			}
			steps := w.second()
			for _, step := range steps {
				p := w.processes[step.ID[0]-'a']
				switch {
				case step.Reason == "":
					t.Fatalf("no reason for %+v", step)
				case p.Has < min(p.Keep, p.Has+step.Bytes) || p.Has < min(w.state.Processes[p.ID].Needs, p.Has+step.Bytes):
					t.Fatalf("%+v leaves it %d MiB of %d reserved and %d needed", step, p.Has/mega, p.Keep/mega, w.state.Processes[p.ID].Needs/mega)
				case step.Action == Compress && (p.Reach < IntoCompressed || step.Bytes > w.asked.CompressRoom):
					t.Fatalf("%+v: it may go to %d, and there is room for %d", step, p.Reach, w.asked.CompressRoom/mega)
				case step.Action == Swap && (p.Reach < IntoSwap || step.Bytes > w.asked.SwapRoom):
					t.Fatalf("%+v: it may go to %d, and there is room for %d", step, p.Reach, w.asked.SwapRoom/mega)
				case step.Action == Swap && w.asked.CompressRoom >= ReclaimDefaults.Least:
					t.Fatalf("%+v, and there is room for %d compressed", step, w.asked.CompressRoom/mega)
				case p.Most >= 0 && p.Out > max(p.Most, p.Out-step.Bytes):
					t.Fatalf("%+v: %d are moved out, of at most %d", step, p.Out/mega, p.Most/mega)
				case w.ballooning >= ReclaimDefaults.Least && w.now.Sub(w.state.Short) < ReclaimDefaults.Patience:
					t.Fatalf("%+v, and guests can still give %d", step, w.ballooning/mega)
				}
			}
			if w.before >= 0 && len(steps) > 0 {
				t.Fatalf("%d MiB are free, and %+v", w.before/mega, steps)
			}
		}
	})
}

// TestReclaimOrder: with one process and all means, first guests give, then it is compressed, then swapped.
func TestReclaimOrder(t *testing.T) {
	w := &cellar{now: time.Unix(1e9, 0), memory: giga, compress: giga, swap: 4 * giga, ballooning: giga}
	w.processes = []Process{{ID: "a", Has: 3 * giga, Most: -1, Shares: 1, Reach: IntoSwap}}
	w.hot, w.compressed, w.disk = []int64{0}, []int64{0}, []int64{0}
	var order []Action
	first := -1
	for second := range 120 {
		for _, step := range w.second() {
			if first < 0 {
				first = second
			}
			if len(order) == 0 || order[len(order)-1] != step.Action {
				order = append(order, step.Action)
			}
		}
	}
	if len(order) != 2 || order[0] != Compress || order[1] != Swap || first < int(ReclaimDefaults.Patience/time.Second) {
		t.Errorf("from second %d on: %v", first, order)
	}
	if w.free() < 0 {
		t.Errorf("it still lacks %d MiB", -w.free()/mega)
	}
}

// TestReclaimSettles: while nothing changes, memory does not go out and in: after some minutes what is moved is next to
// nothing, and where there was enough cold memory and room the host has what it lacked.
func TestReclaimSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawCellar(t)
		for range 45 * 60 {
			w.second()
		}
		var moved, all int64
		for _, p := range w.processes {
			all += p.Has + p.Out
		}
		const watched = 20 * 60
		for range watched {
			for _, step := range w.second() {
				moved += step.Bytes
			}
		}
		// Each process is tried again now and then: it may need less by now.
		if most := all / 2; moved > most {
			t.Errorf("in %d s %d MiB of %d were moved", watched, moved/mega, all/mega)
		}
		var could int64
		for i, p := range w.processes {
			if p.Reach == IntoSwap && p.Most < 0 {
				could += max(0, p.Has-max(p.Keep, w.hot[i], w.state.Processes[p.ID].Needs)-4*ReclaimDefaults.Least)
			}
		}
		if _, swap := w.room(); w.free() < 0 && swap > giga && could > giga {
			t.Errorf("the host lacks %d MiB, and %d could be moved", -w.free()/mega, could/mega)
		}
	})
}

// BenchmarkReclaim is a decision over a hundred processes of a host that runs short.
func BenchmarkReclaim(b *testing.B) {
	var processes []Process
	for i := range 100 {
		processes = append(processes, Process{ID: string(rune('a' + i)), Has: giga, Most: -1, Shares: 1 + i, Reach: IntoSwap})
	}
	for b.Loop() {
		Reclaim(ReclaimDefaults, time.Unix(1e9, 0), time.Second, Host{Free: -giga}, Means{CompressRoom: giga}, processes, Reclaimed{})
	}
}
