package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Memory that converting may take, whatever the disk's size.
const mostMemory = 256 << 20

// imageKind is a format as `panal disk` and as qemu-img call it.
type imageKind struct {
	panal, qemu, options string // options are qemu-img's
}

// kinds are the formats whose pairs are measured.
var kinds = []imageKind{
	{"raw", "raw", ""},
	{"qcow2", "qcow2", ""},
	{"vdi", "vdi", ""},
	{"vhd", "vpc", ""},
	{"vhdx", "vhdx", ""},
	{"vmdk", "vmdk", ""},
}

var (
	streamOptimized = imageKind{"vmdk:streamOptimized", "vmdk", "subformat=streamOptimized"}
	zlibQCOW2       = imageKind{"qcow2", "qcow2", "compression_type=zlib"}
	zstdQCOW2       = imageKind{"qcow2", "qcow2", "compression_type=zstd"}
)

// conversions measures converting against qemu-img.
type conversions struct {
	*bench
	ctx    context.Context
	rounds int
	memory int64     // the most that one of ours took
	ratios []float64 // of the pairs of kinds
	slower []string  // pairs in which qemu-img was faster
}

// measureDisk measures `panal disk convert` and qemu-img convert, processes as a whole, between warm caches and a disk.
func measureDisk(ctx context.Context, b *bench) error {
	c := &conversions{bench: b, ctx: ctx, rounds: max(b.rounds/4, 1)}
	source := b.path("source.raw")
	if err := makeDisk(source); err != nil {
		return err
	}
	defer os.Remove(source)
	if err := errors.Join(c.copies(source), c.compressions(source), c.pairs(source), c.sparse()); err != nil {
		return err
	}
	b.report.add(row{
		work: "memory that the largest conversion took", ours: megabytes(c.memory),
		goal: "< 256 MiB", met: c.memory < mostMemory,
	})
	return nil
}

// pairs converts from each kind to each.
func (c *conversions) pairs(source string) error {
	for _, from := range kinds {
		image := source
		if from.panal != "raw" {
			image = c.path("pair-source")
			if err := runLine(c.ctx, qemuConvert(imageKind{"raw", "raw", ""}, from, source, image)); err != nil {
				return err
			}
		}
		for _, to := range kinds {
			if err := c.pair(from, to, image); err != nil {
				return err
			}
		}
		if image != source {
			if err := os.Remove(image); err != nil {
				return err
			}
		}
	}
	slices.Sort(c.ratios)
	median := c.ratios[len(c.ratios)/2]
	c.report.add(row{
		work: fmt.Sprintf("the median of %d pairs", len(c.ratios)), compared: fmt.Sprintf("%.2f times as fast", median),
		goal: "≥ 1.3 times", met: median >= 1.3,
	})
	c.report.add(row{
		work: "pairs that are slower", ours: strings.Join(c.slower, ", "), goal: "none", met: len(c.slower) == 0,
	})
	return nil
}

func (c *conversions) pair(from, to imageKind, image string) error {
	times, err := c.contest(from, to, image, nil)
	if err != nil {
		return err
	}
	faster := speed(times)
	c.ratios = append(c.ratios, faster)
	name := from.panal + " to " + to.panal
	if faster < 1 {
		c.slower = append(c.slower, name)
	}
	c.report.add(row{
		work: "convert " + name, ours: milliseconds(times[0].median()), peer: "qemu-img " + milliseconds(times[1].median()),
		compared: fmt.Sprintf("%.2f times as fast", faster), goal: "≥ 1 times", met: faster >= 1,
	})
	return nil
}

// compressions converts to and from what is compressed.
func (c *conversions) compressions(source string) error {
	raw := imageKind{"raw", "raw", ""}
	for _, t := range []struct {
		to    imageKind
		flags []string
		goal  float64
	}{
		{streamOptimized, nil, 10},
		{zlibQCOW2, []string{"-o", "compression=zlib"}, 2},
		{zstdQCOW2, []string{"-o", "compression=zstd"}, 2},
	} {
		times, err := c.contest(raw, t.to, source, t.flags)
		if err != nil {
			return err
		}
		name := t.to.panal
		if t.flags != nil {
			name += ", " + t.flags[1]
		}
		if err := c.compressed(name, times, t.goal); err != nil {
			return err
		}
	}
	times, err := c.contest(streamOptimized, raw, c.path("streamed"), nil)
	if err != nil {
		return err
	}
	c.goal("convert vmdk:streamOptimized to raw", times, 3)
	return os.Remove(c.path("streamed"))
}

// compressed reports a compression, and the sizes that it came to; of a stream
// ours is kept, to be read.
func (c *conversions) compressed(name string, times []samples, goal float64) error {
	c.goal("convert raw to "+name, times, goal)
	ours, err := os.Stat(c.path("ours"))
	if err != nil {
		return err
	}
	theirs, err := os.Stat(c.path("theirs"))
	if err != nil {
		return err
	}
	c.report.add(row{
		work: "its size", ours: megabytes(ours.Size()), peer: "qemu-img " + megabytes(theirs.Size()),
		compared: fmt.Sprintf("× %.3f", float64(ours.Size())/float64(theirs.Size())), goal: "≤ 1", met: ours.Size() <= theirs.Size(),
	})
	if name == streamOptimized.panal {
		return os.Rename(c.path("ours"), c.path("streamed"))
	}
	return nil
}

func (c *conversions) goal(work string, times []samples, goal float64) {
	faster := speed(times)
	c.report.add(row{
		work: work, ours: milliseconds(times[0].median()), peer: "qemu-img " + milliseconds(times[1].median()),
		compared: fmt.Sprintf("%.1f times as fast", faster), goal: fmt.Sprintf("≥ %g times", goal), met: faster >= goal,
	})
}

func speed(times []samples) float64 {
	return float64(times[1].median()) / float64(times[0].median())
}

// copies copies raw to raw, against cp.
func (c *conversions) copies(source string) error {
	raw := imageKind{"raw", "raw", ""}
	ours, theirs := c.path("ours"), c.path("theirs")
	times, err := inTurn(c.rounds, c.alone(ours, c.panalConvert(raw, raw, source, ours, nil)),
		c.alone(theirs, exec.CommandContext(c.ctx, "sh", "-c", `cp --sparse=auto "$0" "$1" && sync "$1"`, source, theirs)))
	if err != nil {
		return err
	}
	c.report.add(row{
		work: "copy raw to raw", ours: milliseconds(times[0].median()), peer: "cp, sync " + milliseconds(times[1].median()),
		compared: ratio(times[0], times[1]), goal: "≤ 1.1", met: float64(times[0].median()) <= 1.1*float64(times[1].median()),
	})
	return nil
}

// sparse converts a disk of 10 TiB with little on it.
func (c *conversions) sparse() error {
	source := c.path("huge.raw")
	f, err := os.Create(source)
	if err != nil {
		return err
	}
	for i := range int64(64) {
		if _, err := f.WriteAt([]byte("little"), i*160<<30); err != nil {
			return err
		}
	}
	if err := errors.Join(f.Truncate(10<<40), f.Close()); err != nil {
		return err
	}
	defer os.Remove(source)
	for _, to := range []imageKind{{"qcow2", "qcow2", ""}, {"vhdx", "vhdx", ""}, {"vdi", "vdi", ""}} {
		times, err := c.contest(imageKind{"raw", "raw", ""}, to, source, nil)
		if err != nil {
			return err
		}
		c.report.add(row{
			work: "convert 10 TiB with little on it to " + to.panal, ours: milliseconds(times[0].median()),
			peer: "qemu-img " + milliseconds(times[1].median()), goal: "seconds", met: times[0].median() < 10*time.Second,
		})
	}
	return nil
}

// contest converts with both, in turn. The last results are left as "ours"
// and "theirs".
func (c *conversions) contest(from, to imageKind, source string, flags []string) ([]samples, error) {
	ours, theirs := c.path("ours"), c.path("theirs")
	qemu := qemuConvert(from, to, source, theirs)
	return inTurn(c.rounds, c.alone(ours, c.panalConvert(from, to, source, ours, flags)), c.alone(theirs, exec.CommandContext(c.ctx, qemu[0], qemu[1:]...)))
}

// alone makes a contestant of a command that makes a file: with nothing left
// to be written from before.
func (c *conversions) alone(made string, command *exec.Cmd) contestant {
	return func() (time.Duration, error) {
		_ = os.Remove(made)
		unix.Sync()
		again := exec.CommandContext(c.ctx, command.Path, command.Args[1:]...)
		began := time.Now()
		out, err := again.CombinedOutput()
		took := time.Since(began)
		if err != nil {
			return 0, fmt.Errorf("%s: %w: %s", strings.Join(again.Args, " "), err, out)
		}
		if command.Path == c.program {
			used := again.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
			c.memory = max(c.memory, used)
		}
		return took, nil
	}
}

func (c *conversions) panalConvert(from, to imageKind, source, made string, flags []string) *exec.Cmd {
	format, _, _ := strings.Cut(from.panal, ":")
	args := append([]string{"disk", "convert", "--from", format, "--to", to.panal, source, made}, flags...)
	return exec.CommandContext(c.ctx, c.program, args...)
}

// qemuConvert is qemu-img's command; writeback makes it leave a durable image,
// as ours does.
func qemuConvert(from, to imageKind, source, made string) []string {
	args := []string{"qemu-img", "convert", "-t", "writeback", "-f", from.qemu, "-O", to.qemu}
	if to.options != "" {
		args = append(args, "-o", to.options)
	}
	if strings.HasPrefix(to.options, "compression_type") {
		args = append(args, "-c")
	}
	return append(args, source, made)
}

func runLine(ctx context.Context, args []string) error {
	return runQuietly(exec.CommandContext(ctx, args[0], args[1:]...))
}
