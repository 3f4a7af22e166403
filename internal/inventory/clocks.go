package inventory

import (
	"context"
	"maps"
	"time"

	"github.com/panalvm/panal/api"
)

// Scheduled is a machine's schedule of snapshots, and where that has come to.
type Scheduled struct {
	Schedule api.SnapshotSchedule
	Attended time.Time // the zero time if it never was attended to
}

// clocks are the machines that have a schedule.
type clocks struct {
	scheduled map[string]Scheduled // by UUID
	changed   chan struct{}        // closed, and made anew, when one changes
}

func scheduledOf(m api.Machine) Scheduled {
	s := Scheduled{Schedule: m.Spec.Snapshots}
	if m.Status.Schedule != nil {
		s.Attended = m.Status.Schedule.Attended
	}
	return s
}

func (c *clocks) replace(scheduled map[string]Scheduled) {
	c.scheduled = scheduled
	c.tell()
}

// note takes in what has become of a machine's schedule.
func (c *clocks) note(uuid string, is Scheduled) {
	was, had := c.scheduled[uuid]
	has := is.Schedule != (api.SnapshotSchedule{})
	if had == has && (!has || was == is) {
		return
	}
	if delete(c.scheduled, uuid); has {
		c.scheduled[uuid] = is
	}
	c.tell()
}

func (c *clocks) tell() {
	if c.changed != nil {
		close(c.changed)
	}
	c.changed = make(chan struct{})
}

// Scheduled are the machines with a schedule of snapshots, by UUID, and a channel
// that is closed once they have changed.
func (inv *Inventory) Scheduled(ctx context.Context) (map[string]Scheduled, <-chan struct{}, error) {
	if err := inv.catchUp(ctx); err != nil {
		return nil, nil, err
	}
	inv.list.mu.Lock()
	defer inv.list.mu.Unlock()
	return maps.Clone(inv.list.clocks.scheduled), inv.list.clocks.changed, nil
}
