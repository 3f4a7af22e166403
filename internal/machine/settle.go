package machine

import "github.com/panalvm/panal/api"

// settle takes back what followed from values that have been changed, so that
// Complete finds it anew, unless it was set as well.
func (a *assigner) settle(old api.Spec) {
	a.settleCPU(old.CPU)
	a.settleMemory(old.Memory)
	for i := range a.spec.Drives {
		field := "drives." + a.spec.Drives[i].Name + "."
		if a.set[field+"controller"] && !a.set[field+"port"] {
			a.spec.Drives[i].Port = nil
		}
	}
	if a.set["display.type"] && !a.set["display.video"] && a.spec.Display.Type != "none" && a.spec.Display.Video == "none" {
		a.spec.Display.Video = ""
	}
	if a.set["architecture"] && !a.set["machineType"] && BoardOf(a.spec.Architecture, a.spec.MachineType) == BoardOther {
		a.spec.MachineType = ""
	}
}

// settleCPU lets the maximum follow the count where that goes beyond it, and the topology follow the maximum. A count
// that is lowered leaves the maximum where it is: single CPUs are taken out and put in again in the spec of a machine that is off. Where
// CPUs cannot be plugged in, the maximum is the count.
func (a *assigner) settleCPU(old api.CPU) {
	c := &a.spec.CPU
	if *c == old {
		return
	}
	topologySet := a.set["cpu.sockets"] || a.set["cpu.cores"] || a.set["cpu.threads"]
	if !a.set["cpu.maximum"] && (a.set["cpu.count"] || topologySet) && (c.Count > c.Maximum || old.Maximum == old.Count && (topologySet || a.spec.Architecture != api.X8664)) {
		c.Maximum = 0
	}
	if !a.set["cpu.count"] && topologySet && c.Maximum == 0 {
		whole := a.set["cpu.sockets"] && a.set["cpu.cores"] && a.set["cpu.threads"]
		if whole {
			c.Count = 0
		}
	}
	target := c.Maximum
	if target == 0 {
		target = c.Count
	}
	for _, part := range []struct {
		field string
		value *int
	}{{"cpu.cores", &c.Cores}, {"cpu.sockets", &c.Sockets}, {"cpu.threads", &c.Threads}} {
		if !a.set[part.field] && !fits(*c, target) {
			*part.value = 0
		}
	}
}

// fits says whether the topology, with what is missing filled in, can be the
// one of as many CPUs.
func fits(c api.CPU, target int) bool {
	if target <= 0 || target > maxCPUs || topology(c) > target {
		return false
	}
	c.Maximum, c.Count = target, min(max(c.Count, 1), target)
	return topology(completeCPU(c)) == target
}
