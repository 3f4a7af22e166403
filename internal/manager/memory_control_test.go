package manager

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/plan/memory"
	"github.com/panalvm/panal/internal/runner"
)

// TestWhatIsToBeLearnt: a guest is asked how its memory stands when it can have come to run short since, and else it is looked
// now and then what it has said.
func TestWhatIsToBeLearnt(t *testing.T) {
	began := time.Unix(1e9, 0)
	said := word{said: runner.GuestMemory{Updated: began}, spoken: began, heard: began}
	spare := memory.Defaults.Spare(memory.Guest{Size: 4 << 30, Has: 4 << 30, Available: 2 << 30})
	calm := controlled{settled: began.Add(-time.Minute), word: said, had: time.Minute, calm: calmFor(spare, touched)}
	with := func(change func(*controlled)) controlled {
		g := calm
		change(&g)
		return g
	}
	for _, test := range []struct {
		name  string
		guest controlled
		after time.Duration // since it was asked
		ran   time.Duration // meanwhile
		want  need
	}{
		{"it lies still", calm, time.Second, 10 * time.Millisecond, nothing},
		{"it could have taken 1.6 GiB", calm, time.Second, 500 * time.Millisecond, toAsk},
		{"it was not listened to for long", calm, listenStill, 0, toListen},
		{"it was asked just now", calm, 0, time.Second, nothing},
		{"it has not answered yet", with(func(g *controlled) { g.word.asked = began }), beat, time.Second, nothing},
		{"it runs short", with(func(g *controlled) { g.calm = calmFor(-1, touched) }), beat, 20 * time.Millisecond, toAsk},
		{"it runs short, and has answered", with(func(g *controlled) { g.calm = calmFor(-1, touched) }), beat, answering, nothing},
		{"it runs short for a second", with(func(g *controlled) { g.calm = calmFor(-1, touched) }), controlEvery, time.Millisecond, toAsk},
		{"its memory moves", with(func(g *controlled) { g.moving = true }), time.Second, time.Second, nothing},
		{"it has not spoken since that was moved", with(func(g *controlled) { g.settled = began }), beat, 0, toAsk},
		{"it has never spoken, and halts", with(func(g *controlled) { g.word = word{heard: began}; g.calm = 0 }), time.Second, 0, nothing},
		{"it has never spoken, and is asked things", with(func(g *controlled) { g.word = word{heard: began}; g.calm = 0 }), time.Second, 20 * time.Millisecond, nothing},
		{"it has never spoken, and boots", with(func(g *controlled) { g.word = word{heard: began}; g.calm = 0 }), time.Second, time.Second, toAsk},
	} {
		g := test.guest
		g.ran = func() (time.Duration, error) { return time.Minute + test.ran, nil }
		if got := g.needs(began.Add(test.after), listenStill); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	calm.ran = func() (time.Duration, error) { return 0, errors.New("it has ended") }
	if calm.needs(began.Add(time.Second), listenStill) != toAsk {
		t.Error("one whose process cannot be looked at is not asked")
	}
}

// TestWhatAGuestSaidHolds as long as it lies still, and else for a while; of one that has said nothing nothing is known.
func TestWhatAGuestSaidHolds(t *testing.T) {
	began := time.Unix(1e9, 0)
	said := word{said: runner.GuestMemory{Updated: began, Available: 1 << 30}, spoken: began, heard: began}
	for _, test := range []struct {
		name  string
		guest controlled
		after time.Duration
		want  int64
	}{
		{"it has just spoken", controlled{word: said}, time.Second, 1 << 30},
		{"it has run since", controlled{word: said}, time.Minute, -1},
		{"it lies still since", controlled{word: said, still: true}, time.Hour, 1 << 30},
		{"its memory moves", controlled{word: said, still: true, moving: true}, time.Second, -1},
		{"its memory was moved since", controlled{word: said, still: true, settled: began}, time.Second, -1},
		{"it has never spoken", controlled{still: true}, time.Second, -1},
	} {
		if got := test.guest.available(began.Add(test.after)); got != test.want {
			t.Errorf("%s: %d is available, want %d", test.name, got, test.want)
		}
	}
}

// speaking is a guest with 4 GiB whose programs take memory, that answers after a while, and is asked by QEMU every few
// seconds as well.
type speaking struct {
	guestProcess
	began   time.Time
	phase   time.Duration // when QEMU asks it, after every few seconds
	answers time.Duration // how long it takes to answer
	takes   time.Time     // when its programs begin to take memory
	rate    int64         // bytes a second that they take then

	asked  time.Time // when it was last asked at once
	before runner.GuestMemory
}

const speakingHas = 4 << 30

func (s *speaking) PID() int { return 0 }

func (s *speaking) Memory(context.Context) (runner.Memory, error) {
	return runner.Memory{Base: speakingHas}, nil
}

// taken is what its programs have by a time.
func (s *speaking) taken(at time.Time) int64 {
	return min(int64(max(0, at.Sub(s.takes).Seconds())*float64(s.rate)), speakingHas*95/100)
}

func (s *speaking) says(at time.Time) runner.GuestMemory {
	taken := s.taken(at)
	return runner.GuestMemory{Updated: at.Truncate(time.Second), Total: speakingHas, Available: speakingHas - taken, MinorFaults: at.UnixNano() + taken>>12}
}

func (s *speaking) GuestMemory(context.Context) (runner.GuestMemory, error) {
	now := time.Now()
	if !s.asked.IsZero() {
		if now.Sub(s.asked) < s.answers {
			return s.before, nil
		}
		return s.says(s.asked.Add(s.answers)), nil
	}
	polled := s.began.Add(now.Sub(s.began.Add(s.phase)).Truncate(pollEvery) + s.phase)
	return s.says(polled), nil
}

func (s *speaking) AskGuestMemory(ctx context.Context, _ time.Duration) error {
	s.before, _ = s.GuestMemory(ctx)
	s.asked = time.Now()
	return nil
}

// ran is how long its processor has run: as long as its programs take memory.
func (s *speaking) ran() (time.Duration, error) {
	return time.Duration(float64(s.taken(time.Now())) / float64(s.rate) * float64(time.Second)), nil
}

// TestShortGuestIsKnownInTime: whenever a guest comes to run short, that is known a second and what it takes to answer later
// at most; so that of the two seconds in which it is to have more there is time left to give it.
func TestShortGuestIsKnownInTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string, least, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(int64(least), int64(most)).Draw(r, name))
		}
		guest := speaking{phase: draw("phase", 0, pollEvery), answers: draw("answers", 0, 400*time.Millisecond), rate: rapid.Int64Range(64<<20, touched).Draw(r, "rate")}
		takes := draw("takes", 5*time.Second, 20*time.Second)
		var late time.Duration
		synctest.Test(t, func(t *testing.T) {
			guest.began = time.Now()
			guest.takes = guest.began.Add(takes)
			late = knownAfter(t.Context(), &guest)
		})
		if most := controlEvery + answersAt + guest.answers + beat; late < 0 || late > most {
			r.Fatalf("it is given more %v after it ran short, at most %v", late, most)
		}
	})
}

// knownAfter is how long after a guest ran short it was decided to give it more.
func knownAfter(ctx context.Context, guest *speaking) time.Duration {
	c := &memoryController{Manager: &Manager{log: slog.New(slog.DiscardHandler)}, guests: map[string]*controlled{}}
	g := &controlled{
		guestProcess: guest, uuid: "a", asked: speakingHas, now: runner.Memory{Base: speakingHas}, ran: guest.ran,
		follows: &followed{memory: api.Memory{Minimum: 1 << 30, Maximum: 8 << 30, Size: speakingHas, Start: speakingHas}},
	}
	c.guests["a"] = g
	left := time.Duration(0.9 * speakingHas / float64(guest.rate) * float64(time.Second))
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for now := range tick.C {
		whole := now.Sub(c.whole) >= controlEvery-beat/2
		if whole {
			c.whole, g.looked = now, now
		}
		guests, _ := c.lookAtAll(ctx, now, whole)
		steps, _ := memory.Decide(memory.Defaults, now, beat, memory.Host{Free: 16 << 30}, guests, nil)
		late := time.Since(guest.takes.Add(left))
		if len(steps) > 0 || late > time.Minute {
			return late
		}
	}
	return 0
}
