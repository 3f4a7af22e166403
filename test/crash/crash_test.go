package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/harness"
)

// leastKills is how many times daemons must have been killed in the end.
const leastKills = 100

var kills atomic.Int64

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

func needs(t *testing.T) (program string) {
	t.Helper()
	for _, program := range []string{"qemu-system-x86_64", "swtpm"} {
		testenv.Need(t, program)
	}
	program, err := harness.Panal()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestCrash kills daemons at every place of every operation, then at random
// ones, and counts.
func TestCrash(t *testing.T) {
	program := needs(t)
	first := rand.IntN(4)
	t.Logf("operations fail at places %d, %d … of each, and are cancelled at %d, %d …", first+1, first+5, (first+2)%4+1, (first+2)%4+5)
	var ran atomic.Int64
	t.Run("operations", func(t *testing.T) {
		for _, op := range operations {
			t.Run(op.name, func(t *testing.T) {
				t.Parallel()
				ran.Add(1)
				guest := still
				if op.asks {
					guest = tiny
				}
				w := newWorld(t, program, guest(t))
				places := w.learn(op)
				t.Logf("its places: %s", strings.Join(places, " "))
				for i, place := range places {
					w.kill(op, i+1, place)
					if i%4 == first || everyPlace() {
						w.fail(op, i+1, place)
					}
					if i%4 == (first+2)%4 || everyPlace() {
						w.cancelAt(op, i+1, place)
					}
				}
			})
		}
		t.Run("at random", func(t *testing.T) {
			t.Parallel()
			ran.Add(1)
			walk(newWorld(t, program, still(t)))
		})
	})
	if chosen := ran.Load() <= int64(len(operations)); chosen {
		return // somebody is after a few of them
	}
	if n := kills.Load(); n < leastKills && !t.Failed() {
		t.Errorf("daemons were killed %d times, want %d at least", n, leastKills)
	}
}

// everyPlace tells whether operations are to fail, and to be cancelled, at every place: without it they do the one or the other
// at every other place, in turn, beginning by chance. Killed they are at every place.
func everyPlace() bool { return os.Getenv("PANAL_FULL_SCALE") != "" }

// learn carries an operation out once and returns the places that it passes.
func (w *world) learn(op operation) []string {
	w.t.Helper()
	w.must(op.ready(w))
	trace := filepath.Join(w.Dir, "places")
	w.arm("trace:" + trace)
	before, _ := w.find(subject)
	w.must(op.act(w))
	w.restart("")
	w.checked(op, before, op.name+", undisturbed")
	text, err := os.ReadFile(trace)
	w.must(err)
	places := strings.Fields(string(text))
	if len(places) < 2 {
		w.t.Fatalf("it passes no places but %q", places)
	}
	return places
}

// kill carries an operation out with a daemon that dies at a place.
func (w *world) kill(op operation, number int, place string) {
	w.t.Helper()
	w.must(op.ready(w))
	before, _ := w.find(subject)
	w.arm(fmt.Sprintf("kill:*@%d", number))
	err := op.act(w) // the daemon may die before or after it has answered
	w.died(err)
	kills.Add(1)
	w.begin("")
	w.killedAt = place
	w.checked(op, before, fmt.Sprintf("%s, killed at %s", op.name, place))
	w.killedAt = ""
	w.again(op, place)
}

// died waits until the daemon has been killed by its fault, by an operation that
// ended so.
func (w *world) died(ended error) {
	w.t.Helper()
	select {
	case <-w.daemon.Ended():
	case <-time.After(patience):
		w.t.Fatalf("the daemon was not killed, and the operation ended with: %v", ended)
	}
	if !w.daemon.Killed() {
		w.t.Fatal("the daemon ended, but was not killed")
	}
}

// fail carries an operation out with a daemon that cannot go on at a place, for
// want of space at half of them.
func (w *world) fail(op operation, number int, place string) {
	w.t.Helper()
	action, kind := "fail", api.KindInternal
	if number/4%2 == 0 {
		action, kind = "nospace", api.KindNoSpace
	}
	w.disturb(op, number, place, action, kind)
}

// cancelAt has the user cancel an operation at a place: it is done all the same, or nothing of it is.
func (w *world) cancelAt(op operation, number int, place string) {
	w.t.Helper()
	w.disturb(op, number, place, "cancel", api.KindCancelled)
}

// disturb carries an operation out with a daemon that meets with something at a place. Where it ends in an error, that is of
// some kind.
func (w *world) disturb(op operation, number int, place, action string, kind api.Kind) {
	w.t.Helper()
	w.must(op.ready(w))
	before, _ := w.find(subject)
	w.arm(fmt.Sprintf("%s:*@%d", action, number))
	err := op.act(w)
	what := fmt.Sprintf("%s, %s at %s", op.name, action, place)
	if err != nil && client.KindOf(err) != kind {
		w.t.Errorf("%s: it failed with %q: %v", what, client.KindOf(err), err)
	}
	w.busy = true
	w.rested(op, before, what)
	w.busy = false
	if state := w.state(); op.before != op.after && (err == nil) != (state == op.after) && !(op.final && state == op.after) {
		w.t.Errorf("%s: it ended with %v, and the machine is %s", what, err, state)
	}
	w.restart("")
	w.checked(op, before, what+", and restarted")
	w.again(op, place)
}

// rested checks what must hold when an operation has ended, well or not: also
// that the process went on which was not to end.
func (w *world) rested(op operation, before api.Machine, what string) {
	w.t.Helper()
	if op.resumes {
		w.awaitSubject(func(m api.Machine) bool {
			return w.busy || m.Status.State == op.after && (m.Status.Task == "" || w.mergingNow(m.Status.Task))
		})
		if w.busy {
			return // it is tried once more, and fails again; the next daemon does it
		}
	}
	w.sound()
	m, err := w.find(subject)
	state := w.state()
	if state != op.before && state != op.after && state != op.between {
		w.t.Errorf("the machine is %s, want %s or %s", state, op.before, op.after)
	}
	if err == nil && op.same && state == op.before && m.Status.PID != before.Status.PID {
		w.t.Errorf("the machine ran in process %d and now in %d", before.Status.PID, m.Status.PID)
	}
	if w.t.Failed() {
		w.t.Fatalf("after: %s", what)
	}
}

// checked is rested, with what the operation itself has to say. It changes the
// machine, so no faults may be planned.
func (w *world) checked(op operation, before api.Machine, what string) {
	w.t.Helper()
	w.rested(op, before, what)
	if op.check != nil {
		op.check(w)
	}
	if w.t.Failed() {
		w.t.Fatalf("after: %s", what)
	}
}

// again repeats an operation that was not done, which must succeed now.
func (w *world) again(op operation, place string) {
	w.t.Helper()
	if w.state() == op.after {
		return
	}
	if err := op.act(w); err != nil {
		w.t.Fatalf("%s after the accident at %s: %v", op.name, place, err)
	}
	if state := w.state(); state != op.after {
		w.t.Fatalf("%s after the accident at %s: the machine is %s", op.name, place, state)
	}
}

// walk does one operation after another, at random, while daemons are killed at
// places that nobody knows beforehand.
func walk(w *world) {
	const rounds, farthest = 40, 9
	seed := uint64(time.Now().UnixNano())
	w.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w.keeps = true // a resumable import may be among them
	for range rounds {
		at := 1 + random.IntN(farthest)
		w.restart(fmt.Sprintf("kill:*@%d", at))
		var done []string
		for !w.isDead() {
			op := operations[random.IntN(len(operations))]
			err := op.act(w) // most do not fit the state
			if client.KindOf(err) == api.KindUnavailable {
				w.died(err)
				break
			}
			done = append(done, fmt.Sprintf("%s: %v", op.name, err))
			if len(done) > 200 {
				w.t.Fatalf("200 operations did not pass %d places, the last of them %q", at, done[190:])
			}
		}
		w.died(nil)
		kills.Add(1)
		w.begin("")
		w.sound()
		if w.t.Failed() {
			w.t.Fatalf("killed at place %d of %q", at, slices.Compact(done))
		}
	}
}

func (w *world) isDead() bool {
	select {
	case <-w.daemon.Ended():
		return true
	default:
		return false
	}
}
