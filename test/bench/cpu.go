package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/test/guests"
)

// capWithin is how long a cap is measured, and capGoal how many points what is got may be off what was asked.
const (
	capWithin = 10 * time.Second
	capGoal   = 3.0
)

// measureCPU measures how long it takes from `panal set NAME cpus=N` to the guest using the CPU, and how much of a CPU a busy guest gets under
// caps of 10 to 90 %. There is no peer to compare with: libvirt has caps of the same kernel's, and they are set by hand there.
func measureCPU(ctx context.Context, b *bench) (err error) {
	mark := len(b.cleanup)
	defer func() { err = errors.Join(err, b.undo(mark)) }()
	p, err := newPanal(ctx, b)
	if err != nil {
		return err
	}
	const most = 8
	machine, agent, err := p.startAskable(ctx, b, machineName, api.CPU{Count: 1, Maximum: most}, api.Memory{Size: machineMemory})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.Close()) }()
	if err := b.plugCPUs(ctx, p, agent, most); err != nil {
		return err
	}
	return b.caps(ctx, p, agent, machine.Status.PID)
}

// startAskable makes and starts a tiny machine with a line to its agent.
func (p *panal) startAskable(ctx context.Context, b *bench, name string, cpu api.CPU, memory api.Memory) (machine api.Machine, agent *guests.Agent, err error) {
	task, err := p.client.Create(ctx, api.CreateRequest{Spec: api.Spec{
		Name: name, Architecture: api.X8664, MachineType: "q35", CPU: cpu, Memory: memory,
		Adapters: []api.Adapter{}, Display: api.Display{Type: "none", Video: "none"},
		Serials: []api.Serial{{Name: "serial0"}, {Name: "serial1"}},
		Kernel:  &api.Kernel{Image: b.kernel, Initrd: b.initrd, CommandLine: commandLine},
	}})
	if err := p.finish(ctx, task, err); err != nil {
		return machine, nil, err
	}
	if machine, err = p.client.Get(ctx, name); err != nil {
		return machine, nil, err
	}
	if err := untilUp(ctx, serialLog(machine), func() error { return runQuietly(p.command("start", name)) }); err != nil {
		return machine, nil, err
	}
	if machine, err = p.client.Get(ctx, name); err != nil {
		return machine, nil, err
	}
	console, err := p.client.Console(ctx, name, client.ConsoleOptions{Serial: "serial1", Scrollback: -1})
	if err != nil {
		return machine, nil, err
	}
	return machine, guests.NewAgent(consoleLine{Console: console}), nil
}

// plugCPUs plugs CPUs in one after another, and times each until the guest uses it.
func (b *bench) plugCPUs(ctx context.Context, p *panal, agent *guests.Agent, most int) error {
	var plugged samples
	for n := 2; n <= most; n++ {
		took, err := timed(func() error {
			if err := runQuietly(p.command("set", machineName, fmt.Sprintf("cpus=%d", n))); err != nil {
				return err
			}
			_, err := agent.Ask(ctx, fmt.Sprintf(`run until [ "$(nproc)" = %d ]; do :; done`, n))
			return err
		})()
		if err != nil {
			return err
		}
		plugged = append(plugged, took)
	}
	b.report.add(row{work: "a CPU, from the command to the guest using it", ours: milliseconds(plugged.median())})
	return runQuietly(p.command("set", machineName, "cap=10"))
}

// caps has the guest keep a CPU busy, and compares what it gets with what it was allowed.
func (b *bench) caps(ctx context.Context, p *panal, agent *guests.Agent, pid int) error {
	if _, err := agent.Ask(ctx, "run (while :; do :; done) </dev/null >/dev/null 2>&1 & echo busy"); err != nil {
		return err
	}
	var got []string
	worst := 0.0
	for asked := 10; asked <= 90; asked += 20 {
		if err := runQuietly(p.command("set", machineName, fmt.Sprintf("cap=%d", asked))); err != nil {
			return err
		}
		percent, err := busyPercent(ctx, pid)
		if err != nil {
			return err
		}
		got = append(got, fmt.Sprintf("%d: %.1f", asked, percent))
		worst = max(worst, math.Abs(percent-float64(asked)))
	}
	b.report.add(row{
		work: fmt.Sprintf("percent of a CPU, asked and got over %v", capWithin), ours: strings.Join(got, ", "),
		goal: fmt.Sprintf("within %g points (%.1f)", capGoal, worst), met: worst <= capGoal,
	})
	return nil
}

// busyPercent is how much of a CPU the busiest thread of a process has had for a while.
func busyPercent(ctx context.Context, pid int) (float64, error) {
	before, began := threadTimes(pid), time.Now()
	if err := pause(ctx, capWithin); err != nil {
		return 0, err
	}
	after, wall := threadTimes(pid), time.Since(began)
	if len(after) == 0 {
		return 0, process.ErrGone
	}
	most := time.Duration(0)
	for tid, ran := range after {
		most = max(most, ran-before[tid])
	}
	return 100 * float64(most) / float64(wall), nil
}

func threadTimes(pid int) map[int]time.Duration {
	times := map[int]time.Duration{}
	threads, _ := process.Threads(pid)
	for _, tid := range threads {
		if t, err := process.ThreadTimes(pid, tid); err == nil {
			times[tid] = t.Ran
		}
	}
	return times
}

// consoleLine is a serial line as the guest's agent takes it.
type consoleLine struct {
	*client.Console
	net.Conn
}

// Read, Write and Close are the console's; a deadline ends it.
func (l consoleLine) Read(p []byte) (int, error)  { return l.Console.Read(p) }
func (l consoleLine) Write(p []byte) (int, error) { return l.Console.Write(p) }

// Close closes the console.
func (l consoleLine) Close() error { return l.Console.Close() }

// SetDeadline ends the console: nobody waits for an answer any more.
func (l consoleLine) SetDeadline(time.Time) error { return l.Console.Close() }
