package manager

import (
	"cmp"
	"context"
	"time"

	"github.com/panalvm/panal/internal/plan/memory"
	"github.com/panalvm/panal/internal/resource/usage"
	"github.com/panalvm/panal/internal/runner"
)

const (
	// pollEvery is how often QEMU asks guests for their figures by itself.
	pollEvery = 5 * time.Second
	// listenShort is how often it is looked what a guest that lies still has said then while the host runs short, and may want
	// back what it has let go of; else it is looked listenStill.
	listenShort = 5 * time.Second
	listenStill = 30 * time.Second
	// answersAt is when it is looked whether a guest that was asked has answered: most have. After that it is looked with
	// each beat, and answersWithin is when it is asked again.
	answersAt     = 50 * time.Millisecond
	answersWithin = time.Second
	// askAgain is how soon a guest is asked again that has hardly run since: its word has the time in whole seconds, and of
	// one that says the same again within one of them nobody could tell that it has answered. And answering is how long one
	// may run for that, which is no sign that it takes memory.
	askAgain  = time.Second - beat/2
	answering = 10 * time.Millisecond
	// silentCalm is how long a guest that has never said anything may run without being listened to: halted it runs for the
	// questions that its process is asked, and would be asked for having answered; while it boots it runs all the time.
	silentCalm = 100 * time.Millisecond
	// saidWithin is how old what a guest says of itself may be.
	saidWithin = 10 * time.Second
	// ratesSpan is the least time that rates are of.
	ratesSpan = time.Second
	// touched is how many bytes a processor of a guest's can take in a second at most, and translated the same of a
	// translated guest.
	touched    = 8 << 30
	translated = 4 << 30
)

// speaker is a guest whose balloon driver says how its memory stands.
type speaker interface {
	// GuestMemory is what it has said last; Updated, in whole seconds, is zero if it never has.
	GuestMemory(ctx context.Context) (runner.GuestMemory, error)
	// AskGuestMemory has it asked now, and so often from then on. It does not wait for the answer.
	AskGuestMemory(ctx context.Context, every time.Duration) error
}

// word is what a guest says of its memory, and when that was.
//
// QEMU asks by itself every few seconds, whenever that was begun, and what it was told lies there until somebody looks: of
// a guest that runs short it would be known late. So one that may have come to run short since it spoke is asked at once,
// and its answer is looked for a moment later.
type word struct {
	said   runner.GuestMemory
	spoken time.Time          // it was said then or later; zero while nothing was
	heard  time.Time          // when it was listened to or asked last
	asked  time.Time          // when it was asked what it has not answered yet; zero when it has
	before runner.GuestMemory // what it had said by then

	rated   runner.GuestMemory // what the rates count from
	ratedAt time.Time
	faults  float64 // pages a second that it read again
	swaps   float64 // bytes a second that it took back from its swap
}

// isAwaited tells that an answer is waited for.
func (w *word) isAwaited() bool { return !w.asked.IsZero() }

// listen takes in what the guest has said last, whoever asked.
func (w *word) listen(ctx context.Context, guest speaker, now time.Time) {
	w.heard = now
	if said, err := guest.GuestMemory(ctx); err == nil && said != w.said {
		w.take(said, said.Updated)
	}
}

// ask has the guest asked how its memory stands. One that has never said anything is only listened to.
func (w *word) ask(ctx context.Context, guest speaker, now time.Time) {
	if w.said.Updated.IsZero() || now.Sub(w.heard) >= pollEvery-time.Second {
		w.listen(ctx, guest, now) // it may have been asked by QEMU: that is not the answer
	}
	w.heard = now
	if w.said.Updated.IsZero() {
		return
	}
	if err := guest.AskGuestMemory(ctx, pollEvery); err == nil {
		w.asked, w.before = now, w.said
	}
}

// answer looks whether the guest has answered, and tells.
func (w *word) answer(ctx context.Context, guest speaker, now time.Time) bool {
	said, err := guest.GuestMemory(ctx)
	if err == nil && said != w.before {
		w.take(said, w.asked)
		w.asked = time.Time{}
		return true
	}
	if now.Sub(w.asked) >= answersWithin {
		w.asked = time.Time{} // it may be asked again
	}
	return false
}

// take takes in what was said at a time, or later.
func (w *word) take(said runner.GuestMemory, spoken time.Time) {
	seconds := spoken.Sub(w.ratedAt).Seconds()
	switch {
	case w.ratedAt.IsZero():
		w.rated, w.ratedAt = said, spoken
	case seconds >= ratesSpan.Seconds():
		w.faults = float64(max(0, said.MajorFaults-w.rated.MajorFaults)) / seconds
		w.swaps = float64(max(0, said.SwappedIn-w.rated.SwappedIn)) / seconds
		w.rated, w.ratedAt = said, spoken
	}
	w.said, w.spoken = said, spoken
}

// need is what is to be learnt of a guest.
type need int

const (
	nothing  need = iota
	toListen      // to look what it has said last
	toAsk         // to have it asked
)

// needs tells what is to be learnt of a guest, and again how often it is looked what it has said though it lies still. One whose
// processors have not run for long enough since to have taken what it had to spare would say nothing new, and a look at its
// process costs a hundredth of the question.
func (g *controlled) needs(now time.Time, again time.Duration) need {
	g.still = !g.hasRun(now)
	switch {
	case g.word.isAwaited() || !now.After(g.word.heard):
		return nothing
	case g.isUnheard():
		return toAsk
	case !g.moving && !g.still:
		return toAsk
	case now.Sub(g.word.heard) >= again:
		return toListen
	}
	return nothing
}

// hasRun tells whether a guest has run for long enough to run short.
func (g *controlled) hasRun(now time.Time) bool {
	ran, err := g.ran()
	calm := g.calm
	switch {
	case g.word.said.Updated.IsZero():
		calm = silentCalm
	case now.Sub(g.word.heard) < askAgain:
		calm = max(calm, answering)
	}
	return err != nil || ran-g.had > calm
}

// ask has a guest asked how its memory stands: its answer comes to hear, and covers what its process has run by now.
func (g *controlled) ask(ctx context.Context, now time.Time) {
	g.had, _ = g.ran()
	g.weighProcess()
	g.word.ask(ctx, g, now)
}

// listen takes in what a guest has said last. That may be some time ago, so that what it has run since it was asked counts on.
func (g *controlled) listen(ctx context.Context, now time.Time) {
	g.weighProcess()
	g.word.listen(ctx, g, now)
	g.weigh(now)
}

func (g *controlled) weighProcess() {
	if holds, err := usage.Resident(g.PID()); err == nil {
		g.holds = holds
	}
}

// hear takes in the answers of guests that were asked, and tells whether there were any.
func (c *memoryController) hear(ctx context.Context, now time.Time) bool {
	var asked []*controlled
	justNow := false
	for _, g := range c.guests {
		if g.word.isAwaited() {
			asked = append(asked, g)
			justNow = justNow || g.word.asked.Equal(now)
		}
	}
	if justNow {
		select {
		case <-time.After(answersAt):
		case <-ctx.Done():
			return false
		}
	}
	return together(asked, func(g *controlled) bool {
		answered := g.word.answer(ctx, g, now)
		if answered {
			g.weigh(now)
		}
		return answered
	})
}

// hearAll asks those guests that were not asked now, and tells whether any has answered.
func (c *memoryController) hearAll(ctx context.Context, now time.Time) bool {
	var silent []*controlled
	for _, g := range c.guests {
		if !g.ended && !g.moving && !g.word.isAwaited() && g.word.heard.Before(now) {
			silent = append(silent, g)
		}
	}
	together(silent, func(g *controlled) bool {
		g.ask(ctx, now)
		return true
	})
	return c.hear(ctx, now)
}

// weigh tells by what a guest has said when it is to be asked again.
func (g *controlled) weigh(now time.Time) {
	guest := g.guest(now)
	g.calm, g.near = calmFor(memory.Defaults.Spare(guest), cmp.Or(g.takes, touched)), memory.Defaults.IsNear(guest)
}

// calmFor is how long a guest must run to take so many bytes, of which its processor takes so many a second.
func calmFor(spare, takes int64) time.Duration {
	return time.Duration(float64(max(0, spare)) / float64(takes) * float64(time.Second))
}
