// Command traces records what the controller of memory sees of real guests and their host, once a second, for its tests:
//
//	go run ./test/traces -for 2m -about 'what the guests do' -o FILE MACHINE…
//
// It asks the daemon that PANAL_SOCKET names, as `panal top --json` does, and writes a line for each second. The machines
// should have more memory than they need, a fixed size, so that what they do is their own demand and not what a
// controller left them; or follow their demand, where the controller itself is to be seen. internal/plan/memory reads
// what comes out, and lets other sizes, hosts and neighbours meet the same demand.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// every is how often the figures are taken: as often as the controller looks.
const every = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "traces:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("traces", flag.ContinueOnError)
	length := flags.Duration("for", 2*time.Minute, "how long to record; Ctrl-C ends it before")
	about := flags.String("about", "", "what the guests do, for those who read the trace")
	to := flags.String("o", "", "the file to write; standard output unless given")
	if err := flags.Parse(args); err != nil {
		return err
	}
	socket := os.Getenv("PANAL_SOCKET")
	if flags.NArg() == 0 || socket == "" {
		return errors.New("want the names of running machines, and PANAL_SOCKET in the environment")
	}
	out := io.Writer(os.Stdout)
	if *to != "" {
		file, err := os.Create(*to)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	c := client.New(socket, client.Options{UserAgent: "panal-traces"})
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, *length)
	defer cancel()
	return record(ctx, c, out, *about, flags.Args())
}

// record writes lines until the context ends.
func record(ctx context.Context, c *client.Client, to io.Writer, about string, names []string) (err error) {
	out := bufio.NewWriter(to)
	defer func() { err = errors.Join(err, out.Flush()) }()
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "# %s\n# recorded %s by go run ./test/traces, panal %s, of %s\n", about, time.Now().UTC().Format(time.DateOnly), info.Version, strings.Join(names, ", "))
	fmt.Fprintln(out, "# second; host: MiB available, % of the time somebody waited for memory; each machine: MiB assigned, available (- unknown), resident; faults, MiB swapped in since the boot")
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			seen, err := c.AllStats(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = line(out, now.Sub(began), seen, names)
			}
			if err != nil {
				return err
			}
		}
	}
}

// line writes what was seen in a second.
func line(out io.Writer, at time.Duration, seen api.StatsList, names []string) error {
	pressure := 0.0
	if seen.Host.Pressure != nil {
		pressure = *seen.Host.Pressure
	}
	fmt.Fprintf(out, "%.0f %s %.4g", at.Seconds(), mib(seen.Host.Available), pressure)
	for _, name := range names {
		stats, found := find(seen.Machines, name)
		if !found {
			return fmt.Errorf("%s does not run", name)
		}
		m, available, faults, swapped := stats.Memory, "-", int64(0), api.Size(0)
		if m.Guest != nil {
			available, faults, swapped = mib(m.Guest.Available), m.Guest.MajorFaults, m.Guest.SwappedIn
		}
		fmt.Fprintf(out, " %s %s %s %d %s", mib(m.Assigned), available, mib(m.Resident), faults, mib(swapped))
	}
	_, err := fmt.Fprintln(out)
	return err
}

func find(machines []api.Stats, name string) (api.Stats, bool) {
	for _, one := range machines {
		if one.Name == name {
			return one, true
		}
	}
	return api.Stats{}, false
}

// mib is a size in MiB, to a tenth.
func mib(size api.Size) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(size)/float64(api.MiB)), ".0")
}
