package main

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// startGoal is how much later than by hand the guest may print.
const startGoal = 30 * time.Millisecond

// measureStart measures the time from start being called to the first byte that QEMU writes for the guest's serial line:
// called through the client, by the command line, by hand, and by virsh.
func measureStart(ctx context.Context, b *bench) (err error) {
	mark := len(b.cleanup)
	defer func() { err = errors.Join(err, b.undo(mark)) }()
	s, err := prepareStart(ctx, b)
	if err != nil {
		return err
	}
	times, err := inTurn(b.rounds,
		func() (time.Duration, error) { return s.byClient(ctx) },
		func() (time.Duration, error) { return s.byCommand(ctx) },
		func() (time.Duration, error) { return s.hand.start(ctx) },
		func() (time.Duration, error) { return s.byVirsh(ctx) },
	)
	if err != nil {
		return err
	}
	b.explain("by client", times[0])
	b.explain("by panal start", times[1])
	b.explain("by hand", times[2])
	b.explain("by virsh start", times[3])
	s.report(&b.report, times[0], times[1], times[2], times[3])
	return nil
}

// starts is the machine, and who starts it.
type starts struct {
	panal    *panal
	machine  api.Machine
	hand     *byHand
	libvirt  *libvirt
	domain   domain
	seen     samples // when the client read the first byte from its console
	answered samples // when the client heard that the machine runs
	returned samples // when `panal start` was back
	virsh    samples // when `virsh start` was back
}

func prepareStart(ctx context.Context, b *bench) (*starts, error) {
	p, err := newPanal(ctx, b)
	if err != nil {
		return nil, err
	}
	s := &starts{panal: p}
	if s.machine, err = p.tinyMachine(ctx, b); err != nil {
		return nil, err
	}
	task, err := p.client.Start(ctx, machineName)
	if err := p.finish(ctx, task, err); err != nil {
		return nil, err
	}
	running, err := p.client.Get(ctx, machineName)
	if err != nil {
		return nil, err
	}
	if s.hand, err = readByHand(running, b.path("hand")); err != nil {
		return nil, err
	}
	if err := p.powerOff(ctx, machineName); err != nil {
		return nil, err
	}
	if s.libvirt, err = newLibvirt(ctx, b); err != nil {
		return nil, err
	}
	s.domain, err = s.libvirt.defineTiny(b, running.Status.MachineType)
	return s, err
}

// byClient starts through the client, which then waits for the task and opens the console, as a program would.
func (s *starts) byClient(ctx context.Context) (time.Duration, error) {
	serial, err := watch(serialLog(s.machine))
	if err != nil {
		return 0, err
	}
	defer serial.close()
	began := time.Now()
	attached := make(chan error, 1)
	go func() { attached <- s.attach(ctx, began) }()
	printed, err := serial.first(ctx)
	err = errors.Join(err, <-attached, s.panal.powerOff(ctx, machineName))
	return printed.Sub(began), err
}

func (s *starts) attach(ctx context.Context, began time.Time) error {
	task, err := s.panal.client.Start(ctx, machineName)
	if err := s.panal.finish(ctx, task, err); err != nil {
		return err
	}
	s.answered = append(s.answered, time.Since(began))
	console, err := s.panal.client.Console(ctx, machineName, client.ConsoleOptions{})
	if err != nil {
		return err
	}
	defer console.Close()
	_, err = console.Read(make([]byte, 1))
	s.seen = append(s.seen, time.Since(began))
	return err
}

// byCommand starts by the command line.
func (s *starts) byCommand(ctx context.Context) (time.Duration, error) {
	took, whole, err := untilPrinted(ctx, serialLog(s.machine), s.panal.command("start", machineName))
	s.returned = append(s.returned, whole)
	return took, errors.Join(err, s.panal.powerOff(ctx, machineName))
}

// byVirsh starts libvirt's domain.
func (s *starts) byVirsh(ctx context.Context) (time.Duration, error) {
	took, whole, err := untilPrinted(ctx, s.domain.Log, s.libvirt.virsh("start", machineName))
	s.virsh = append(s.virsh, whole)
	return took, errors.Join(err, runQuietly(s.libvirt.virsh("destroy", machineName)))
}

// untilPrinted takes the times from a command's start to the guest's first serial output, and to the command's end.
func untilPrinted(ctx context.Context, log string, cmd *exec.Cmd) (first, whole time.Duration, err error) {
	serial, err := watch(log)
	if err != nil {
		return 0, 0, err
	}
	defer serial.close()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		err := runQuietly(cmd)
		whole = time.Since(began)
		if err != nil {
			cancel() // nothing will be printed
		}
		ended <- err
	}()
	printed, err := serial.first(waiting)
	failure := <-ended
	return printed.Sub(began), whole, errors.Join(failure, err)
}

func (s *starts) report(r *report, byClient, byCommand, byHand, byVirsh samples) {
	for _, ours := range []struct {
		work  string
		times samples
	}{{"start to first serial output, by the client", byClient}, {"start to first serial output, by `panal start`", byCommand}} {
		over := medianDifference(ours.times, byHand)
		r.add(row{
			work: ours.work, ours: milliseconds(ours.times.median()), peer: "QEMU by hand " + milliseconds(byHand.median()),
			compared: milliseconds(over) + " over", goal: "≤ " + milliseconds(startGoal) + " over", met: over <= startGoal,
		})
	}
	r.add(row{
		work: "start to first serial output, by `panal start`", ours: milliseconds(byCommand.median()),
		peer: "virsh start " + milliseconds(byVirsh.median()), compared: ratio(byCommand, byVirsh),
		goal: "faster", met: byCommand.median() < byVirsh.median(),
	})
	r.add(row{work: "start to the first byte read from the client's console", ours: milliseconds(s.seen[1:].median())})
	r.add(row{work: "start to the client's word that the machine runs", ours: milliseconds(s.answered[1:].median())})
	r.compare("start, the command as a whole", "virsh start", s.returned[1:], s.virsh[1:])
}
