package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// measureCLI measures what the command line itself costs, creating a machine on a disk image, and starting it.
func measureCLI(ctx context.Context, b *bench) (err error) {
	mark := len(b.cleanup)
	defer func() { err = errors.Join(err, b.undo(mark)) }()
	p, err := newPanal(ctx, b)
	if err != nil {
		return err
	}
	l, err := newLibvirt(ctx, b)
	if err != nil {
		return err
	}
	times, err := inTurn(4*b.rounds,
		timed(func() error { return runQuietly(p.command("version")) }),
		timed(func() error { return runQuietly(l.command("virsh", "--version")) }),
	)
	if err != nil {
		return err
	}
	b.report.compare("version", "virsh --version", times[0], times[1])
	if err := compareCreate(b, p, l); err != nil {
		return err
	}
	return compareServed(ctx, b, p)
}

// compareCreate compares `create --disk` with what it takes with libvirt: qemu-img for the differencing image, and define.
func compareCreate(b *bench, p *panal, l *libvirt) error {
	image := b.path("image.qcow2")
	if err := runQuietly(exec.Command("qemu-img", "create", "-q", "-f", "qcow2", image, "8G")); err != nil {
		return err
	}
	made := 0
	name := func() string { made++; return fmt.Sprintf("created-%d", made) }
	times, err := inTurn(2*b.rounds,
		timed(func() error { return runQuietly(p.command("create", name(), "--disk", image)) }),
		func() (time.Duration, error) {
			overlay := filepath.Join(l.dir, "data", name()+".qcow2")
			d := domain{Name: name(), MachineType: "q35", Memory: machineMemory, Disk: overlay}
			path := filepath.Join(l.dir, d.Name+".xml")
			if err := d.write(path); err != nil {
				return 0, err
			}
			return timed(func() error {
				create := l.command("qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", overlay)
				if err := runQuietly(create); err != nil {
					return err
				}
				return runQuietly(l.virsh("define", path))
			})()
		},
	)
	if err != nil {
		return err
	}
	b.report.compare("create --disk FILE", "qemu-img create, virsh define", times[0], times[1])
	return nil
}
