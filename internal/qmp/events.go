package qmp

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Bounds of what may wait for a slow reader of Events. A sound QEMU, which
// limits the rate of its frequent events itself, stays far below.
const (
	maxQueuedEvents = 1 << 16
	maxQueuedBytes  = 64 << 20
)

// Event is something QEMU reports of its own accord.
type Event struct {
	// Name is QEMU's name of the event, such as EventShutdown.
	Name string
	// Time is when it happened, by the host's clock, to the microsecond.
	Time time.Time
	// Data is the event's payload, nil if it has none.
	Data json.RawMessage
}

// Decode parses the event's payload into the type that belongs to its name.
// Without a payload, v stays as it is.
func (e Event) Decode(v any) error {
	if e.Data == nil {
		return nil
	}
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("qmp event %s: unexpected data %s: %w", e.Name, abbreviate(e.Data), err)
	}
	return nil
}

// Events returns the channel of QEMU's events, in the order they came. It is
// always the same channel; it is closed when the connection has ended and all
// events that came before have been read, or Close was called.
//
// A slow reader delays nothing and loses nothing: events wait. If more than
// 65,536 of them or 64 MiB wait, the connection ends with ErrProtocol rather
// than losing any one unseen.
func (c *Client) Events() <-chan Event {
	return c.events.out
}

// eventQueue stands between the connection's reader, which must never wait,
// and the reader of Events, which may.
type eventQueue struct {
	out chan Event
	// abandoned is closed when nobody will read any more.
	abandoned   chan struct{}
	abandonOnce sync.Once
	// wake has room for one: something changed below.
	wake chan struct{}

	mu      sync.Mutex
	waiting []Event
	bytes   int
	ended   bool
}

func newEventQueue() *eventQueue {
	return &eventQueue{
		out:       make(chan Event),
		abandoned: make(chan struct{}),
		wake:      make(chan struct{}, 1),
	}
}

// put appends an event, without ever waiting.
func (q *eventQueue) put(e Event) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes += e.size()
	if len(q.waiting) >= maxQueuedEvents || q.bytes > maxQueuedBytes {
		return fmt.Errorf("%w: %d events (%d bytes) wait to be read", ErrProtocol, len(q.waiting), q.bytes)
	}
	q.waiting = append(q.waiting, e)
	q.signal()
	return nil
}

// end says that no event will be put any more.
func (q *eventQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.signal()
}

// abandon drops what nobody read, and ends deliver.
func (q *eventQueue) abandon() {
	q.abandonOnce.Do(func() { close(q.abandoned) })
}

func (q *eventQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// deliver hands the events to the reader of out, until end or abandon.
func (q *eventQueue) deliver() {
	defer close(q.out)
	for {
		e, ok, ended := q.next()
		if !ok && ended {
			return
		}
		if !ok {
			select {
			case <-q.wake:
			case <-q.abandoned:
				return
			}
			continue
		}
		select {
		case q.out <- e:
		case <-q.abandoned:
			return
		}
	}
}

// next takes the oldest event, if there is one.
func (q *eventQueue) next() (e Event, ok, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting = nil
		return Event{}, false, q.ended
	}
	e = q.waiting[0]
	q.waiting[0] = Event{}
	q.waiting = q.waiting[1:]
	q.bytes -= e.size()
	return e, true, q.ended
}

func (e Event) size() int {
	return len(e.Name) + len(e.Data)
}
