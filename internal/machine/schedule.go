package machine

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
)

// maxScheduled bounds the snapshots that all kinds of a schedule keep together: half
// of what a machine can have.
const maxScheduled = 500

// assignSnapshots sets the whole schedule of snapshots.
func assignSnapshots(a *assigner, value string) error {
	var schedule api.SnapshotSchedule
	if value == "" || value == "none" || value == "off" {
		a.spec.Snapshots = schedule
		return nil
	}
	counts := map[string]*int{
		"hourly": &schedule.Hourly, "daily": &schedule.Daily, "weekly": &schedule.Weekly, "monthly": &schedule.Monthly,
	}
	for _, part := range strings.Split(value, ",") {
		kind, text, _ := strings.Cut(strings.TrimSpace(part), ":")
		n, err := strconv.Atoi(text)
		count := counts[kind]
		if count == nil || err != nil || n < 0 {
			return fmt.Errorf("is %q; it must be such as hourly:24,daily:7,weekly:4,monthly:12, or none", clip(value))
		}
		if *count != 0 {
			return fmt.Errorf("is %q, which says %s twice", clip(value), kind)
		}
		*count = n
	}
	a.spec.Snapshots = schedule
	return nil
}

// schedule checks how many snapshots are to be kept.
func (c *checker) schedule() {
	s, sum := c.spec.Snapshots, 0
	for _, one := range []struct {
		kind string
		n    int
	}{{"hourly", s.Hourly}, {"daily", s.Daily}, {"weekly", s.Weekly}, {"monthly", s.Monthly}} {
		c.within("snapshots."+one.kind, one.n, 0, maxScheduled)
		sum += min(max(one.n, 0), maxScheduled+1)
	}
	if sum > maxScheduled {
		c.add("snapshots", "keeps %d; all kinds together can keep %d", sum, maxScheduled)
	}
}
