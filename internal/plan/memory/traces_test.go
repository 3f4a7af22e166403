package memory

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A trace is what real guests and their host said, second by second: test/traces records them.
type trace struct {
	name    string
	seconds []traced
}

// traced is one second of a trace.
type traced struct {
	available int64 // bytes, of the host
	pressure  float64
	guests    []tracedGuest
}

type tracedGuest struct {
	assigned, available, resident int64   // bytes; available is negative where it is unknown
	faults, swapped               float64 // pages and bytes since the guest booted
}

// demand is what the guest uses.
func (g tracedGuest) demand() int64 { return g.assigned - max(0, g.available) }

// wordsOfGuest is how many words of a line are of one guest.
const wordsOfGuest = 5

func readTraces(t *testing.T) []trace {
	t.Helper()
	names, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(names) < 3 {
		t.Fatalf("there are %d traces: %v", len(names), err)
	}
	var all []trace
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		one := trace{name: strings.TrimSuffix(filepath.Base(name), ".trace")}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			second, err := parseTraced(strings.Fields(line))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			one.seconds = append(one.seconds, second)
		}
		all = append(all, one)
	}
	return all
}

func parseTraced(words []string) (s traced, err error) {
	if len(words) < 3+wordsOfGuest || (len(words)-3)%wordsOfGuest != 0 {
		return s, fmt.Errorf("a line of %d words", len(words))
	}
	number := func(word string) float64 {
		value, failed := strconv.ParseFloat(word, 64)
		if failed != nil && word != "-" {
			err = failed
		}
		return value
	}
	size := func(word string) int64 { return int64(number(word) * float64(mega)) }
	s.available, s.pressure = size(words[1]), number(words[2])
	for w := words[3:]; len(w) > 0; w = w[wordsOfGuest:] {
		g := tracedGuest{assigned: size(w[0]), available: size(w[1]), resident: size(w[2]), faults: number(w[3]), swapped: number(w[4]) * float64(mega)}
		if w[1] == "-" {
			g.available = -1
		}
		s.guests = append(s.guests, g)
	}
	return s, err
}

// judge looks on while guests meet the demand of a trace, and notes what is wrong with how they are treated.
type judge struct {
	w      *world
	second int
	lacks  []int   // for how many seconds each has run short, and nothing was decided
	grown  []int   // the second in which each was last given more
	shrunk []int   // the second in which each was last made smaller
	needed []int64 // what each needed then
	moved  int64   // bytes, of all guests
	varied int64   // by how many bytes all demands have changed
	wrong  []string
}

func newJudge(w *world) *judge {
	j := &judge{w: w, lacks: make([]int, len(w.guests)), grown: make([]int, len(w.guests)), shrunk: make([]int, len(w.guests)), needed: make([]int64, len(w.guests))}
	for i := range w.guests {
		j.grown[i], j.shrunk[i] = -1, -1
	}
	return j
}

func (j *judge) complain(i int, format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf("second %d, guest %s, which needs %d MiB: ", j.second, j.w.guests[i].ID, j.w.demand[i]/mega)+fmt.Sprintf(format, args...))
}

// pass lets a second pass with these demands.
func (j *judge) pass(c Config, demand []int64) {
	w := j.w
	for i := range demand {
		if j.second > 0 {
			j.varied += max(demand[i]-w.demand[i], w.demand[i]-demand[i])
		}
		w.demand[i] = demand[i]
	}
	before := append([]Guest(nil), w.guests...)
	steps := map[string]Step{}
	for _, step := range w.secondBy(c) {
		steps[step.ID] = step
	}
	free := w.host
	for _, g := range before {
		free -= g.Size
	}
	for i, g := range before {
		g.Has, g.Available = w.guests[i].Has, w.guests[i].Available // what it said in this second
		step, moves := steps[g.ID]
		switch {
		case moves && step.To > step.From:
			j.grows(i, step)
		case moves:
			j.shrinks(i, step)
		}
		j.waits(i, g, moves, free)
	}
	j.second++
}

func (j *judge) grows(i int, step Step) {
	j.moved += step.To - step.From
	if step.To > j.w.guests[i].Maximum {
		j.complain(i, "is given %d MiB, above its maximum", step.To/mega)
	}
	if j.shrunk[i] >= 0 && j.w.demand[i] < j.needed[i]+Defaults.Low/2 {
		j.complain(i, "is given %d MiB instead of %d, and needs no more than in second %d, when it was made smaller", step.To/mega, step.From/mega, j.shrunk[i])
	}
	j.grown[i], j.lacks[i] = j.second, 0
}

func (j *judge) shrinks(i int, step Step) {
	j.moved += step.From - step.To
	if step.To < j.w.guests[i].Minimum || step.To < j.w.demand[i] {
		j.complain(i, "is made smaller, to %d MiB", step.To/mega)
	}
	if j.grown[i] >= 0 && time.Duration(j.second-j.grown[i])*time.Second < Defaults.Settle {
		j.complain(i, "is made smaller in second %d after it was given more", j.second-j.grown[i])
	}
	j.shrunk[i], j.needed[i] = j.second, j.w.demand[i]
}

// waits notes that a guest runs short while the host could give it more.
func (j *judge) waits(i int, g Guest, moves bool, free int64) {
	low := Defaults.low(g.Size)
	short := g.Available >= 0 && g.Available < low && g.Has == g.Size && g.Size+Defaults.dead(g.Size) <= g.Maximum && free > max(low, g.Size)
	if !short || moves {
		j.lacks[i] = 0
		return
	}
	j.lacks[i]++
	if j.lacks[i] == 2 {
		j.complain(i, "runs short for two seconds with %d of %d MiB, and nothing is done", g.Available/mega, g.Size/mega)
	}
}

// replay lets as many guests as begins has meet a trace, each beginning at its own second of it, so often around as it takes.
func replay(c Config, one trace, w *world, begins []int, seconds int) *judge {
	w.demand, w.faults = make([]int64, len(begins)), make([]float64, len(begins))
	j := newJudge(w)
	for n := range seconds {
		demand := make([]int64, len(begins))
		for i, begin := range begins {
			now := one.seconds[(begin+n)%len(one.seconds)].guests
			g := now[i%len(now)]
			demand[i] = g.demand()
			if at := (begin + n) % len(one.seconds); at > 0 {
				w.faults[i] = max(0, g.faults-one.seconds[at-1].guests[i%len(now)].faults)
			}
		}
		j.pass(c, demand)
	}
	return j
}

// drawTraced makes guests of any sizes, on a host that has all that they can want or less.
func drawTraced(t *rapid.T, one trace) (w *world, begins []int) {
	w = &world{now: time.Unix(1e9, 0), rate: rapid.Int64Range(64, 2048).Draw(t, "rate") * mega, silent: rapid.Bool().Draw(t, "silent")}
	for i := range rapid.IntRange(1, 6).Draw(t, "guests") {
		least := rapid.Int64Range(64, 512).Draw(t, "minimum") * mega
		g := Guest{ID: string(rune('a' + i)), Minimum: least, Maximum: least + rapid.Int64Range(0, 4096).Draw(t, "range")*mega, Shares: rapid.IntRange(1, 10000).Draw(t, "shares")}
		g.Size = g.Minimum + rapid.Int64Range(0, (g.Maximum-g.Minimum)/mega).Draw(t, "size")*mega
		g.Has = g.Size
		w.guests = append(w.guests, g)
		w.host += g.Minimum + rapid.Int64Range(0, (g.Maximum-g.Minimum)/mega).Draw(t, "room")*mega
		begins = append(begins, rapid.IntRange(0, len(one.seconds)-1).Draw(t, "begin"))
	}
	return w, begins
}

// TestRecordedGuests lets guests of any size, on hosts of any size, do what real ones have done. None comes below its minimum
// or what it uses, one that runs short is given more within two seconds if the host has it, and nothing that is taken is given
// back, or the other way round, unless there is a reason.
func TestRecordedGuests(t *testing.T) {
	for _, one := range readTraces(t) {
		t.Run(one.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w, begins := drawTraced(t, one)
				if j := replay(Defaults, one, w, begins, 2*len(one.seconds)); len(j.wrong) > 0 {
					t.Fatal(strings.Join(j.wrong, "\n"))
				}
			})
		})
	}
}

// first is the trace of its first guest alone.
func (one trace) first() trace {
	alone := trace{name: one.name}
	for _, second := range one.seconds {
		second.guests = second.guests[:1]
		alone.seconds = append(alone.seconds, second)
	}
	return alone
}

// crowd makes guests that are alike, of 128 MiB to what the trace's have, on a host with so much for all of them.
func crowd(one trace, host int64, shares ...int) *world {
	w := &world{now: time.Unix(1e9, 0), rate: giga, host: host, silent: true}
	for i, weight := range shares {
		has := one.seconds[0].guests[0].assigned
		w.guests = append(w.guests, Guest{ID: string(rune('a' + i)), Minimum: 128 * mega, Maximum: has, Shares: weight, Size: has, Has: has})
	}
	return w
}

// needs is the most and the least that a guest of the trace uses.
func (one trace) needs() (least, most int64) {
	least = one.seconds[0].guests[0].demand()
	for _, second := range one.seconds {
		least, most = min(least, second.guests[0].demand()), max(most, second.guests[0].demand())
	}
	return least, most
}

// TestRecordedGuestsMoveLittle: where what guests need changes, memory moves about as far as that, and where it does not, hardly
// any: on a host that has something for all of them, and on one that is short.
func TestRecordedGuestsMoveLittle(t *testing.T) {
	for _, one := range readTraces(t) {
		least, most := one.needs()
		for _, part := range []float64{0.6, 0.8, 1, 2} {
			w := crowd(one, int64(part*3*1.5*float64(most)), 1000, 1000, 1000)
			var began int64
			for _, g := range w.guests {
				began += g.Size - least
			}
			third := len(one.seconds) / 3
			j := replay(Defaults, one, w, []int{0, third, 2 * third}, 4*len(one.seconds))
			t.Logf("%s, %.1f of what is needed: %d MiB moved, demands changed by %d", one.name, part, j.moved/mega, j.varied/mega)
			if j.moved > began+2*j.varied {
				t.Errorf("%s, %.1f of what is needed: %d MiB were moved, and demands changed by %d", one.name, part, j.moved/mega, j.varied/mega)
			}
		}
	}
}

// TestRecordedGuestsShareFairly: of guests that do the same, on a host that cannot give them what they had, who has more shares
// never has less, and who has as many has the same; and all that is to be given is given.
func TestRecordedGuestsShareFairly(t *testing.T) {
	for _, one := range readTraces(t) {
		t.Run(one.name, func(t *testing.T) {
			one := one.first()
			_, most := one.needs()
			has := one.seconds[0].guests[0].assigned
			floor := min(has, most+2*Defaults.low(has))
			w := crowd(one, 2*(floor+has), 500, 1000, 1000, 4000)
			begins := make([]int, len(w.guests))
			replay(Defaults, one, w, begins, len(one.seconds)) // until it has come about
			for n := range len(one.seconds) {
				replay(Defaults, trace{one.name, one.seconds[n : n+1]}, w, begins, 1)
				g := w.guests
				near := Defaults.dead(g[3].Size) + block
				if g[0].Size > g[1].Size+near || g[1].Size > g[3].Size+near || max(g[1].Size-g[2].Size, g[2].Size-g[1].Size) > near {
					t.Fatalf("in second %d guests with 500, 1000, 1000 and 4000 shares have %d, %d, %d and %d MiB", n, g[0].Size/mega, g[1].Size/mega, g[2].Size/mega, g[3].Size/mega)
				}
			}
			if g := w.guests; floor < has*3/4 && g[3].Size < g[0].Size+(has-floor)/4 {
				t.Errorf("with 4000 shares it has %d MiB, with 500 it has %d", g[3].Size/mega, g[0].Size/mega)
			}
		})
	}
}

// TestJudge: the judge of the tests above does notice what it is there for.
func TestJudge(t *testing.T) {
	deaf, hasty := Defaults, Defaults
	deaf.Low, deaf.LowPart, deaf.Faults, deaf.Swaps = 0, 0, 1e9, 1e18
	hasty.Settle, hasty.Forget, hasty.Leap = 0, time.Second, 1
	for _, test := range []struct {
		name   string
		c      Config
		parts  float64 // of what one needs at most the host has so much
		wanted string
	}{
		{"growth that is late", deaf, 100, "nothing is done"},
		{"growth that is taken back", hasty, 1.4, "after it was given more"},
	} {
		heard := ""
		for _, one := range readTraces(t) {
			_, most := one.needs()
			w := crowd(one, int64(test.parts*float64(most)), 1000, 1000)
			for i := range w.guests {
				w.guests[i].Size, w.guests[i].Has = w.guests[i].Minimum, w.guests[i].Minimum
			}
			heard += strings.Join(replay(test.c, one, w, []int{0, len(one.seconds) / 2}, 2*len(one.seconds)).wrong, "\n")
		}
		if !strings.Contains(heard, test.wanted) {
			t.Errorf("%s was not noticed: %q", test.name, heard)
		}
	}
	j := newJudge(&world{guests: []Guest{{ID: "a", Minimum: mega, Maximum: giga}}, demand: []int64{100 * mega}})
	j.shrinks(0, Step{From: 300 * mega, To: 200 * mega})
	j.second += 30
	j.grows(0, Step{From: 200 * mega, To: 300 * mega})
	j.shrinks(0, Step{From: 300 * mega, To: 90 * mega})
	if len(j.wrong) != 3 {
		t.Errorf("what is taken back without a reason was not noticed: %q", j.wrong)
	}
}

// pressedKeeps is what the host of the trace "pressed" keeps for itself.
const pressedKeeps = 19500 * mega

// TestRecordedHostRunsShort gives Decide what a real host and guests said in each second while a program took the host's memory:
// as soon as it lacks some, guests that have some to spare are made smaller, none below its minimum or what it uses; and not before.
func TestRecordedHostRunsShort(t *testing.T) {
	all := readTraces(t)
	one := all[slices.IndexFunc(all, func(one trace) bool { return one.name == "pressed" })]
	var state State
	lacking, taken, calm := 0, int64(0), 0
	for n, second := range one.seconds {
		host := Host{Free: second.available - pressedKeeps, Pressure: second.pressure}
		var guests []Guest
		for i, g := range second.guests {
			host.Free -= max(0, g.assigned-g.resident)
			guests = append(guests, Guest{
				ID: string(rune('a' + i)), Minimum: 128 * mega, Maximum: 768 * mega, Shares: []int{1000, 3000, 1000}[i],
				Size: g.assigned, Has: g.assigned, Available: g.available,
			})
		}
		var steps []Step
		steps, state = Decide(Defaults, time.Unix(1e9+int64(n), 0), time.Second, host, guests, state)
		spare := int64(0)
		for _, g := range guests {
			spare += max(0, g.Size-max(g.Minimum, state[g.ID].WorkingSet+2*Defaults.low(g.Size))-Defaults.dead(g.Size))
		}
		for _, step := range steps {
			g := guests[step.ID[0]-'a']
			if step.To < g.Minimum || step.To < g.Size-g.Available && step.To < step.From {
				t.Errorf("second %d: guest %s comes to %d MiB and uses %d", n, g.ID, step.To/mega, (g.Size-g.Available)/mega)
			}
			if host.Free >= 0 && host.Pressure < Defaults.Pressure && step.To < step.From {
				t.Errorf("second %d: the host has %d MiB, and guest %s is made smaller", n, host.Free/mega, g.ID)
			}
			taken += max(0, step.From-step.To)
		}
		switch {
		case host.Free < -block*8 && spare > 0:
			lacking++
			if len(steps) == 0 {
				t.Errorf("second %d: the host lacks %d MiB, guests have %d to spare, and nothing is done", n, -host.Free/mega, spare/mega)
			}
		case host.Free >= 0:
			calm++
		}
	}
	if lacking < 2 || calm < 20 || taken == 0 {
		t.Errorf("the trace has %d seconds in which the host lacks memory, and %d in which it does not; %d MiB were taken", lacking, calm, taken/mega)
	}
}
