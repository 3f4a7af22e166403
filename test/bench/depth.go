package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/panalvm/panal/api"
)

// tool runs a program to its end.
func tool(ctx context.Context, name string, args ...string) error {
	return runQuietly(exec.CommandContext(ctx, name, args...))
}

// layered is a machine that is off, whose one disk gets images on top.
type layered struct {
	*panal
	ctx context.Context
}

// newLayered makes the machine with a disk of a size that is its own.
func newLayered(ctx context.Context, b *bench, size string) (*layered, error) {
	p, err := newPanal(ctx, b)
	if err != nil {
		return nil, err
	}
	disk, err := b.emptyDisk(ctx, size)
	if err != nil {
		return nil, err
	}
	return &layered{p, ctx}, runQuietly(p.command("create", machineName, "--disk", disk+",mode=own", "--no-network"))
}

// top is the image that the machine writes.
func (l *layered) top() (string, error) {
	machine, err := l.client.Get(l.ctx, machineName)
	if err != nil {
		return "", err
	}
	return filepath.Join(machine.Folder, machine.Spec.Drives[0].File), nil
}

// write writes to the disk in qemu-io's words.
func (l *layered) write(commands ...string) error {
	top, err := l.top()
	if err != nil {
		return err
	}
	args := []string{"-f", "qcow2"}
	for _, command := range commands {
		args = append(args, "-c", command)
	}
	return tool(l.ctx, "qemu-io", append(args, top)...)
}

func (l *layered) take(name string) error {
	return runQuietly(l.command("snapshot", "take", machineName, "--name", name))
}

// measureDeletion measures the deletion of a snapshot that holds 2 GiB, over which as much was written since, against
// qemu-img commit of the same.
func measureDeletion(ctx context.Context, b *bench) error {
	l, err := newLayered(ctx, b, "8G")
	if err != nil {
		return err
	}
	half := func(value, at int) string { return fmt.Sprintf("write -q -P %d %dM 1G", value, at) }
	if err := errors.Join(l.write(half(1, 0), half(2, 2048)), l.take("first")); err != nil {
		return err
	}
	if err := errors.Join(l.write(half(3, 512), half(4, 4096)), l.take("second")); err != nil {
		return err
	}
	machine, err := l.client.Get(ctx, machineName)
	if err != nil {
		return err
	}
	peer, err := b.copied(ctx, machine)
	if err != nil {
		return err
	}
	theirs, err := timed(func() error { return tool(ctx, "qemu-img", "commit", "-q", "-d", "-f", "qcow2", peer) })()
	if err != nil {
		return err
	}
	ours, err := timed(func() error { return runQuietly(l.command("snapshot", "delete", machineName, "first")) })()
	b.report.compare("delete a snapshot that holds 2 GiB", "qemu-img commit", samples{ours}, samples{theirs})
	return err
}

// copied copies the images of a machine's snapshots, and returns the upper one.
func (b *bench) copied(ctx context.Context, machine api.Machine) (string, error) {
	dir := b.fresh("copied")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	upper := ""
	for _, s := range machine.Snapshots {
		for _, file := range s.Images {
			upper = filepath.Join(dir, filepath.Base(file))
			if err := tool(ctx, "cp", "--sparse=always", filepath.Join(machine.Folder, file), upper); err != nil {
				return "", err
			}
		}
	}
	return upper, nil
}

// Reading through images: so many are put on a disk of 1 GiB that is written all over, each with so many clusters of its own.
const (
	deepest          = 50
	clustersOfAnyOne = 64
)

// measureDepth measures reading through 1, 10 and 50 images of snapshots against the disk before there were any, and then
// through what Panal makes of the 50 of itself.
func measureDepth(ctx context.Context, b *bench) error {
	l, err := newLayered(ctx, b, "1G")
	if err != nil {
		return err
	}
	if err := errors.Join(runQuietly(l.command("host", "set", "snapshots.depth=200")), l.write("write -q -P 7 0 1G")); err != nil {
		return err
	}
	plain, err := l.reads()
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for depth := 1; depth <= deepest; depth++ {
		if err := l.take(fmt.Sprintf("s%d", depth)); err != nil {
			return err
		}
		var commands []string
		for range clustersOfAnyOne {
			commands = append(commands, fmt.Sprintf("write -q -P %d %dk 64k", depth, rng.IntN(16384)*64))
		}
		if err := l.write(commands...); err != nil {
			return err
		}
		if depth == 1 || depth == 10 || depth == deepest {
			if err := b.compareReads(l, plain, fmt.Sprintf("through %d more images", depth)); err != nil {
				return err
			}
		}
	}
	// The deletion ends when all is merged that is to be.
	for _, args := range [][]string{{"snapshot", "take", machineName, "--name", "last"}, {"host", "set", "snapshots.depth="}, {"snapshot", "delete", machineName, "last"}} {
		if err := runQuietly(l.command(args...)); err != nil {
			return err
		}
	}
	return b.compareReads(l, plain, fmt.Sprintf("with %d snapshots, as they are kept", deepest))
}

func (b *bench) compareReads(l *layered, plain []samples, what string) error {
	times, err := l.reads()
	if err != nil {
		return err
	}
	for i, pattern := range readPatterns {
		b.report.compare(pattern.name+" "+what, "without snapshots", times[i], plain[i])
	}
	return nil
}

// readPatterns are ways to read 1 GiB, or a part of it, from the page cache.
var readPatterns = []struct {
	name              string
	count, size, step int
}{
	{"1 GiB read in a row", 16384, 65536, 65536},
	{"20,000 reads of 4 KiB, scattered", 20000, 4096, 69206016},
}

var completed = regexp.MustCompile(`Run completed in ([0-9.]+) seconds`)

// reads reads the disk in every pattern, as QEMU's block layer does it.
func (l *layered) reads() ([]samples, error) {
	top, err := l.top()
	if err != nil {
		return nil, err
	}
	times := make([]samples, len(readPatterns))
	for round := range 4 {
		for i, p := range readPatterns {
			out, err := exec.CommandContext(l.ctx, "qemu-img", "bench", "-f", "qcow2", "-d", "8",
				"-c", fmt.Sprint(p.count), "-s", fmt.Sprint(p.size), "-S", fmt.Sprint(p.step), top).CombinedOutput()
			found := completed.FindSubmatch(out)
			if err != nil || found == nil {
				return nil, fmt.Errorf("qemu-img bench: %w: %s", err, out)
			}
			took, err := time.ParseDuration(string(found[1]) + "s")
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first one warms the page cache
				times[i] = append(times[i], took)
			}
		}
	}
	return times, nil
}
