package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"time"

	"github.com/panalvm/panal/client"
)

// The goals with many machines.
const (
	answerGoal      = 20 * time.Millisecond
	daemonStartGoal = time.Second
	residentGoal    = 80 * 1000 * 1000
)

// compared is with how many machines libvirt is measured too.
const compared = 1000

// measureMany measures a daemon that knows of nothing, of 1,000 and of 10,000 machines.
func measureMany(ctx context.Context, b *bench) error {
	dir := b.path("many")
	known := 0
	for _, count := range []int{0, 1000, 10_000} {
		if count > b.most {
			break
		}
		if err := measureCount(ctx, b, dir, known, count); err != nil {
			return fmt.Errorf("with %d machines: %w", count, err)
		}
		known = count
	}
	return nil
}

// measureCount measures with one number of machines, of which some are known already.
func measureCount(ctx context.Context, b *bench, dir string, known, count int) (err error) {
	mark := len(b.cleanup)
	defer func() { err = errors.Join(err, b.undo(mark)) }()
	if err := defineMachines(ctx, b, dir, known, count); err != nil {
		return err
	}
	var l *libvirt
	if count == compared {
		if l, err = filledLibvirt(ctx, b, count); err != nil {
			return err
		}
	}
	if l, err = measureDaemonStart(ctx, b, dir, l, count); err != nil {
		return err
	}
	p, err := startPanal(ctx, b, dir)
	if err != nil {
		return err
	}
	b.onClose(p.close)
	if err := measureResident(ctx, b, p, l, count); err != nil || count == 0 {
		return err
	}
	if err := measureAnswers(ctx, b, p, count); err != nil {
		return err
	}
	return measureCommands(b, p, l, count)
}

// filledLibvirt is a libvirt that knows of as many domains.
func filledLibvirt(ctx context.Context, b *bench, count int) (*libvirt, error) {
	l, err := startLibvirt(ctx, b.path("libvirt-many"))
	if err != nil {
		return nil, err
	}
	domains := make([]domain, count)
	for i := range domains {
		domains[i] = domain{Name: nameOf(i), MachineType: "q35", Memory: machineMemory}
	}
	began := time.Now()
	err = l.define(domains...)
	b.report.add(row{work: fmt.Sprintf("virsh define of %d domains, one after another", count), peer: rate(count, time.Since(began))})
	return l, errors.Join(err, l.stop())
}

// measureDaemonStart measures the time from a daemon's start to its first answer, which is one to the command line. What it
// returns is a libvirt that runs, if there was one.
func measureDaemonStart(ctx context.Context, b *bench, dir string, l *libvirt, count int) (*libvirt, error) {
	contestants := []contestant{func() (time.Duration, error) {
		began := time.Now()
		p, err := startPanal(ctx, b, dir)
		if err != nil {
			return 0, err
		}
		_, err = p.client.Info(ctx)
		took := time.Since(began)
		p.client.Close()
		return took, errors.Join(err, p.stop())
	}}
	work := fmt.Sprintf("daemon's start to its first answer, %d machines", count)
	if l == nil {
		times, err := inTurn(b.rounds/2, contestants...)
		if err == nil {
			b.report.add(row{work: work, ours: milliseconds(times[0].median()), goal: "< 1 s", met: times[0].median() < daemonStartGoal})
		}
		return nil, err
	}
	contestants = append(contestants, func() (time.Duration, error) {
		began := time.Now()
		again, err := startLibvirt(ctx, l.dir)
		if err != nil {
			return 0, err
		}
		err = runQuietly(again.virsh("version"))
		return time.Since(began), errors.Join(err, again.stop())
	})
	times, err := inTurn(b.rounds/2, contestants...)
	if err != nil {
		return nil, err
	}
	b.report.add(row{
		work: work, ours: milliseconds(times[0].median()), peer: "libvirtd " + milliseconds(times[1].median()), compared: ratio(times[0], times[1]),
		goal: "< 1 s", met: times[0].median() < daemonStartGoal,
	})
	if l, err = startLibvirt(ctx, l.dir); err == nil {
		b.onClose(l.close)
	}
	return l, err
}

// settle is how long a daemon is left alone before its memory is looked at.
const settle = 5 * time.Second

// measureResident measures the memory of a daemon that has been idle for a moment.
func measureResident(ctx context.Context, b *bench, p *panal, l *libvirt, count int) error {
	if _, err := p.client.Info(ctx); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	resident, err := p.resident()
	if err != nil {
		return err
	}
	line := row{work: fmt.Sprintf("resident memory, idle, %d machines", count), ours: megabytes(resident)}
	if count == 0 {
		line.goal, line.met = "< "+megabytes(residentGoal), resident < residentGoal
	}
	if l != nil {
		theirs, err := l.resident()
		if err != nil {
			return err
		}
		line.peer, line.compared = "libvirtd "+megabytes(theirs), fmt.Sprintf("× %.2f", float64(resident)/float64(theirs))
	}
	b.report.add(line)
	return nil
}

// measureAnswers measures requests through the client, decoding included.
func measureAnswers(ctx context.Context, b *bench, p *panal, count int) error {
	list := timed(func() error {
		got, err := p.client.ListMachines(ctx, client.ListFilter{})
		if err == nil && len(got.Machines) != count {
			err = fmt.Errorf("the list has %d machines instead of %d", len(got.Machines), count)
		}
		return err
	})
	show := timed(func() error {
		_, err := p.client.Get(ctx, nameOf(rand.IntN(count)))
		return err
	})
	answer := timed(func() error { return p.readList(ctx) })
	const requests = 200
	times, err := inTurn(requests, list, show, answer)
	if err != nil {
		return err
	}
	b.report.slowest(fmt.Sprintf("list of %d machines, the daemon's answer", count), times[2], answerGoal)
	b.report.slowest(fmt.Sprintf("list of %d machines, decoded by the client", count), times[0], answerGoal)
	b.report.slowest(fmt.Sprintf("show one of %d machines, by the client", count), times[1], answerGoal)
	resident, err := p.resident()
	b.report.add(row{work: fmt.Sprintf("resident memory after %d lists of them", requests), ours: megabytes(resident)})
	return err
}

// measureCommands measures the command line as a whole, against virsh where there is one.
func measureCommands(b *bench, p *panal, l *libvirt, count int) error {
	pick := func() string { return nameOf(rand.IntN(count)) }
	for _, command := range []struct {
		work  string
		ours  func() *exec.Cmd
		peer  string
		virsh func() *exec.Cmd
	}{
		{
			"`panal list -q`", func() *exec.Cmd { return p.command("list", "-q") },
			"virsh list --all --name", func() *exec.Cmd { return l.virsh("list", "--all", "--name") },
		},
		{
			"`panal list`", func() *exec.Cmd { return p.command("list") },
			"virsh list --all", func() *exec.Cmd { return l.virsh("list", "--all") },
		},
		{
			"`panal show`", func() *exec.Cmd { return p.command("show", pick()) },
			"virsh dominfo", func() *exec.Cmd { return l.virsh("dominfo", pick()) },
		},
	} {
		work := fmt.Sprintf("%s of %d machines", command.work, count)
		ours := timed(func() error { return runQuietly(command.ours()) })
		if l == nil {
			times, err := inTurn(100, ours)
			if err != nil {
				return err
			}
			b.report.slowest(work, times[0], answerGoal)
			continue
		}
		times, err := inTurn(100, ours, timed(func() error { return runQuietly(command.virsh()) }))
		if err != nil {
			return err
		}
		b.report.slowest(work, times[0], answerGoal)
		b.report.compare(work, command.peer, times[0], times[1])
	}
	return nil
}

func nameOf(i int) string { return fmt.Sprintf("machine-%05d", i) }

func rate(count int, took time.Duration) string {
	return fmt.Sprintf("%.0f a second", float64(count)/took.Seconds())
}
