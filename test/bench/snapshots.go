package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/panalvm/panal/api"
)

// cloneGoal is within what a linked clone is to be made, whatever the disk's size.
const cloneGoal = 200 * time.Millisecond

// measureSnapshots measures snapshots with memory of running guests of two sizes against virsh, going back to one, linked clones,
// the deletion of much, and reading through many images.
func measureSnapshots(ctx context.Context, b *bench) error {
	for _, measure := range []func(context.Context, *bench) error{measureMemorySnapshots, measureClones, measureDeletion, measureDepth} {
		mark := len(b.cleanup)
		if err := errors.Join(measure(ctx, b), b.undo(mark)); err != nil {
			return err
		}
	}
	return nil
}

// guestOf is a guest whose snapshots with memory are taken.
type guestOf struct {
	name   string
	memory int64
	filled int // MiB
	rounds int
}

func measureMemorySnapshots(ctx context.Context, b *bench) error {
	for _, guest := range []guestOf{{"512 MiB", 512 << 20, 256, 3}, {"4 GiB", 4 << 30, 1024, 2}} {
		mark := len(b.cleanup)
		if err := errors.Join(b.memorySnapshots(ctx, guest), b.undo(mark)); err != nil {
			return fmt.Errorf("a guest of %s: %w", guest.name, err)
		}
	}
	return nil
}

// snapshotTimes are what snapshots of one contestant took.
type snapshotTimes struct{ stood, took, said, back samples }

// memorySnapshots measures one guest, under Panal and then under libvirt: two that are busy would be in each other's way.
func (b *bench) memorySnapshots(ctx context.Context, guest guestOf) error {
	initrd, err := b.beatingInitrd(guest.filled)
	if err != nil {
		return err
	}
	ours, machineType, err := b.panalSnapshots(ctx, guest, initrd)
	if err != nil {
		return err
	}
	theirs, err := b.virshSnapshots(ctx, guest, initrd, machineType)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("snapshot with memory, %s (%d MiB used): ", guest.name, guest.filled)
	b.report.compare(what+"the guest's stop, seen from outside", "virsh snapshot-create", ours.stood, theirs.stood)
	b.report.add(row{
		work: what + "the guest's stop, by QEMU's events", ours: milliseconds(ours.said.median()),
		goal: "< 100 ms", met: ours.said.median() < 100*time.Millisecond,
	})
	b.report.compare(what+"in all", "virsh snapshot-create", ours.took, theirs.took)
	b.report.compare("restore it, until the guest goes on", "virsh snapshot-revert", ours.back, theirs.back)
	return nil
}

func (b *bench) panalSnapshots(ctx context.Context, guest guestOf, initrd string) (times snapshotTimes, machineType string, err error) {
	p, err := newPanal(ctx, b)
	if err != nil {
		return times, "", err
	}
	disk, err := b.smallDisk(ctx)
	if err != nil {
		return times, "", err
	}
	task, err := p.client.Create(ctx, api.CreateRequest{Disks: []api.DiskSource{{Path: disk}}, Spec: api.Spec{
		Name: machineName, Architecture: api.X8664, MachineType: "q35",
		CPU: api.CPU{Count: 1}, Memory: api.Memory{Size: api.Size(guest.memory)},
		Adapters: []api.Adapter{}, Display: api.Display{Type: "none", Video: "none"},
		Kernel: &api.Kernel{Image: b.kernel, Initrd: initrd, CommandLine: commandLine + " rdinit=/beat"},
	}})
	if err := p.finish(ctx, task, err); err != nil {
		return times, "", err
	}
	machine, err := p.client.Get(ctx, machineName)
	if err != nil {
		return times, "", err
	}
	log := serialLog(machine)
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return times, "", err
	}
	if err := untilBeating(ctx, log, func() error { return runQuietly(p.command("start", machineName)) }); err != nil {
		return times, "", err
	}
	if machine, err = p.client.Get(ctx, machineName); err != nil {
		return times, "", err
	}
	for round := range guest.rounds {
		name := fmt.Sprintf("s%d", round)
		var ended api.Task
		stood, took, err := standstill(ctx, log, func() error {
			task, err := p.client.TakeSnapshot(ctx, machineName, api.TakeSnapshotRequest{Name: name, Memory: true})
			if err == nil {
				ended, err = p.client.WaitTask(ctx, task, nil)
			}
			if err == nil && ended.Error != nil {
				err = ended.Error
			}
			return err
		})
		if err != nil {
			return times, "", err
		}
		back, err := timed(func() error { return runQuietly(p.command("snapshot", "restore", machineName, name, "--force")) })()
		if err != nil {
			return times, "", err
		}
		times.add(stood, took, back)
		times.said = append(times.said, time.Duration(ended.Result.Standstill*float64(time.Millisecond)))
	}
	return times, machine.Status.MachineType, p.powerOff(ctx, machineName)
}

func (t *snapshotTimes) add(stood, took, back time.Duration) {
	t.stood, t.took, t.back = append(t.stood, stood), append(t.took, took), append(t.back, back)
}

func (b *bench) virshSnapshots(ctx context.Context, guest guestOf, initrd, machineType string) (times snapshotTimes, err error) {
	l, err := newLibvirt(ctx, b)
	if err != nil {
		return times, err
	}
	disk, err := b.smallDisk(ctx)
	if err == nil {
		err = l.give(disk)
	}
	if err != nil {
		return times, err
	}
	d := domain{
		Name: machineName, MachineType: machineType, Kernel: b.kernel, Initrd: initrd, CommandLine: commandLine + " rdinit=/beat",
		Memory: guest.memory, Log: filepath.Join(l.dir, "log", "serial.log"), Socket: filepath.Join(l.dir, "serial"), Disk: disk,
	}
	serial, err := os.OpenFile(d.Log, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return times, err
	}
	if err := errors.Join(l.give(d.Log), serial.Close(), l.define(d)); err != nil {
		return times, err
	}
	if err := untilBeating(ctx, d.Log, func() error { return runQuietly(l.virsh("start", machineName)) }); err != nil {
		return times, err
	}
	for round := range guest.rounds {
		name := fmt.Sprintf("s%d", round)
		stood, took, err := standstill(ctx, d.Log, func() error { return runQuietly(l.virsh("snapshot-create-as", machineName, name)) })
		if err != nil {
			return times, err
		}
		back, err := timed(func() error { return runQuietly(l.virsh("snapshot-revert", machineName, name)) })()
		if err != nil {
			return times, err
		}
		times.add(stood, took, back)
	}
	return times, runQuietly(l.virsh("destroy", machineName))
}

// smallDisk makes an empty disk: without one libvirt takes no snapshots.
func (b *bench) smallDisk(ctx context.Context) (string, error) { return b.emptyDisk(ctx, "1G") }

// emptyDisk makes a QCOW2 image of a size that holds nothing.
func (b *bench) emptyDisk(ctx context.Context, size string) (string, error) {
	path := b.fresh("disk") + ".qcow2"
	return path, tool(ctx, "qemu-img", "create", "-q", "-f", "qcow2", path, size)
}

// measureClones measures linked clones over disks of two sizes, and a hundred of them in one command.
func measureClones(ctx context.Context, b *bench) error {
	p, err := newPanal(ctx, b)
	if err != nil {
		return err
	}
	for _, size := range []string{"10G", "16T"} {
		disk, err := b.emptyDisk(ctx, size)
		if err != nil {
			return err
		}
		golden := "golden-" + size
		for _, args := range [][]string{{"create", golden, "--disk", disk, "--no-network"}, {"set", golden, "template=on"}} {
			if err := runQuietly(p.command(args...)); err != nil {
				return err
			}
		}
		made := 0
		times, err := inTurn(max(b.rounds, 3), timed(func() error {
			made++
			return runQuietly(p.command("clone", golden, fmt.Sprintf("clone-%s-%d", size, made), "--linked"))
		}))
		if err != nil {
			return err
		}
		median := times[0].median()
		b.report.add(row{work: "clone --linked, a disk of " + size, ours: milliseconds(median), goal: "< " + milliseconds(cloneGoal), met: median < cloneGoal})
	}
	took, err := timed(func() error {
		return runQuietly(p.command("clone", "golden-10G", "class", "--linked", "--count", "100"))
	})()
	b.report.add(row{work: "clone --linked --count 100", ours: milliseconds(took)})
	return err
}
