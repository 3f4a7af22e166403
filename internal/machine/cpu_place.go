package machine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
)

// maxHostCPU bounds the numbers of a host's CPUs and nodes: what Linux is built for at most.
const maxHostCPU = 8191

// ParseCPUList reads a list of a host's CPUs or nodes, as the kernel writes them: 0-3,8. The result is sorted, each once.
func ParseCPUList(text string) ([]int, error) {
	var list []int
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, err := hostCPU(low)
		to, err2 := hostCPU(high)
		if err != nil || err2 != nil || from > to {
			return nil, fmt.Errorf("%q is no list of the host's CPUs such as 0-3,8", clip(text))
		}
		for cpu := from; cpu <= to; cpu++ {
			list = append(list, cpu)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func hostCPU(text string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err == nil && n > maxHostCPU {
		err = strconv.ErrRange
	}
	return int(n), err
}

// FormatCPUList writes a sorted list as the kernel does.
func FormatCPUList(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := strconv.Itoa(list[i])
		if j > i {
			part += "-" + strconv.Itoa(list[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// Pins says on which of the host's CPUs a machine's may run.
type Pins struct {
	All    []int         // for CPUs that have none of their own; nil for any
	Single map[int][]int // by the machine's CPU
}

// For is where one of the machine's CPUs may run; nil for anywhere.
func (p Pins) For(cpu int) []int {
	if own, ok := p.Single[cpu]; ok {
		return own
	}
	return p.All
}

// Hosts are all of the host's CPUs that are named, sorted.
func (p Pins) Hosts() []int {
	all := slices.Clone(p.All)
	for _, own := range p.Single {
		all = append(all, own...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ParsePins reads what cpu.pin holds: a list for all CPUs, or lists for single ones, each behind the machine's CPU and a colon:
// 0:4,1:5-6,9 lets CPU 0 run on 4, and CPU 1 on 5, 6 and 9.
func ParsePins(text string) (Pins, error) {
	pins := Pins{}
	if text == "" {
		return pins, nil
	}
	if !strings.Contains(text, ":") {
		list, err := ParseCPUList(text)
		pins.All = list
		return pins, err
	}
	lists, current := map[int][]string{}, -1
	for part := range strings.SplitSeq(text, ",") {
		if guest, host, ok := strings.Cut(part, ":"); ok {
			cpu, err := hostCPU(guest)
			if _, twice := lists[cpu]; err != nil || twice || cpu >= maxCPUs {
				return Pins{}, fmt.Errorf("%q does not name each CPU of the machine once, as 0:4,1:5-6 does", clip(text))
			}
			current, part = cpu, host
		}
		if current < 0 {
			return Pins{}, fmt.Errorf("%q begins with no CPU of the machine, as 0:4,1:5-6 does", clip(text))
		}
		lists[current] = append(lists[current], part)
	}
	pins.Single = map[int][]int{}
	for cpu, parts := range lists {
		list, err := ParseCPUList(strings.Join(parts, ","))
		if err != nil {
			return Pins{}, err
		}
		pins.Single[cpu] = list
	}
	return pins, nil
}

// IsPlaced tells whether a spec says where on the host anything of it runs.
func IsPlaced(c api.CPU) bool {
	return c.Pin != "" || c.PinEmulator != "" || c.PinIOThreads != "" || c.Nodes != ""
}

// scheduling checks how much CPU time a machine has, and where.
func (c *checker) scheduling() {
	cpu := c.spec.CPU
	if cpu.Cap != 0 {
		c.within("cpu.cap", cpu.Cap, 1, 100)
	}
	if cpu.Shares != 0 {
		c.within("cpu.shares", cpu.Shares, 1, 10000)
	}
	if cpu.Nested != "" {
		member(c, "cpu.nested", cpu.Nested, "on", "off")
		if c.spec.Architecture != api.X8664 {
			c.add("cpu.nested", "is for x86_64 alone; on %s it is a matter of the machine type", c.spec.Architecture)
		}
	}
	c.cpuTimes(cpu)
	pins, err := ParsePins(cpu.Pin)
	if err != nil {
		c.add("cpu.pin", "%s", err)
	}
	for guest := range pins.Single {
		if guest >= cpu.Maximum {
			c.add("cpu.pin", "names CPU %d, and the machine has %d at most, from 0", guest, cpu.Maximum)
		}
	}
	for _, list := range []struct{ field, text string }{
		{"cpu.pinEmulator", cpu.PinEmulator}, {"cpu.pinIOThreads", cpu.PinIOThreads}, {"cpu.nodes", cpu.Nodes},
	} {
		if list.text == "" {
			continue
		}
		if _, err := ParseCPUList(list.text); err != nil {
			c.add(list.field, "%s", err)
		}
	}
	if c.spec.OS != "" {
		member(c, "os", c.spec.OS, "linux", "windows", "other")
	}
}

// cpuTimes checks reservation and limit against each other, as far as both are in the same unit.
func (c *checker) cpuTimes(cpu api.CPU) {
	reserved, reservedMHz, err := cpu.Reservation.Parse()
	if err != nil {
		c.add("cpu.reservation", "%s", err)
	}
	most, mostMHz, err := cpu.Limit.Parse()
	if err != nil {
		c.add("cpu.limit", "%s", err)
	}
	if (most > 0 && reserved > most) || (mostMHz > 0 && reservedMHz > mostMHz) {
		c.add("cpu.reservation", "is %s, which is more than cpu.limit, %s", cpu.Reservation, cpu.Limit)
	}
	percent := cpu.Cap
	if percent == 0 {
		percent = 100
	}
	if all := float64(percent * cpu.Count); reserved > 0 && reserved > all {
		c.add("cpu.reservation", "is %s, and the machine's %d CPUs can use no more than %v%% at cpu.cap %d", cpu.Reservation, cpu.Count, all, percent)
	}
}
