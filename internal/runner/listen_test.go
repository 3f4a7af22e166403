package runner

import (
	"testing"

	"github.com/panalvm/panal/internal/qmp"
)

// TestListenersHearWhatTheyAskedFor: from their beginning to their end, and nothing else.
func TestListenersHearWhatTheyAskedFor(t *testing.T) {
	s := &Session{}
	s.listeners.tell(qmp.Event{Name: qmp.EventDeviceDeleted})
	events, stop := s.Listen(qmp.EventDeviceDeleted)
	others, _ := s.Listen(qmp.EventReset, qmp.EventStop)
	s.listeners.tell(qmp.Event{Name: qmp.EventReset})
	s.listeners.tell(qmp.Event{Name: qmp.EventDeviceDeleted})
	stop()
	stop()
	s.listeners.tell(qmp.Event{Name: qmp.EventDeviceDeleted})
	s.listeners.end()
	late, stopLate := s.Listen(qmp.EventReset)
	stopLate()
	for name, want := range map[string]struct {
		events <-chan qmp.Event
		count  int
	}{"one that stopped": {events, 1}, "one whose QEMU ended": {others, 1}, "one that came too late": {late, 0}} {
		count := 0
		for range want.events {
			count++
		}
		if count != want.count {
			t.Errorf("%s heard %d events, want %d", name, count, want.count)
		}
	}
}
