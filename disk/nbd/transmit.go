package nbd

import (
	"context"
	"errors"
	"io"
	"time"
)

// transmit does requests until the client leaves or the server closes, and
// then waits for what is in flight.
func (c *conn) transmit() error {
	err := c.serve()
	if err != nil && err != io.EOF && !c.isClosing() {
		c.leave() // it cannot be understood any more: no reply matters
		err = errors.Join(err, c.raw.SetDeadline(time.Now()))
	} else {
		c.raw.SetWriteDeadline(time.Now().Add(c.server.options.DrainTimeout)) //nolint:errcheck // then writing fails as well
	}
	close(c.work)
	c.working.Wait()
	c.out.flush()
	return err
}

// serve reads requests and sees to them. At the client's wish to leave it
// returns nil.
func (c *conn) serve() error {
	for {
		r, err := c.readRequest()
		switch {
		case err != nil:
			return err
		case r.kind == cmdDisc:
			return nil
		case c.isClosing():
			c.drop(r)
			c.fail(r, refusal{errShutdown, "the server is closing"})
		case c.isQuick(r):
			c.do(r)
		default:
			c.hand(r)
		}
	}
}

// hand gives a request to a worker: one that waits, or a new one, or the first
// that has time.
func (c *conn) hand(r request) {
	select {
	case c.work <- r:
		return
	default:
	}
	if c.workers < c.server.options.Workers {
		c.workers++
		c.working.Go(func() { c.worker(r) })
		return
	}
	c.out.flush()
	c.work <- r
}

// worker does requests until there are none to come.
func (c *conn) worker(r request) {
	c.perform(r)
	for r := range c.work {
		c.perform(r)
	}
}

// Requests are quick when they are short and most of the last ones took little
// time: not much longer than from memory, and well below what the fastest disks need.
const (
	quickBytes = 256 << 10
	quickTime  = 50 * time.Microsecond // and quickByte for each byte
	quickByte  = 4 * time.Nanosecond

	slowWeight   = 2 // a slow request counts as much against as so many quick ones for it
	tooSlow      = 8 // the count from which on requests go to workers
	leastPenalty = 32
	mostPenalty  = 4096
)

// pace remembers how long requests take that are done by the goroutine that
// reads them. As long as the image answers from memory that costs least by far: no
// other goroutine has to be woken, and the replies to a burst leave together.
// When it has to wait for a disk, requests must go to workers, so that many wait
// at once. A few slow ones prove nothing: the processor may have been taken away.
type pace struct {
	count   int // of slow requests, weighted, less the quick ones
	skip    int // requests that go to workers before another is tried
	penalty int // what skip was the last time
}

// isQuick tells whether the reader itself is to do a request.
func (c *conn) isQuick(r request) bool {
	if r.kind != cmdRead && r.kind != cmdWrite || r.length > quickBytes || r.flags&cmdFlagFUA != 0 {
		return false
	}
	if c.pace.skip > 0 {
		c.pace.skip--
		return false
	}
	return true
}

// do performs a request here and now.
func (c *conn) do(r request) {
	r.batched = true
	began := time.Now()
	c.perform(r)
	c.pace.took(time.Since(began), r.length)
}

// took counts a request. After many slow ones the reader is spared for some
// time, the longer the more often that happens; then a single slow one is enough.
func (p *pace) took(d time.Duration, length uint64) {
	if d <= quickTime+time.Duration(length)*quickByte {
		p.count = max(p.count-1, 0)
		p.penalty = max(p.penalty-1, leastPenalty)
		return
	}
	p.count += slowWeight
	if p.count >= tooSlow {
		p.count = tooSlow - slowWeight
		p.penalty = min(max(2*p.penalty, leastPenalty), mostPenalty)
		p.skip = p.penalty
	}
}

// drop gives back what a request holds.
func (c *conn) drop(r request) {
	if r.payload != nil {
		c.discard(r.payload)
	}
}

// alive is nil while somebody waits for replies.
func (c *conn) alive() error { return context.Cause(c.gone) }
