package runner

import (
	"slices"
	"sync"

	"github.com/panalvm/panal/internal/qmp"
)

// listeners are those who wait for what QEMU reports of something that they
// have asked it for: that a device is gone, that a job has come further.
type listeners struct {
	mu   sync.Mutex // guards what follows
	list []*listener
	over bool // QEMU reports no more
}

// listener is one of them.
type listener struct {
	names  []string
	events chan qmp.Event
}

// patienceOfListeners is how many events may wait for a listener. Those who
// listen read on until they stop; whoever does not misses the later ones.
const patienceOfListeners = 256

// Listen gives QEMU's events of the names from now on, in order, until stop is
// called or QEMU is gone: then the channel is closed. Listen before the command
// whose outcome is awaited.
func (s *Session) Listen(names ...string) (events <-chan qmp.Event, stop func()) {
	l := &listener{names: names, events: make(chan qmp.Event, patienceOfListeners)}
	s.listeners.add(l)
	return l.events, func() { s.listeners.remove(l) }
}

func (ls *listeners) add(l *listener) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.over {
		close(l.events)
		return
	}
	ls.list = append(ls.list, l)
}

func (ls *listeners) remove(l *listener) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if i := slices.Index(ls.list, l); i >= 0 {
		ls.list = slices.Delete(ls.list, i, i+1)
		close(l.events)
	}
}

// tell passes an event on.
func (ls *listeners) tell(event qmp.Event) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.list {
		if !slices.Contains(l.names, event.Name) {
			continue
		}
		select {
		case l.events <- event:
		default:
		}
	}
}

// end tells everybody that nothing more will come.
func (ls *listeners) end() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.list {
		close(l.events)
	}
	ls.list, ls.over = nil, true
}
