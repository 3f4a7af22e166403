// Command bench measures Panal against its peers and prints one table: QEMU started by hand, and libvirt.
//
// Ours and the peer's are run in turn in the same run, several times, and medians are compared: absolute times mean
// little on a shared machine, ratios hold. Everything is done in a scratch directory, with a daemon and a libvirtd of the
// benchmark's own, which end with it. Nothing here is a test: a goal that is missed is printed, and fails nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// part is something that is measured by itself.
type part struct {
	name    string
	what    string
	measure func(context.Context, *bench) error
}

var parts = []part{
	{"start", "from start to the guest's first serial output", measureStart},
	{"save", "saving a running machine, and going on", measureSave},
	{"snapshots", "snapshots, linked clones, and reading through many images", measureSnapshots},
	{"cli", "the command line, and create", measureCLI},
	{"disk", "converting disk images", measureDisk},
	{"appliance", "moving machines out and in", measureAppliance},
	{"nbd", "serving disk images over NBD", measureNBD},
	{"cpu", "a CPU plugged in, and what a cap gives", measureCPU},
	{"memory", "memory that moves, the cost of moving it, and of merging equal pages", measureMemory},
	{"many", "the daemon with 0, 1,000 and 10,000 machines", measureMany},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	program := flags.String("panal", "bin/panal", "the program to measure")
	only := flags.String("only", "", "the parts to measure, with commas between them:"+described())
	rounds := flags.Int("rounds", 11, "how often a start is measured; the other numbers follow from it")
	most := flags.Int("machines", 10_000, "the most machines to define")
	divisor := flags.Int64("divide", 1, "make the disk of appliances smaller by this, to see quickly whether all works")
	verbose := flags.Bool("v", false, "print the samples of starts, and each line as it comes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, *program, *rounds, *most)
	if err != nil {
		return err
	}
	b.verbose, b.divisor = *verbose, max(*divisor, 1)
	if b.verbose {
		b.report.live = os.Stderr
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, p := range chosen {
		began := time.Now()
		fmt.Fprintf(os.Stderr, "%s: %s …\n", p.name, p.what)
		if err := p.measure(ctx, b); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", p.name, err), b.report.print(os.Stdout))
		}
		fmt.Fprintf(os.Stderr, "%s: took %s\n", p.name, time.Since(began).Round(time.Second))
	}
	return b.report.print(os.Stdout)
}

func described() string {
	var text strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&text, "\n%s: %s", p.name, p.what)
	}
	return text.String()
}

// choose returns the parts that are named, all when none is.
func choose(names string) ([]part, error) {
	if names == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no part %q; the parts are:%s", name, described())
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}
