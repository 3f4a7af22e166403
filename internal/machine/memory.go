package machine

import (
	"fmt"
	"strings"

	"github.com/panalvm/panal/api"
)

// The bounds of memory.
const (
	leastMemory = 4 * api.MiB
	// LeastGuest is what a balloon leaves to a guest that has no minimum of its own:
	// with less hardly any system goes on.
	LeastGuest = 64 * api.MiB
	// DefaultShares is a machine's weight when it has none.
	DefaultShares = 1000
	maxShares     = 10000
	// plugBlock is what QEMU plugs in memory by: a huge page.
	plugBlock = 2 * api.MiB
	// memoryBlock is what Linux takes memory into use by; of a part of one it would
	// use nothing.
	memoryBlock = 128 * api.MiB
	// windows is the system that takes CPUs and memory while it runs, and gives none back.
	windows = "windows"
)

// completeMemory fills what is missing of a memory: one that has only a range
// begins at the lower end of it.
func completeMemory(m api.Memory) api.Memory {
	if m.Size == 0 {
		m.Size = m.Start
	}
	setDefault(&m.Size, m.Minimum)
	setDefault(&m.Size, m.Maximum)
	setDefault(&m.Size, DefaultMemory)
	setDefault(&m.Start, m.Size)
	setDefault(&m.Maximum, max(m.Size, m.Start))
	return m
}

// IsAutomatic tells whether a complete memory follows the guest's demand.
func IsAutomatic(m api.Memory) bool {
	return m.Control != api.MemoryManual && m.Minimum > 0 && m.Minimum < m.Maximum
}

// SharesOf is the weight of a machine's memory.
func SharesOf(m api.Memory) int {
	if m.Shares == 0 {
		return DefaultShares
	}
	return m.Shares
}

// LowestMemory is what a guest keeps whatever is taken from it.
func LowestMemory(m api.Memory) api.Size {
	if m.Minimum > 0 {
		return m.Minimum
	}
	return min(LeastGuest, m.Size)
}

// BootMemory is what the guest boots with. Machines of earlier versions have only a size.
func BootMemory(m api.Memory) api.Size { return completeMemory(m).Start }

// PluggableMemory is how much memory there is room for beside what the guest boots
// with: 0 where its maximum is no more than that.
func PluggableMemory(m api.Memory) api.Size {
	m = completeMemory(m)
	return roundUp(max(0, m.Maximum-m.Start), memoryBlock)
}

// MemoryParts is what a memory is made of beside what the guest boots with.
type MemoryParts struct {
	Plugged   api.Size // plugged in
	Ballooned api.Size // taken by the balloon
}

// MemoryOf is what a complete memory is to be made of where it is moved by hand.
func MemoryOf(m api.Memory) MemoryParts {
	parts := PartsFor(m, m.Size)
	parts.Ballooned += m.Balloon
	return parts
}

// PartsFor is what a memory of a size is made of: plugged in beyond what the guest
// boots with, or taken off that by the balloon.
func PartsFor(m api.Memory, size api.Size) MemoryParts {
	m = completeMemory(m)
	return MemoryParts{Plugged: roundUp(max(0, size-m.Start), plugBlock), Ballooned: max(0, m.Start-size)}
}

func roundUp(size, unit api.Size) api.Size { return (size + unit - 1) / unit * unit }

// PartsAfter is [PartsFor] for a machine that has so much plugged in and whose guest
// gives none of that back: the balloon takes the whole.
func PartsAfter(m api.Memory, size, plugged api.Size) MemoryParts {
	parts := PartsFor(m, size)
	if parts.Plugged < plugged {
		parts.Ballooned, parts.Plugged = parts.Ballooned+plugged-parts.Plugged, plugged
	}
	return parts
}

// KeepsPlugged tells whether a machine's guest gives back nothing that was plugged in.
func KeepsPlugged(spec api.Spec) bool { return spec.OS == windows }

// settleMemory lets what a guest boots with, and its maximum, follow its size where
// they did so before or must.
func (a *assigner) settleMemory(old api.Memory) {
	m := &a.spec.Memory
	if m.Size == old.Size && m.Minimum == old.Minimum && m.Maximum == old.Maximum || old.Size == 0 {
		return
	}
	if m.Size == old.Size && !a.set["memory.size"] && !a.set["memory.start"] && (m.Size < m.Minimum || m.Maximum > 0 && m.Size > m.Maximum) {
		m.Size = 0 // outside its new range: it begins where that does
	}
	if !a.set["memory.start"] && old.Start == old.Size {
		m.Start = 0
	}
	if !a.set["memory.maximum"] && (old.Maximum == old.Size || m.Size > m.Maximum) {
		m.Maximum = 0
	}
}

// assignMemory sets a size, or both ends of a range.
func assignMemory(a *assigner, value string) error {
	low, high, isRange := strings.Cut(value, "..")
	if !isRange {
		return alias("memory", "memory.size").apply(a, value)
	}
	if _, err := api.ParseMemory(value); err != nil {
		return err
	}
	a.assign("memory.minimum=" + low)
	a.assign("memory.maximum=" + high)
	return nil
}

// memory checks sizes and what they are to one another.
func (c *checker) memory() {
	if !c.memorySize("memory.size", c.spec.Memory.Size, leastMemory) {
		return
	}
	m := completeMemory(c.spec.Memory) // specs of earlier versions have only a size
	for _, one := range []struct {
		name string
		size api.Size
	}{{"minimum", m.Minimum}, {"maximum", m.Maximum}, {"start", m.Start}, {"balloon", m.Balloon}, {"reserve", m.Reserve}, {"limit", m.Limit}, {"swap", m.Swap}} {
		if one.size != 0 && !c.memorySize("memory."+one.name, one.size, api.MiB) {
			return
		}
	}
	switch {
	case m.Size < m.Minimum:
		c.add("memory.size", "is %v, which is below memory.minimum, %v", m.Size, m.Minimum)
	case m.Size > m.Maximum:
		c.add("memory.size", "is %v, which is above memory.maximum, %v", m.Size, m.Maximum)
	case m.Start > m.Maximum:
		c.add("memory.start", "is %v, which is above memory.maximum, %v", m.Start, m.Maximum)
	case m.Start < leastMemory:
		c.add("memory.start", "is %v; it must be %v or more", m.Start, leastMemory)
	case m.Reserve > m.Maximum:
		c.add("memory.reserve", "is %v, which is above memory.maximum, %v", m.Reserve, m.Maximum)
	}
	if m.Maximum > m.Start && c.spec.Architecture == api.RISCV64 {
		c.add("memory.maximum", "is more than memory.start, but QEMU plugs no memory into machines of the architecture %s", c.spec.Architecture)
	}
	if m.Control != "" {
		member(c, "memory.control", m.Control, api.MemoryAutomatic, api.MemoryManual)
	}
	if m.Control == api.MemoryAutomatic && (m.Minimum == 0 || m.Minimum >= m.Maximum) {
		c.add("memory.control", "is automatic, which needs a range: memory.minimum below memory.maximum")
	}
	c.within("memory.shares", m.Shares, 0, maxShares)
	if m.Sharing != "" {
		member(c, "memory.sharing", m.Sharing, api.SharingOff, api.SharingOn, api.SharingSmart)
	}
	c.balloon(m)
	c.movedOut(m)
	c.fixedMemory(m)
}

func (c *checker) memorySize(field string, size, least api.Size) bool {
	switch {
	case size < least || size > maxMemory:
		c.add(field, "is %v; it must be %v to %v", size, least, maxMemory)
	case size%api.MiB != 0:
		c.add(field, "is %d bytes; it must be a multiple of 1M", size)
	default:
		return true
	}
	return false
}

// balloon checks what is taken from the guest by hand.
func (c *checker) balloon(m api.Memory) {
	least := LowestMemory(m)
	switch left := m.Size - m.Balloon; {
	case m.Balloon == 0 && MemoryOf(m).Ballooned > m.Start-min(m.Start, LeastGuest):
		c.add("memory.size", "is %v; of what the guest boots with, %v, the balloon can take all but %v", m.Size, m.Start, LeastGuest)
	case m.Balloon == 0:
	case IsAutomatic(m):
		c.add("memory.balloon", "is set by hand, but the memory follows the guest's demand; set memory.control=manual as well")
	case left < least && m.Minimum > 0:
		c.add("memory.balloon", "is %v, which leaves %v of %v: less than memory.minimum, %v", m.Balloon, max(left, 0), m.Size, least)
	case left < least:
		c.add("memory.balloon", "is %v, which leaves %v of %v: less than the %v that every guest keeps", m.Balloon, max(left, 0), m.Size, least)
	case MemoryOf(m).Ballooned > m.Start-min(m.Start, LeastGuest):
		c.add("memory.balloon", "is %v; of what the guest has, the balloon can take what it booted with, %v, but for %v", m.Balloon, m.Start, LeastGuest)
	}
}

// changedMemory finds the changes of its memory that a machine cannot take while its
// guest is in memory.
func changedMemory(before, after api.Memory, os string, state api.State) []api.FieldError {
	var errors []api.FieldError
	add := func(name, message string) {
		errors = append(errors, api.FieldError{Field: "memory." + name, Message: message})
	}
	if before.Maximum != after.Maximum {
		add("maximum", whileOff(state))
	}
	if before.Start != after.Start {
		add("start", whileOff(state))
	}
	if before.PageSize != after.PageSize {
		add("pageSize", whileOff(state))
	}
	if before.Locked != after.Locked {
		add("locked", whileOff(state))
	}
	if after.Nodes != "" && PlacementOf(before) != PlacementOf(after) {
		add("placement", whileOff(state))
	}
	if before.Size != after.Size && IsAutomatic(after) {
		add("size", "follows the guest's demand; set memory.control=manual as well")
	}
	if os == windows && MemoryOf(after).Plugged < MemoryOf(before).Plugged {
		add("size", whileOff(state)+"; Windows (the machine's os) takes memory while it runs, and gives back what the balloon takes of it alone (memory.balloon)")
	}
	if MemoryOf(before) != MemoryOf(after) && state != api.StateRunning {
		add("size", fmt.Sprintf("can only change while the guest runs, since that has to give and take it; it is %s", state))
	}
	return errors
}
