package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/panalvm/panal/test/guests"
)

// measureSave measures how long saving a machine of 512 MiB takes whose guest is up, and going on from there: the
// commands as a whole.
func measureSave(ctx context.Context, b *bench) (err error) {
	mark := len(b.cleanup)
	defer func() { err = errors.Join(err, b.undo(mark)) }()
	p, err := newPanal(ctx, b)
	if err != nil {
		return err
	}
	machine, err := p.tinyMachine(ctx, b)
	if err != nil {
		return err
	}
	l, err := newLibvirt(ctx, b)
	if err != nil {
		return err
	}
	domain, err := l.defineTiny(b, machine.Spec.MachineType)
	if err != nil {
		return err
	}
	file := filepath.Join(l.dir, "data", "saved")
	var onAgain, onAgainVirsh samples
	rounds := max(b.rounds/3, 3)
	times, err := inTurn(rounds,
		func() (time.Duration, error) {
			boot := func() error { return runQuietly(p.command("start", machineName)) }
			if err := untilUp(ctx, serialLog(machine), boot); err != nil {
				return 0, err
			}
			took, err := timed(func() error { return runQuietly(p.command("save", machineName)) })()
			if err != nil {
				return 0, err
			}
			again, err := timed(func() error { return runQuietly(p.command("start", machineName)) })()
			onAgain = append(onAgain, again)
			return took, errors.Join(err, p.powerOff(ctx, machineName))
		},
		func() (time.Duration, error) {
			boot := func() error { return runQuietly(l.virsh("start", machineName)) }
			if err := untilUp(ctx, domain.Log, boot); err != nil {
				return 0, err
			}
			took, err := timed(func() error { return runQuietly(l.virsh("save", machineName, file)) })()
			if err != nil {
				return 0, err
			}
			again, err := timed(func() error { return runQuietly(l.virsh("restore", file)) })()
			onAgainVirsh = append(onAgainVirsh, again)
			return took, errors.Join(err, runQuietly(l.virsh("destroy", machineName)), os.Remove(file))
		},
	)
	if err != nil {
		return err
	}
	b.report.compare("save a machine of 512 MiB", "virsh save", times[0], times[1])
	b.report.compare("start it again from what was saved", "virsh restore", onAgain[1:], onAgainVirsh[1:])
	return nil
}

// untilUp starts a machine and waits until its guest says that it is up.
func untilUp(ctx context.Context, log string, start func() error) error {
	serial, err := watch(log)
	if err != nil {
		return err
	}
	defer serial.close()
	if err := start(); err != nil {
		return err
	}
	_, err = serial.until(ctx, func() (bool, error) {
		printed, err := os.ReadFile(log)
		return bytes.Contains(printed, []byte(guests.UpLine)), err
	})
	return err
}
