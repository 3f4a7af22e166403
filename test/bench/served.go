package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// servedGoal is how much longer a start may take when an image is served to QEMU.
const servedGoal = 50 * time.Millisecond

// compareServed compares starting a machine on an image that QEMU opens itself with one on an image that is served to it.
func compareServed(ctx context.Context, b *bench, p *panal) error {
	var work []contestant
	for _, format := range []string{"vdi", "qcow2"} {
		image, name := b.path("served."+format), "on-"+format
		for _, args := range [][]string{
			{"disk", "create", image, "--size", "8G"},
			{"create", name, "--disk", image, "--memory", "64M", "--no-network"},
		} {
			if err := runQuietly(p.command(args...)); err != nil {
				return fmt.Errorf("panal %s %s: %w", strings.Join(args, " "), filepath.Base(image), err)
			}
		}
		work = append(work, func() (time.Duration, error) {
			took, err := timed(func() error { return runQuietly(p.command("start", name)) })()
			if err != nil {
				return 0, err
			}
			return took, p.powerOff(ctx, name)
		})
	}
	times, err := inTurn(2*b.rounds, work...)
	if err != nil {
		return err
	}
	more := times[0].median() - times[1].median()
	b.report.add(row{
		work: "start on VDI, which is served", ours: milliseconds(times[0].median()), peer: "on QCOW2 " + milliseconds(times[1].median()),
		compared: ratio(times[0], times[1]), goal: "< 50 ms more", met: more < servedGoal,
	})
	return nil
}
