package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Memory that converting may take, whatever the disk's size.
const mostMemory = 256 << 20

// imageKind is a format as `panal disk` and as qemu-img call it.
type imageKind struct {
	panal, qemu, options string // options are qemu-img's
}

var rawKind = imageKind{"raw", "raw", ""}

// kinds are the formats whose pairs are measured.
var kinds = []imageKind{
	rawKind,
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
	ratios []float64 // of the pairs of kinds, by wall time
	byCPU  []float64 // and by the processors' time
	slower []string  // pairs in which qemu-img was faster
}

// newConversions makes the disk whose content is used.
func newConversions(ctx context.Context, b *bench) (c *conversions, source string, err error) {
	source = b.path("source.raw")
	if err := makeDisk(source, diskSize, diskData); err != nil {
		return nil, source, err
	}
	return &conversions{bench: b, ctx: ctx, rounds: max(b.rounds/3, 1)}, source, forgetPeak()
}

// measureDisk measures `panal disk convert` against qemu-img convert and cp: processes as a whole, with what they read
// in the page cache, and what they wrote durable when they end.
func measureDisk(ctx context.Context, b *bench) error {
	c, source, err := newConversions(ctx, b)
	if err != nil {
		return err
	}
	defer os.Remove(source)
	for _, measure := range []func(string) error{c.copies, c.compressions, c.pairs, c.sparse, c.modes} {
		if err := measure(source); err != nil {
			return err
		}
	}
	c.report.add(row{
		work: "the most memory that one of our conversions took", ours: megabytes(c.memory),
		goal: "< 256 MiB", met: c.memory < mostMemory,
	})
	return nil
}

// pairs converts from each kind to each.
func (c *conversions) pairs(source string) error {
	for _, from := range kinds {
		if err := c.pairsFrom(from, source); err != nil {
			return err
		}
	}
	slices.Sort(c.ratios)
	slices.Sort(c.byCPU)
	median := c.ratios[len(c.ratios)/2]
	c.report.add(row{
		work: fmt.Sprintf("the median of %d pairs", len(c.ratios)), compared: faster(median, c.byCPU[len(c.byCPU)/2]),
		goal: "≥ 1.3 times", met: median >= 1.3,
	})
	c.report.add(row{
		work: "pairs that are slower", ours: fmt.Sprint(len(c.slower)), goal: "none", met: len(c.slower) == 0,
	})
	return nil
}

func (c *conversions) pairsFrom(from imageKind, source string) error {
	image := source
	if from.panal != "raw" {
		image = c.path("pair-source")
		if err := c.makeByQEMU(from, source, image); err != nil {
			return err
		}
		defer os.Remove(image)
	}
	for _, to := range kinds {
		if err := c.pair(from, to, image); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversions) pair(from, to imageKind, image string) error {
	spent, err := c.contest(from, to, image, nil)
	if err != nil {
		return err
	}
	name := from.panal + " to " + to.panal
	ratio := spent[1].wall.over(spent[0].wall)
	c.ratios = append(c.ratios, ratio)
	c.byCPU = append(c.byCPU, spent[1].cpu.over(spent[0].cpu))
	if ratio < 1 {
		c.slower = append(c.slower, name)
	}
	c.goal("convert "+name, spent, 1)
	return nil
}

// compressions converts to and from what is compressed.
func (c *conversions) compressions(source string) error {
	streamed := c.path("streamed")
	defer os.Remove(streamed)
	for _, t := range []struct {
		to    imageKind
		flags []string
		goal  float64
	}{
		{streamOptimized, nil, 10},
		{zlibQCOW2, []string{"-o", "compression=zlib"}, 2},
		{zstdQCOW2, []string{"-o", "compression=zstd"}, 2},
	} {
		spent, err := c.contest(rawKind, t.to, source, t.flags)
		if err != nil {
			return err
		}
		name := t.to.panal
		if t.flags != nil {
			name += ", " + t.flags[1]
		}
		c.goal("convert raw to "+name, spent, t.goal)
		if err := c.sizes(); err != nil {
			return err
		}
		if t.to == streamOptimized {
			if err := os.Rename(c.path("theirs"), streamed); err != nil {
				return err
			}
		}
	}
	spent, err := c.contest(streamOptimized, rawKind, streamed, nil)
	if err != nil {
		return err
	}
	c.goal("convert vmdk:streamOptimized to raw", spent, 3)
	return nil
}

// sizes reports what two compressions came to.
func (c *conversions) sizes() error {
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
	return nil
}

// copies copies raw to raw, against cp.
func (c *conversions) copies(source string) error {
	ours, theirs := c.path("ours"), c.path("theirs")
	spent, err := race(
		c.rounds,
		c.alone(ours, c.panalConvert(rawKind, rawKind, source, ours, nil)),
		c.alone(theirs, []string{"sh", "-c", `cp --sparse=auto "$0" "$1" && sync "$1"`, source, theirs}),
	)
	if err != nil {
		return err
	}
	defer c.removeBoth()
	c.report.add(row{
		work: "copy raw to raw", ours: spent[0].String(), peer: "cp, sync " + spent[1].String(), compared: speed(spent),
		goal: "≥ 0.9 times", met: spent[1].wall.over(spent[0].wall) >= 0.9,
	})
	return c.same(rawKind, rawKind)
}

// sparse converts a disk of 10 TiB with little on it.
func (c *conversions) sparse(string) error {
	source := c.path("huge.raw")
	if err := makeHuge(source); err != nil {
		return err
	}
	defer os.Remove(source)
	for _, to := range []imageKind{{"qcow2", "qcow2", ""}, {"vhdx", "vhdx", ""}, {"vdi", "vdi", ""}} {
		spent, err := c.race(rawKind, to, source, nil)
		if err != nil {
			return err
		}
		// By panal: of VHDX and VDI, qemu-img would read 10 TiB of zeros.
		if err := runQuietly(exec.CommandContext(c.ctx, c.program, "disk", "compare", c.path("ours"), c.path("theirs"))); err != nil {
			return err
		}
		c.report.add(row{
			work: "convert 10 TiB with little on it to " + to.panal, ours: spent[0].String(),
			peer: "qemu-img " + spent[1].String(), compared: speed(spent), goal: "< 10 s", met: spent[0].wall.median() < 10*time.Second,
		})
	}
	return nil
}

// contest is a race whose results qemu-img compares.
func (c *conversions) contest(from, to imageKind, source string, flags []string) ([]costs, error) {
	spent, err := c.race(from, to, source, flags)
	if err != nil {
		return nil, err
	}
	return spent, c.same(to, to)
}

// race converts with both, in turn. The last results are left as "ours" and "theirs" until the next race.
func (c *conversions) race(from, to imageKind, source string, flags []string) ([]costs, error) {
	ours, theirs := c.path("ours"), c.path("theirs")
	c.removeBoth()
	spent, err := race(
		c.rounds,
		c.alone(ours, c.panalConvert(from, to, source, ours, flags)),
		c.alone(theirs, qemuConvert(from, to, source, theirs)),
	)
	if err != nil {
		return nil, err
	}
	c.explain("ours", spent[0].wall)
	c.explain("qemu-img", spent[1].wall)
	return spent, nil
}

// same has qemu-img compare what both made.
func (c *conversions) same(ours, theirs imageKind) error {
	return runQuietly(exec.CommandContext(c.ctx, "qemu-img", "compare", "-f", ours.qemu, "-F", theirs.qemu, c.path("ours"), c.path("theirs")))
}

func (c *conversions) removeBoth() {
	_ = os.Remove(c.path("ours"))
	_ = os.Remove(c.path("theirs"))
}

// goal reports a contest that is to be won by so many times.
func (c *conversions) goal(work string, spent []costs, goal float64) {
	c.report.add(row{
		work: work, ours: spent[0].String(), peer: "qemu-img " + spent[1].String(), compared: speed(spent),
		goal: fmt.Sprintf("≥ %g times", goal), met: spent[1].wall.over(spent[0].wall) >= goal,
	})
}

func (c *conversions) panalConvert(from, to imageKind, source, made string, flags []string) []string {
	format, _, _ := strings.Cut(from.panal, ":")
	return append([]string{c.program, "disk", "convert", "--quiet", "--from", format, "--to", to.panal, source, made}, flags...)
}

// qemuConvert is qemu-img's command, and a sync of what it made, which ours does too: in qemu-img's default cache mode nothing
// else is synced, so that this is its quickest way to a durable image. (In the mode that has it write in the order that the formats
// want, -t writeback, it is slower, of VMDK many times.)
func qemuConvert(from, to imageKind, source, made string) []string {
	return append([]string{"sh", "-c", `"$@" && sync "$0"`, made}, qemuImage("unsafe", from, to, source, made)...)
}

// qemuImage is qemu-img's own command.
func qemuImage(cache string, from, to imageKind, source, made string) []string {
	args := []string{"qemu-img", "convert", "-t", cache, "-f", from.qemu, "-O", to.qemu}
	if to.options != "" {
		args = append(args, "-o", to.options)
	}
	if strings.HasPrefix(to.options, "compression_type") {
		args = append(args, "-c")
	}
	return append(args, source, made)
}

// makeByQEMU makes an image that others made.
func (c *conversions) makeByQEMU(kind imageKind, source, made string) error {
	args := qemuConvert(rawKind, kind, source, made)
	return runQuietly(exec.CommandContext(c.ctx, args[0], args[1:]...))
}

// modes measures qemu-img alone, in other cache modes than that of the contest: once each, since some take minutes.
func (c *conversions) modes(source string) error {
	for _, to := range kinds {
		line := row{work: "for comparison, raw to " + to.panal + " by qemu-img"}
		for _, mode := range []struct{ cache, meaning string }{{"unsafe", "not synced"}, {"writeback", "-t writeback"}} {
			spent, err := c.alone(c.path("theirs"), qemuImage(mode.cache, rawKind, to, source, c.path("theirs")))()
			if err != nil {
				return err
			}
			line.peer += fmt.Sprintf("%s %s  ", mode.meaning, milliseconds(spent.wall))
		}
		c.report.add(line)
	}
	return nil
}
