package vmx

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/machine"
)

// maxSnapshots bounds a tree; VMware's own bound is 32 in a chain.
const maxSnapshots = 4096

// snapshots reads the tree from a .vmsd file, if there is one.
func (r *reader) snapshots(m *appliance.Machine, name string) error {
	c, err := readConfig(r.files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	count, err := c.number("snapshot.numSnapshots", 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if count > maxSnapshots {
		return fmt.Errorf("%s: %d snapshots are more than there can be", name, count)
	}
	for n := range count {
		s, err := r.snapshot(m, c, fmt.Sprintf("snapshot%d.", n))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.Snapshots = append(m.Snapshots, s)
	}
	if count > 0 {
		m.Current = c.text("snapshot.current")
		m.Notes = append(m.Notes, appliance.Notef("snapshots", "they have the hardware that the machine has now: what it had then is in a form that is not described"))
	}
	if m.Snapshots, err = appliance.ParentsFirst(m.Snapshots); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if m.Current != "" && !slices.ContainsFunc(m.Snapshots, func(s appliance.Snapshot) bool { return s.ID == m.Current }) {
		return fmt.Errorf("%s: the current snapshot is %s, and there is no such snapshot", name, m.Current)
	}
	return nil
}

func (r *reader) snapshot(m *appliance.Machine, c config, key string) (appliance.Snapshot, error) {
	s := appliance.Snapshot{
		ID: c.text(key + "uid"), Parent: c.text(key + "parent"),
		Name: c.text(key + "displayName"), Description: c.text(key + "description"), Spec: machine.Clone(m.Spec),
	}
	if s.Parent == "0" { // uid of nothing
		s.Parent = ""
	}
	if s.ID == "" {
		return s, fmt.Errorf("%suid is missing", key)
	}
	taken, err := r.taken(c, key)
	if err != nil {
		return s, err
	}
	s.Taken = taken
	if kind := c.text(key + "type"); kind == "1" {
		s.Memory = strings.TrimSuffix(c.text(key+"filename"), ".vmsn") + ".vmem"
	}
	disks, err := c.number(key+"numDisks", 0)
	if err != nil || disks > 1000 {
		return s, fmt.Errorf("%snumDisks is no number of disks", key)
	}
	for d := range disks {
		place, file := c.text(fmt.Sprintf("%sdisk%d.node", key, d)), c.text(fmt.Sprintf("%sdisk%d.fileName", key, d))
		drive := r.nodes[place]
		if drive == "" {
			m.Notes = append(m.Notes, appliance.Notef("snapshot "+s.Name, "the disk %s at %s is no longer in the machine, and not taken over", file, place))
			continue
		}
		content := r.content(place+" in snapshot "+s.Name, file)
		content.Drive = drive
		s.Disks = append(s.Disks, *content)
	}
	r.leaveOutLater(m, &s)
	return s, nil
}

// leaveOutLater takes the disks out of a snapshot's hardware that it says nothing of: the
// machine got them later. Those that snapshots leave out are always in it.
func (r *reader) leaveOutLater(m *appliance.Machine, s *appliance.Snapshot) {
	s.Spec.Drives = slices.DeleteFunc(s.Spec.Drives, func(drive api.Drive) bool {
		held := slices.ContainsFunc(s.Disks, func(d appliance.Disk) bool { return d.Drive == drive.Name })
		later := !held && machine.InSnapshots(drive)
		if later {
			m.Notes = append(m.Notes, appliance.Notef("snapshot "+s.Name, "it does not say what drive %s held: a restore to it takes that drive out of the machine", drive.Name))
		}
		return later
	})
}

// taken is the time of a snapshot: microseconds since 1970 in two halves.
func (r *reader) taken(c config, key string) (time.Time, error) {
	high, low := c.text(key+"createTimeHigh"), c.text(key+"createTimeLow")
	if high == "" || low == "" {
		return time.Time{}, nil
	}
	var h, l int64
	if _, err := fmt.Sscan(high, &h); err != nil || h < 0 || h > 1<<31 {
		return time.Time{}, fmt.Errorf("%screateTimeHigh is %q, which is no time", key, high)
	}
	if _, err := fmt.Sscan(low, &l); err != nil || l < -1<<31 || l >= 1<<32 {
		return time.Time{}, fmt.Errorf("%screateTimeLow is %q, which is no time", key, low)
	}
	return time.UnixMicro(h<<32 | l&(1<<32-1)).UTC(), nil // the low half is written with a sign
}
