package appliance

import "fmt"

// ParentsFirst orders snapshots so that each comes after its parent, and
// otherwise as they were. It fails for what is no tree: two of one ID, a parent
// that there is not, a circle.
func ParentsFirst(snapshots []Snapshot) ([]Snapshot, error) {
	children := map[string][]Snapshot{}
	known := map[string]bool{}
	for _, s := range snapshots {
		if s.ID == "" || known[s.ID] {
			return nil, fmt.Errorf("the snapshot %q has the ID %q, which another has or none can have", s.Name, s.ID)
		}
		known[s.ID] = true
		children[s.Parent] = append(children[s.Parent], s)
	}
	ordered := make([]Snapshot, 0, len(snapshots))
	ordered = append(ordered, children[""]...)
	for i := 0; i < len(ordered); i++ {
		ordered = append(ordered, children[ordered[i].ID]...)
	}
	if len(ordered) == len(snapshots) {
		return ordered, nil
	}
	for _, s := range snapshots {
		if s.Parent != "" && !known[s.Parent] {
			return nil, fmt.Errorf("the snapshot %q stands on %q, and there is no such snapshot", s.Name, s.Parent)
		}
	}
	return nil, fmt.Errorf("the snapshots stand on each other in a circle")
}
