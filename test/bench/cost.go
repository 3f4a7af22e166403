package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cost is what a process took.
type cost struct {
	wall time.Duration
	cpu  time.Duration // user's and system's time on all processors: what a busy neighbour changes least
}

// costs are those of one contestant.
type costs struct{ wall, cpu samples }

func (c costs) String() string {
	return fmt.Sprintf("%s, CPU %s", milliseconds(c.wall.median()), milliseconds(c.cpu.median()))
}

// over is how many times as long as others' these samples took.
func (s samples) over(others samples) float64 {
	if others.median() == 0 {
		return 0
	}
	return float64(s.median()) / float64(others.median())
}

// speed tells how many times as fast as the second contestant the first is.
func speed(spent []costs) string {
	return faster(spent[1].wall.over(spent[0].wall), spent[1].cpu.over(spent[0].cpu))
}

func faster(wall, cpu float64) string { return fmt.Sprintf("%.2f times as fast, CPU %.2f", wall, cpu) }

// race is inTurn for those who tell more than a time.
func race(rounds int, contestants ...func() (cost, error)) ([]costs, error) {
	spent := make([]costs, len(contestants))
	var timed []contestant
	for i, run := range contestants {
		timed = append(timed, func() (time.Duration, error) {
			c, err := run()
			spent[i].cpu = append(spent[i].cpu, c.cpu)
			return c.wall, err
		})
	}
	times, err := inTurn(rounds, timed...)
	if err != nil {
		return nil, err
	}
	for i := range spent {
		spent[i].wall = times[i]
		spent[i].cpu = spent[i].cpu[1:] // the first round warms up
	}
	return spent, nil
}

// alone makes a contestant of a command that makes a file: with nothing left
// to be written from before.
func (c *conversions) alone(made string, args []string) func() (cost, error) {
	return func() (cost, error) {
		_ = os.Remove(made)
		unix.Sync()
		command := exec.CommandContext(c.ctx, args[0], args[1:]...)
		began := time.Now()
		out, err := command.CombinedOutput()
		took := time.Since(began)
		if err != nil {
			return cost{}, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
		if args[0] == c.program {
			c.memory = max(c.memory, peakMemory(command.ProcessState))
		}
		return cost{took, processorTime(command.ProcessState)}, nil
	}
}

// forgetPeak gives back the memory that this process no longer needs and begins its peak anew. A process that it starts
// takes the peak over, for until its exec it is the same memory (see setmax_mm_hiwater_rss in the kernel's fs/exec.c).
func forgetPeak() error {
	debug.FreeOSMemory()
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

func processorTime(p *os.ProcessState) time.Duration { return p.UserTime() + p.SystemTime() }

// peakMemory is the most that a process had resident, in bytes.
func peakMemory(p *os.ProcessState) int64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss << 10
}
