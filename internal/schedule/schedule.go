// Package schedule attends to the schedules of snapshots of all machines: it waits for
// the time at which one is due, lets that be done, and tries again, later and later,
// what has failed. What is due, and when, package snapshot decides; what is kept of it
// is in the machines' records, so that a daemon that is started anew goes on where the one before
// has ended, and catches up once.
package schedule

import (
	"context"
	"time"

	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/snapshot"
)

const (
	// atOnce is how many machines are attended to at the same time: at a full hour
	// all of them are due.
	atOnce = 2
	// firstRetry is how long after a failure it is tried again; that doubles with
	// each further one, up to lastRetry.
	firstRetry = time.Minute
	lastRetry  = time.Hour
	// pause is how long a machine is let alone at least, even if its record could not be
	// written.
	pause = time.Second
)

// Machines are the machines with schedules.
type Machines interface {
	// Scheduled are the machines with a schedule, by UUID, and a channel that is
	// closed once that is another answer. An error ends the attending.
	Scheduled(ctx context.Context) (map[string]inventory.Scheduled, <-chan struct{}, error)
	// Attend does what is due on a machine, and notes the time of that if it has succeeded.
	// After an error it is called again.
	Attend(ctx context.Context, uuid string) error
}

// Run attends to schedules until the context ends. It returns when nobody is attended
// to any more.
func Run(ctx context.Context, machines Machines) error {
	l := loop{machines: machines, at: map[string]*attempt{}, ended: make(chan outcome)}
	defer l.drain()
	for {
		scheduled, changed, err := machines.Scheduled(ctx)
		if err != nil {
			return err
		}
		timer := time.NewTimer(l.begin(ctx, scheduled, time.Now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-changed:
		case <-timer.C:
		case end := <-l.ended:
			l.end(end, time.Now())
		}
		timer.Stop()
	}
}

// loop is what Run knows.
type loop struct {
	machines Machines
	at       map[string]*attempt // by UUID
	working  int
	ended    chan outcome
}

// attempt is what has become of attending to a machine.
type attempt struct {
	working bool
	failed  int       // times in a row
	after   time.Time // not before
}

type outcome struct {
	uuid string
	err  error
}

// begin begins what is due, as far as there are hands for it, and says how long there is nothing
// more to do.
func (l *loop) begin(ctx context.Context, scheduled map[string]inventory.Scheduled, now time.Time) time.Duration {
	wait := 24 * time.Hour
	for uuid := range l.at {
		if _, still := scheduled[uuid]; !still && !l.at[uuid].working {
			delete(l.at, uuid)
		}
	}
	for uuid, s := range scheduled {
		try := l.at[uuid]
		if try == nil {
			try = &attempt{}
			l.at[uuid] = try
		}
		at := snapshot.Next(s.Schedule, s.Attended, now)
		if at.Before(try.after) {
			at = try.after
		}
		switch {
		case try.working:
		case at.After(now):
			wait = min(wait, at.Sub(now))
		case l.working < atOnce:
			try.working = true
			l.working++
			go func() { l.ended <- outcome{uuid, l.machines.Attend(ctx, uuid)} }()
		}
	}
	return wait
}

// end takes in what has become of attending to a machine.
func (l *loop) end(o outcome, now time.Time) {
	l.working--
	try := l.at[o.uuid]
	try.working = false
	if o.err == nil {
		try.failed, try.after = 0, now.Add(pause)
		return
	}
	try.after = now.Add(min(firstRetry<<min(try.failed, 10), lastRetry))
	try.failed++
}

// drain waits for those who are still at work.
func (l *loop) drain() {
	for ; l.working > 0; l.working-- {
		<-l.ended
	}
}
