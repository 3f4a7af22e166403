package ovf

import (
	"slices"
	"strings"
)

// hardware checks the items of a machine.
func (c *checker) hardware(h *VirtualHardwareSection, where string) {
	c.items(h.Items, where)
	instances := map[string]bool{}
	for _, i := range h.Items {
		instances[i.InstanceID] = true
	}
	for n := range h.Items {
		i := &h.Items[n]
		where := where + "/Item " + short(i.InstanceID)
		if i.Parent != "" && !instances[i.Parent] {
			c.find(Error, where, "its Parent is the item %.60q, which is not there", i.Parent)
		}
		if counted := i.ResourceType == Memory || i.ResourceType == Processor; counted && i.VirtualQuantity == "" && i.key().bound == "" {
			c.find(Warning, where, "it does not say how much there is: it has no VirtualQuantity")
		}
		if i.Parent != "" && i.Parent == i.InstanceID {
			c.find(Error, where, "it is its own Parent")
		}
		switch b := i.Backing(); {
		case b.Kind == BackedByDisk && !c.diskIDs[b.ID]:
			c.find(Error, where, "its HostResource is the disk %.60q, which is not there", b.ID)
		case b.Kind == BackedByFile:
			c.fileRef(where, b.ID)
		}
		if name := i.Connection(); name != "" && !c.networkNames[name] {
			c.find(Error, where, "it is connected to the network %.60q, which the NetworkSection does not have", name)
		}
	}
	c.slots(h, where)
}

// slots tells of items that have the same place at a controller.
func (c *checker) slots(h *VirtualHardwareSection, where string) {
	type slot struct{ parent, address string }
	taken := map[slot]*Item{}
	for n := range h.Items {
		i := &h.Items[n]
		s := slot{i.Parent, strings.TrimSpace(i.AddressOnParent)}
		if s.parent == "" || s.address == "" {
			continue
		}
		if other := taken[s]; other != nil && other.InstanceID != i.InstanceID && meet(other.Configurations, i.Configurations) {
			c.find(Warning, where+"/Item "+short(i.InstanceID), "it has the address %.20s on its parent, as item %.20s has", s.address, other.InstanceID)
		}
		taken[s] = i
	}
}

// meet tells whether there is a configuration that has both.
func meet(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	names := map[string]bool{}
	for _, name := range a {
		names[name] = true
	}
	return slices.ContainsFunc(b, func(name string) bool { return names[name] })
}

// items checks items by themselves.
func (c *checker) items(items []Item, where string) {
	type place struct{ instance, bound, configuration string }
	seen := map[place]bool{}
	for n := range items {
		i := &items[n]
		where := where + "/Item " + short(i.InstanceID)
		c.item(i, where)
		c.configured(where, i.Configurations)
		if i.InstanceID == "" {
			c.find(Error, where, "it has no InstanceID")
			continue
		}
		for _, configuration := range append(slices.Clone(i.Configurations), "")[:max(1, len(i.Configurations))] {
			p := place{i.InstanceID, i.key().bound, configuration}
			if seen[p] && configuration == "" {
				c.find(Error, where, "there are two with the InstanceID %.60q", i.InstanceID)
			} else if seen[p] {
				c.find(Warning, where, "there are two with the InstanceID %.60q in the configuration %.60q; the last counts", i.InstanceID, configuration)
			}
			seen[p] = true
		}
	}
}

// item checks one item.
func (c *checker) item(i *Item, where string) {
	if i.ResourceType == 0 {
		c.find(Error, where, "it does not say what it is: it has no ResourceType")
	}
	if !slices.Contains([]string{"", "min", "max", "normal"}, i.Bound) {
		c.find(Error, where, "its bound is %.40q; the standard has min, max and normal", i.Bound)
	}
	for _, text := range []string{i.AllocationUnits, i.VirtualQuantityUnits} {
		if _, err := ParseUnit(text); err != nil {
			c.find(Error, where, "%v", err)
		}
	}
	c.quantity(i, where)
}

// quantity checks how much there is. Bounds, and items of collections, may say
// a Reservation or Limit instead.
func (c *checker) quantity(i *Item, where string) {
	if i.VirtualQuantity == "" && i.Reservation+i.Limit != "" || strings.HasPrefix(i.VirtualQuantity, "${") {
		return
	}
	var n int64
	var err error
	switch i.ResourceType {
	case Memory:
		n, err = i.Bytes()
	case Processor:
		var count int
		count, err = i.Count()
		n = int64(count)
	default:
		return
	}
	if err != nil {
		c.find(Error, where, "%v", err)
	} else if n == 0 {
		c.find(Error, where, "its quantity is 0")
	}
}
