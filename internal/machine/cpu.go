package machine

import "github.com/panalvm/panal/api"

// maxCPUs bounds a machine's CPUs: what QEMU's boards take at most.
const maxCPUs = 288

// completeCPU fills what is missing of Count, Maximum and the topology, so
// that Sockets × Cores × Threads is Maximum wherever that is possible. More cores
// come before more sockets: some guests are licensed, or limited, by sockets.
func completeCPU(c api.CPU) api.CPU {
	for _, n := range []int{c.Count, c.Maximum, c.Sockets, c.Cores, c.Threads} {
		if n < 0 || n > maxCPUs {
			return c // nothing sensible can be made of it
		}
	}
	given := topology(c)
	if c.Maximum == 0 {
		c.Maximum = c.Count
		whole := c.Sockets > 0 && c.Cores > 0 && c.Threads > 0
		if (given > 1 || whole) && given > c.Count {
			c.Maximum = given
		}
	}
	setDefault(&c.Maximum, DefaultCPUs)
	setDefault(&c.Count, c.Maximum)
	setDefault(&c.Threads, 1)
	if c.Cores == 0 {
		c.Cores = max(1, c.Maximum/(max(1, c.Sockets)*c.Threads))
	}
	if c.Sockets == 0 {
		c.Sockets = max(1, c.Maximum/(c.Cores*c.Threads))
	}
	return c
}

// topology returns how many CPUs the topology has, as far as it is given.
func topology(c api.CPU) int {
	return max(1, c.Sockets) * max(1, c.Cores) * max(1, c.Threads)
}
