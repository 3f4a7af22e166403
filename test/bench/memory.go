package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/resource/ksm"
	"github.com/panalvm/panal/internal/resource/usage"
	"github.com/panalvm/panal/test/guests"
)

// The goals of memory.
const (
	growGoal       = 2 * time.Second
	controllerGoal = 1.0 // percent of one CPU for a hundred machines
)

// measureMemory measures memory that moves. There is no peer: with libvirt, memory is moved by hand.
func measureMemory(ctx context.Context, b *bench) (err error) {
	mark := len(b.cleanup)
	defer func() { err = errors.Join(err, b.undo(mark)) }()
	p, err := newPanal(ctx, b)
	if err != nil {
		return err
	}
	_, agent, err := p.startAskable(ctx, b, machineName, api.CPU{Count: 1}, api.Memory{Minimum: api.GiB, Maximum: 3 * api.GiB})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.Close()) }()
	if err := b.growth(ctx, p, agent); err != nil {
		return err
	}
	if err := b.balloon(ctx, p, agent); err != nil {
		return err
	}
	if err := p.powerOff(ctx, machineName); err != nil {
		return err
	}
	if err := b.controller(ctx, p); err != nil {
		return err
	}
	return b.sharing(ctx, p)
}

// watchGrowth has the guest note, twenty times a second, when less than so much was available, and when it had more memory
// than before. How long it takes to fill it, and how long the host takes to ask, is in neither.
const watchGrowth = `run (while :; do ` +
	`while read -r name kib unit; do case $name in MemTotal:) now=$kib;; MemAvailable:) left=$kib; break;; esac; done </proc/meminfo; ` +
	`read -r up rest </proc/uptime; ` +
	`[ $now -gt %[1]d ] && { echo grown $up; break; }; ` +
	`[ -z "$short" ] && [ $left -lt %[2]d ] && { short=1; echo short $up; }; ` +
	`sleep 0.05; done) </dev/null >/tmp/growth 2>/dev/null &`

// growth has a guest run short again and again, and times each until it has more memory.
func (b *bench) growth(ctx context.Context, p *panal, agent *guests.Agent) error {
	var grown samples
	for range 4 {
		machine, err := p.client.Get(ctx, machineName)
		if err != nil {
			return err
		}
		has, available, err := guestMemory(ctx, agent)
		if err != nil {
			return err
		}
		low := int64(machine.Status.Memory.Assigned) / 10
		// Programs take all but a ninth more than what it must have, and then so much that an eighth of that is lacking.
		for _, request := range []string{
			fmt.Sprintf("hold %d", (available-low*10/9)>>20), fmt.Sprintf(watchGrowth, has>>10, low>>10),
			fmt.Sprintf("hold %d", (low*10/9-low*7/8)>>20), "run while ! grep -q grown /tmp/growth; do sleep 0.05; done; cat /tmp/growth",
		} {
			answer, err := agent.Ask(ctx, request)
			if err != nil {
				return err
			}
			if took, ok := grownAfter(answer); ok {
				grown = append(grown, took)
			}
		}
	}
	if len(grown) == 0 {
		return errors.New("the guest had more memory before it ran short, each time")
	}
	b.explain("growth", grown)
	median := grown.median()
	b.report.add(row{
		work: "more memory in the guest, from its running short", ours: fmt.Sprintf("%s, slowest %s", milliseconds(median), milliseconds(grown.quantile(1))),
		goal: "< " + milliseconds(growGoal), met: grown.quantile(1) < growGoal,
	})
	_, err := agent.Ask(ctx, "let-go")
	return err
}

// grownAfter reads what watchGrowth has noted.
func grownAfter(lines []string) (took time.Duration, ok bool) {
	at := map[string]float64{}
	for _, line := range lines {
		var what string
		var up float64
		if n, _ := fmt.Sscanf(line, "%s %f", &what, &up); n == 2 {
			at[what] = up
		}
	}
	ok = at["short"] > 0 && at["grown"] > 0
	return time.Duration((at["grown"] - at["short"]) * float64(time.Second)), ok
}

// guestMemory is what a guest has, and what its programs could have, in bytes.
func guestMemory(ctx context.Context, agent *guests.Agent) (has, available int64, err error) {
	answer, err := agent.Ask(ctx, "run cat /proc/meminfo")
	for _, line := range answer {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "MemTotal":
			has = kib << 10
		case "MemAvailable":
			available = kib << 10
		}
	}
	if err == nil && available == 0 {
		err = fmt.Errorf("the guest says nothing of its memory: %q", answer)
	}
	return has, available, err
}

// balloon fills the guest's balloon and empties it, from memory that was in use before.
func (b *bench) balloon(ctx context.Context, p *panal, agent *guests.Agent) error {
	const size = 512 * api.MiB
	if err := runQuietly(p.command("set", machineName, "memory.control=manual", "memory.minimum=", "memory=1G")); err != nil {
		return err
	}
	var inflated, deflated samples
	for range 3 {
		if _, err := agent.Ask(ctx, fmt.Sprintf("hold %d", size/api.MiB)); err != nil {
			return err
		}
		if _, err := agent.Ask(ctx, "let-go"); err != nil {
			return err
		}
		for _, one := range []struct {
			to    string
			times *samples
		}{{size.String(), &inflated}, {"", &deflated}} {
			took, err := timed(func() error { return runQuietly(p.command("set", machineName, "balloon="+one.to)) })()
			if err != nil {
				return err
			}
			*one.times = append(*one.times, took)
		}
	}
	rate := func(times samples) string {
		return fmt.Sprintf("%.2f GB/s", float64(size)/1e9/times.median().Seconds())
	}
	b.report.add(row{work: "the balloon, filled and emptied, the command included", ours: rate(inflated) + ", " + rate(deflated)})
	return nil
}

// What the cost of the controller is measured with, and for how long. A hundred guests that are translated would measure
// the host: most have a guest that lies still, which is asked as often as any other that does.
const (
	controlled      = 100
	controlledLinux = 8 // of them, those that run Linux, and say how their memory stands
	controlledFor   = 30 * time.Second
	settlesWithin   = 30 * time.Second // what a change of all machines leaves to do is done by then

	controlledRounds = 2
)

// controller measures what following the memory of machines costs: the daemon's CPU time with machines that follow
// their guests' demand, without what it takes with as many that do not.
func (b *bench) controller(ctx context.Context, p *panal) error {
	names, err := b.startControlled(ctx, p)
	if err != nil {
		return err
	}
	// In turn, each after a change of all machines, so that what comes after their start is in neither.
	var followed, still float64
	for range controlledRounds {
		for control, sum := range map[string]*float64{"manual": &still, "": &followed} {
			if err := p.each(ctx, names, "set", "memory.control="+control); err != nil {
				return err
			}
			if err := pause(ctx, settlesWithin); err != nil {
				return err
			}
			busy, err := p.busy(ctx)
			if err != nil {
				return err
			}
			*sum += busy / controlledRounds
		}
	}
	cost := max(0, followed-still) * 100 / controlled
	b.report.add(row{
		work: fmt.Sprintf("CPU of following %d machines' memory, %d of them Linux", controlled, controlledLinux),
		ours: fmt.Sprintf("%.2f %% of one (the daemon: %.2f %%, without %.2f %%)", cost, followed, still),
		goal: fmt.Sprintf("< %g %%", controllerGoal), met: cost < controllerGoal,
	})
	return p.each(ctx, names, "stop")
}

// startControlled starts the machines whose memory is followed.
func (b *bench) startControlled(ctx context.Context, p *panal) (names []string, err error) {
	for i := range controlledLinux {
		name := fmt.Sprintf("linux%d", i)
		_, agent, err := p.startAskable(ctx, b, name, api.CPU{Count: 1}, api.Memory{Minimum: 192 * api.MiB, Maximum: 256 * api.MiB})
		if err == nil {
			err = agent.Close()
		}
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	kernel, err := b.stillKernel()
	if err != nil {
		return nil, err
	}
	var still []string
	for i := range controlled - controlledLinux {
		name := fmt.Sprintf("still%d", i)
		task, err := p.client.Create(ctx, api.CreateRequest{Spec: api.Spec{
			Name: name, Architecture: api.X8664, MachineType: "q35", CPU: api.CPU{Count: 1}, Memory: api.Memory{Minimum: 64 * api.MiB, Maximum: 128 * api.MiB},
			Adapters: []api.Adapter{}, Display: api.Display{Type: "none", Video: "none"}, Kernel: &api.Kernel{Image: kernel},
		}})
		if err := p.finish(ctx, task, err); err != nil {
			return nil, err
		}
		still = append(still, name)
	}
	return append(names, still...), p.each(ctx, still, "start")
}

// each runs a command for each machine, a few at a time.
func (p *panal) each(ctx context.Context, names []string, command string, args ...string) error {
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, name := range names {
		group.Go(func() error { return runQuietly(p.command(append([]string{command, name}, args...)...)) })
	}
	return group.Wait()
}

// busy is how many percent of a CPU the daemon takes for a while.
func (p *panal) busy(ctx context.Context) (float64, error) {
	before, err := usage.Ran(p.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := pause(ctx, controlledFor); err != nil {
		return 0, err
	}
	after, err := usage.Ran(p.cmd.Process.Pid)
	return 100 * (after - before).Seconds() / time.Since(began).Seconds(), err
}

// shareWithin bounds how long it is waited for pages to be merged.
const shareWithin = time.Minute

// sharing measures what the kernel's looking for equal pages costs: the CPU time of its thread for each GiB that two
// machines with equal memory offer, until half of it is saved.
func (b *bench) sharing(ctx context.Context, p *panal) error {
	kernel, err := ksm.Open("")
	if err != nil || os.Geteuid() != 0 {
		b.report.add(row{work: "CPU of merging equal pages", ours: "not measured: it takes root, and a kernel with KSM"})
		return nil
	}
	const held = 384 * api.MiB
	for _, name := range []string{"twin1", "twin2"} {
		_, agent, err := p.startAskable(ctx, b, name, api.CPU{Count: 1}, api.Memory{Size: machineMemory, Sharing: api.SharingOn})
		if err != nil {
			return err
		}
		if _, err = agent.Ask(ctx, fmt.Sprintf("hold %d 7", held/api.MiB)); err != nil {
			return err
		}
		if err := agent.Close(); err != nil {
			return err
		}
	}
	before, began := ksmTime(), time.Now()
	first, err := kernel.Read()
	if err != nil {
		return err
	}
	saved := int64(0)
	for again := time.NewTicker(200 * time.Millisecond); time.Since(began) < shareWithin && saved < int64(held)*9/10; {
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		counted, err := kernel.Read()
		if err != nil {
			return err
		}
		saved = counted.Saved - first.Saved
	}
	took, spent := time.Since(began), ksmTime()-before
	offered := 2 * float64(machineMemory) / float64(api.GiB)
	b.report.add(row{work: "merging equal pages of two machines of 512 MiB, 384 MiB of each equal", ours: fmt.Sprintf(
		"%d MiB saved in %s, %s of CPU for each GiB offered", saved>>20, milliseconds(took), milliseconds(time.Duration(float64(spent)/offered)))})
	return nil
}

// ksmTime is the CPU time that the kernel's thread that merges pages has had; 0 where there is none.
func ksmTime() time.Duration {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(text)) != "ksmd" {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if times, err := process.ThreadTimes(pid, pid); err == nil {
			return times.Ran
		}
	}
	return 0
}
