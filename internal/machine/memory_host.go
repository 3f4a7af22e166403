package machine

import "github.com/panalvm/panal/api"

// MostHugePage and LeastHugePage are the sizes of huge pages that there are on
// machines that Panal runs on.
const (
	LeastHugePage = 2 * api.MiB
	MostHugePage  = api.GiB
)

// ReclaimOf is how far a machine's cold memory may be moved out, on a host whose
// setting says so.
func ReclaimOf(m api.Memory, host api.Reclaim) api.Reclaim {
	reach := map[api.Reclaim]int{api.ReclaimOff: 1, api.ReclaimCompress: 2, api.ReclaimSwap: 3, "": 3}
	switch {
	case IsFixed(m):
		return api.ReclaimOff
	case reach[m.Reclaim] < reach[host]:
		return m.Reclaim
	case host == "":
		return api.ReclaimSwap
	}
	return host
}

// IsFixed tells whether a machine has all of its memory from its start on: it is
// made of huge pages, or locked.
func IsFixed(m api.Memory) bool { return m.PageSize > 0 || m.Locked }

// PlacementOf is how the nodes of a memory are meant.
func PlacementOf(m api.Memory) api.NodePolicy {
	if m.Placement == "" {
		return api.NodesBind
	}
	return m.Placement
}

// movedOut checks what may become of memory that the host needs.
func (c *checker) movedOut(m api.Memory) {
	if m.Reclaim != "" {
		member(c, "memory.reclaim", m.Reclaim, api.ReclaimOff, api.ReclaimCompress, api.ReclaimSwap)
	}
	if m.Swap > 0 && m.Reclaim == api.ReclaimOff {
		c.add("memory.swap", "is %v, but nothing may be moved out: memory.reclaim is off", m.Swap)
	}
	switch least := max(LowestMemory(m), m.Reserve); {
	case m.Limit == 0:
	case m.Limit < least:
		c.add("memory.limit", "is %v, which is below the %v that the machine keeps in any case (memory.minimum, memory.reserve)", m.Limit, least)
	case m.Reclaim == api.ReclaimOff && !IsAutomatic(m):
		c.add("memory.limit", "cannot be held: memory.reclaim is off, and the memory has no range")
	}
}

// fixedMemory checks memory that is taken at the start and stays, and where it comes from.
func (c *checker) fixedMemory(m api.Memory) {
	if m.Nodes != "" {
		if _, err := ParseCPUList(m.Nodes); err != nil {
			c.add("memory.nodes", "%s", err)
		}
	}
	if m.Placement != "" {
		member(c, "memory.placement", m.Placement, api.NodesBind, api.NodesPreferred, api.NodesInterleave)
		if m.Nodes == "" {
			c.add("memory.placement", "is %s, which needs memory.nodes", m.Placement)
		}
	}
	if nodes, err := ParseCPUList(m.Nodes); err == nil && m.Placement == api.NodesPreferred && len(nodes) > 1 {
		c.add("memory.placement", "is preferred, which is for one node; memory.nodes names %d", len(nodes))
	}
	if m.PageSize != 0 && m.PageSize != LeastHugePage && m.PageSize != MostHugePage {
		c.add("memory.pageSize", "is %v; huge pages are of %v or %v", m.PageSize, LeastHugePage, MostHugePage)
		return
	}
	if !IsFixed(m) {
		return
	}
	why, field := "locked memory", "memory.locked"
	if m.PageSize > 0 {
		why, field = "memory of huge pages", "memory.pageSize"
	}
	for _, one := range []struct {
		set  bool
		what string
	}{
		{m.Maximum != m.Start, "memory.maximum above memory.start"},
		{m.Size != m.Start, "memory.size below memory.start"},
		{m.Balloon > 0, "memory.balloon"},
		{IsAutomatic(m), "a range"},
		{m.PageSize > 0 && (m.Sharing == api.SharingOn || m.Sharing == api.SharingSmart), "memory.sharing"},
		{m.Limit > 0, "memory.limit"},
		{m.Swap > 0 || m.Reclaim != "" && m.Reclaim != api.ReclaimOff, "memory.swap or memory.reclaim"},
	} {
		if one.set {
			c.add(field, "is set, and %s stays where it is from the start on: it does not go with %s", why, one.what)
		}
	}
	if m.PageSize > 0 && m.Size%m.PageSize != 0 {
		c.add("memory.size", "is %v; it must be a multiple of memory.pageSize, %v", m.Size, m.PageSize)
	}
}
