package memory

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	mega = int64(1) << 20
	giga = int64(1) << 30
)

// TestDecide tells what single situations lead to.
func TestDecide(t *testing.T) {
	calm := Guest{ID: "a", Minimum: giga, Maximum: 4 * giga, Shares: 1000, Size: 2 * giga, Has: 2 * giga, Available: giga}
	with := func(change func(*Guest)) Guest {
		g := calm
		change(&g)
		return g
	}
	short := func(g *Guest) { g.ID, g.Available = "b", 50*mega }
	tests := []struct {
		name   string
		host   Host
		guests []Guest
		want   map[string]int // sign of the change
		reason string         // of the last step
	}{
		{"nobody lacks anything", Host{Free: giga}, []Guest{calm}, nil, ""},
		{"a guest runs short", Host{Free: 4 * giga}, []Guest{calm, with(short)}, map[string]int{"b": 1}, "50 MiB of its 2048 MiB are available"},
		{"it swaps", Host{Free: 4 * giga}, []Guest{with(func(g *Guest) { g.SwapIns = 8e6 })}, map[string]int{"a": 1}, "from its swap"},
		{"it faults", Host{Free: 4 * giga}, []Guest{with(func(g *Guest) { g.MajorFaults, g.Available = 1000, 300*mega })}, map[string]int{"a": 1}, "reads 1000 pages"},
		{"at its maximum", Host{Free: 4 * giga}, []Guest{with(func(g *Guest) { g.Size, g.Has, g.Available = g.Maximum, g.Maximum, 0 })}, nil, ""},
		{"more is on its way", Host{Free: 4 * giga}, []Guest{with(func(g *Guest) { g.Has, g.Available = giga, 0 })}, nil, ""},
		{"it says nothing", Host{Free: -giga}, []Guest{with(func(g *Guest) { g.Available = -1 })}, nil, ""},
		{"the host has nothing, another guest has", Host{}, []Guest{calm, with(short)}, map[string]int{"a": -1, "b": 1}, "runs short"},
		{"nobody has anything", Host{}, []Guest{with(func(g *Guest) { g.Available = 220 * mega }), with(short)}, nil, ""},
		{"the host runs short", Host{Free: -100 * mega}, []Guest{calm}, map[string]int{"a": -1}, "the host runs short: it lacks 100 MiB"},
		{"programs of the host wait", Host{Free: giga, Pressure: 30}, []Guest{calm}, map[string]int{"a": -1}, "wait for memory 30 %"},
		{"at its minimum", Host{Free: -giga}, []Guest{with(func(g *Guest) { g.Minimum = g.Size })}, nil, ""},
		{"below its minimum", Host{Free: giga}, []Guest{with(func(g *Guest) { g.Minimum = 3 * giga })}, map[string]int{"a": 1}, "less than its minimum"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			steps, _ := Decide(Defaults, time.Unix(1e9, 0), time.Second, test.host, test.guests, nil)
			if len(steps) != len(test.want) {
				t.Fatalf("steps %+v, want %v", steps, test.want)
			}
			for _, step := range steps {
				if sign := test.want[step.ID]; int64(sign)*(step.To-step.From) <= 0 {
					t.Errorf("step %+v, want %v", step, test.want)
				}
			}
			if len(steps) > 0 && !strings.Contains(steps[len(steps)-1].Reason, test.reason) {
				t.Errorf("the reason is %q, want %q", steps[len(steps)-1].Reason, test.reason)
			}
		})
	}
}

// world is a simulated host with guests that have a demand each.
type world struct {
	now    time.Time
	host   int64 // what all guests together may have
	guests []Guest
	demand []int64
	state  State
	rate   int64 // bytes a second that a guest gives or takes

	faults   []float64 // pages a second that each guest reads again; none where it is nil
	pressure float64
	silent   bool // a guest says nothing while its memory is moved, as the daemon has it
}

// second lets a second pass and returns what was decided.
func (w *world) second() []Step { return w.secondBy(Defaults) }

// secondBy is second, weighed otherwise.
func (w *world) secondBy(c Config) []Step {
	w.now = w.now.Add(time.Second)
	free := w.host
	for i := range w.guests {
		g := &w.guests[i]
		if g.Has < g.Size {
			g.Has = min(g.Size, g.Has+w.rate)
		} else {
			g.Has = max(g.Size, g.Has-w.rate)
		}
		g.Available = max(0, g.Has-w.demand[i])
		g.SwapIns = float64(max(0, w.demand[i]-g.Has))
		if w.faults != nil {
			g.MajorFaults = w.faults[i]
		}
		if w.silent && g.Has != g.Size {
			g.Available = -1
		}
		free -= g.Size
	}
	var steps []Step
	steps, w.state = Decide(c, w.now, time.Second, Host{Free: free, Pressure: w.pressure}, w.guests, w.state)
	for _, step := range steps {
		for i := range w.guests {
			if w.guests[i].ID == step.ID {
				w.guests[i].Size = step.To
			}
		}
	}
	return steps
}

func drawWorld(t *rapid.T) *world {
	w := &world{now: time.Unix(1e9, 0), rate: rapid.Int64Range(32, 1024).Draw(t, "rate") * mega}
	for i := range rapid.IntRange(1, 12).Draw(t, "guests") {
		least := rapid.Int64Range(64, 1024).Draw(t, "minimum") * mega
		g := Guest{ID: string(rune('a' + i)), Minimum: least, Maximum: least + rapid.Int64Range(0, 4096).Draw(t, "range")*mega, Shares: rapid.IntRange(1, 10000).Draw(t, "shares")}
		g.Size = g.Minimum + rapid.Int64Range(0, (g.Maximum-g.Minimum)/mega).Draw(t, "size")*mega
		g.Has = g.Size
		w.guests = append(w.guests, g)
		w.demand = append(w.demand, rapid.Int64Range(10, 5000).Draw(t, "demand")*mega)
		w.host += g.Minimum
	}
	w.host += rapid.Int64Range(0, 16384).Draw(t, "host") * mega
	return w
}

// TestBounds: whatever happens, nobody gets more than its maximum, less than its minimum, or is shrunk below what it
// needs; and what is given out beyond what there is was given before.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range rapid.IntRange(1, 60).Draw(t, "seconds") {
			if rapid.IntRange(0, 4).Draw(t, "changes") == 0 {
				w.demand[rapid.IntRange(0, len(w.demand)-1).Draw(t, "whose")] = rapid.Int64Range(10, 5000).Draw(t, "demand") * mega
			}
			var before, after int64
			for _, g := range w.guests {
				before += g.Size
			}
			steps := w.second()
			for i, g := range w.guests {
				after += g.Size
				if g.Size < g.Minimum || g.Size > g.Maximum {
					t.Fatalf("guest %s has %d of %d to %d", g.ID, g.Size/mega, g.Minimum/mega, g.Maximum/mega)
				}
				for _, step := range steps {
					if step.ID == g.ID && step.To < step.From && step.To < min(w.demand[i], step.From) {
						t.Fatalf("guest %s needs %d and is shrunk to %d", g.ID, w.demand[i]/mega, step.To/mega)
					}
					if step.Reason == "" {
						t.Fatalf("no reason for %+v", step)
					}
				}
			}
			if after > max(before, w.host) {
				t.Fatalf("%d MiB were given out, %d before, of %d", after/mega, before/mega, w.host/mega)
			}
		}
	})
}

// TestItSettles: while nothing changes, after a while nothing moves any more, and whoever could be given what it lacks has
// it.
func TestItSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range 300 {
			w.second()
		}
		for range 120 {
			if steps := w.second(); len(steps) > 0 {
				t.Fatalf("after five minutes it still moves: %+v", steps)
			}
		}
		free := w.host
		for _, g := range w.guests {
			free -= g.Size
		}
		for i, g := range w.guests {
			notWorth := max(64*mega, int64(Defaults.Dead*float64(g.Size)))
			if g.Available < Defaults.low(g.Size) && g.Size+notWorth < g.Maximum && free > giga {
				t.Errorf("guest %s needs %d and has %d of %d, and %d are free", g.ID, w.demand[i]/mega, g.Size/mega, g.Maximum/mega, free/mega)
			}
		}
	})
}

// TestShares: of guests that are alike, who has more shares has no less, and where nobody is at an end what they have
// beyond their floor is as their shares are.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few, many := rapid.IntRange(1, 5000).Draw(t, "few"), rapid.IntRange(5000, 10000).Draw(t, "many")
		w := &world{now: time.Unix(1e9, 0), rate: giga, demand: []int64{200 * mega, 200 * mega}}
		for i, shares := range []int{few, many} {
			w.guests = append(w.guests, Guest{ID: string(rune('a' + i)), Minimum: 128 * mega, Maximum: 4 * giga, Shares: shares, Size: 4 * giga, Has: 4 * giga})
		}
		w.host = rapid.Int64Range(700, 6000).Draw(t, "host") * mega
		for range 300 {
			w.second()
		}
		if w.guests[0].Size > w.guests[1].Size+int64(Defaults.Dead*float64(w.guests[0].Size))+block {
			t.Fatalf("with %d shares it has %d MiB, and with %d it has %d", few, w.guests[0].Size/mega, many, w.guests[1].Size/mega)
		}
	})
}

// TestGrowthIsQuick: from the second in which a guest runs short it is given more at once, and enough within a few.
func TestGrowthIsQuick(t *testing.T) {
	w := &world{now: time.Unix(1e9, 0), rate: giga, host: 8 * giga, demand: []int64{100 * mega}}
	w.guests = []Guest{{ID: "a", Minimum: 256 * mega, Maximum: 4 * giga, Shares: 1000, Size: 256 * mega, Has: 256 * mega}}
	w.second()
	w.demand[0] = 3 * giga
	if steps := w.second(); len(steps) != 1 || steps[0].To <= steps[0].From {
		t.Fatalf("it runs short, and %+v is done", steps)
	}
	seconds := 1
	for ; w.guests[0].Has < 3*giga; seconds++ {
		w.second()
	}
	if seconds > 30 {
		t.Errorf("it had what it needs after %d s", seconds)
	}
}

// BenchmarkDecide is a decision over a hundred guests, half of which run short on a host that has nothing left.
func BenchmarkDecide(b *testing.B) {
	var guests []Guest
	for i := range 100 {
		available := giga
		if i%2 == 0 {
			available = 10 * mega
		}
		guests = append(guests, Guest{ID: string(rune('a' + i)), Minimum: giga, Maximum: 4 * giga, Shares: 1 + i, Size: 2 * giga, Has: 2 * giga, Available: available})
	}
	for b.Loop() {
		Decide(Defaults, time.Unix(1e9, 0), time.Second, Host{}, guests, nil)
	}
}
