package hyperv

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/panalvm/panal/internal/appliance"
)

// snapshotsDir is where an export has the descriptions of its checkpoints.
const snapshotsDir = "Snapshots"

// maxSnapshots bounds a tree; Hyper-V's own bound is 50.
const maxSnapshots = 4096

// readSnapshots reads the checkpoints of a machine.
func readSnapshots(files fs.FS, config *node, m *appliance.Machine) error {
	entries, err := fs.ReadDir(files, snapshotsDir)
	if err != nil {
		return nil //nolint:nilerr // there are none
	}
	for _, e := range entries {
		name := path.Join(snapshotsDir, e.Name())
		if e.IsDir() || !isDescription(files, name) {
			continue
		}
		if len(m.Snapshots) == maxSnapshots {
			return fmt.Errorf("%s: more than %d checkpoints are more than there can be", snapshotsDir, maxSnapshots)
		}
		s, notes, err := readSnapshot(files, name, m)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.Snapshots = append(m.Snapshots, s)
		m.Notes = append(m.Notes, notes...)
	}
	return arrange(m, parentOf(config))
}

// parentOf is the ID of the checkpoint that a configuration stands on.
func parentOf(config *node) string {
	return strings.ToLower(strings.Trim(config.text("properties", "parent_id"), "{}"))
}

// readSnapshot reads one checkpoint, and what is noted of it alone.
func readSnapshot(files fs.FS, name string, m *appliance.Machine) (appliance.Snapshot, []appliance.Note, error) {
	config, _, err := readConfig(files, name)
	if err != nil {
		return appliance.Snapshot{}, nil, err
	}
	then, err := readMachine(files, name, config, m.Spec.Name)
	if err != nil {
		return appliance.Snapshot{}, nil, err
	}
	then.Spec.UUID = m.Spec.UUID
	s := appliance.Snapshot{
		ID: strings.ToLower(then.ID), Parent: parentOf(config), Name: config.text("properties", "name"), Description: then.Spec.Description,
		Taken: taken(config.text("properties", "creation_time")), Spec: then.Spec, Disks: then.Disks,
	}
	if s.Name == "" {
		s.Name = then.ID
	}
	if memory := path.Join(snapshotsDir, then.ID, then.ID+".bin"); isThere(files, memory) {
		s.Memory = memory
	}
	var notes []appliance.Note
	for _, note := range then.Notes {
		if !slices.Contains(m.Notes, note) {
			notes = append(notes, appliance.Notef("checkpoint "+s.Name, "%s", note))
		}
	}
	return s, notes, nil
}

func isThere(files fs.FS, name string) bool {
	_, err := fs.Stat(files, name)
	return err == nil
}

// taken is a time as Windows counts it: units of 100 ns since 1601. It is zero for what is none.
func taken(text string) time.Time {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) != 8 {
		return time.Time{}
	}
	const to1970 = 11644473600 // seconds from 1601
	ticks := int64(binary.LittleEndian.Uint64(data))
	if ticks <= 0 {
		return time.Time{}
	}
	return time.Unix(ticks/1e7-to1970, ticks%1e7*100).UTC()
}

// arrange makes a tree of checkpoints. One whose parent is the machine, or is
// not among them, is a root; without any parents they are noted to be loose.
func arrange(m *appliance.Machine, current string) error {
	known := map[string]bool{}
	for _, s := range m.Snapshots {
		known[s.ID] = true
	}
	loose := 0
	for i := range m.Snapshots {
		if s := &m.Snapshots[i]; !known[s.Parent] {
			s.Parent = ""
			loose++
		}
	}
	if loose > 1 {
		m.Notes = append(m.Notes, appliance.Notef("checkpoints", "the description does not say on what %d of them stand; they are beside each other", loose))
	}
	slices.SortStableFunc(m.Snapshots, func(a, b appliance.Snapshot) int { return a.Taken.Compare(b.Taken) })
	if known[current] {
		m.Current = current
	}
	ordered, err := appliance.ParentsFirst(m.Snapshots)
	if err != nil {
		return fmt.Errorf("%s: %w", snapshotsDir, err)
	}
	m.Snapshots = ordered
	return nil
}
