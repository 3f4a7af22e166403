package cli

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

// leastInterval is how often the daemon may be asked for figures.
const leastInterval = time.Second

func (a *app) statsCommand() *cobra.Command {
	var watch, past bool
	var every time.Duration
	c := &cobra.Command{
		Use:   "stats NAME",
		Short: "Show what a running machine uses of processors and memory",
		Long: `Show what a running machine uses: time on the host's processors, and waiting for
them; memory that its guest has, how much of it the host has given, and how much of
that is ballooned, merged with equal pages, compressed and swapped; and what the guest
says of its memory.

--history shows what is kept of the last day, one sample in 10 s.`,
		Example: `  panal stats web
  panal stats web --json --watch | jq .memory.used
  panal stats web --history --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeMachine,
		RunE: func(cmd *cobra.Command, args []string) error {
			if every < leastInterval {
				return usageError{fmt.Sprintf("--interval is at least %s", leastInterval)}
			}
			if past {
				return failed("stats", args[0], a.printHistory(cmd.Context(), args[0]))
			}
			look := func(ctx context.Context) error { return a.printStats(ctx, args[0]) }
			return failed("stats", args[0], a.again(cmd.Context(), watch, every, look))
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "go on until Ctrl-C, or until it ends")
	c.Flags().DurationVar(&every, "interval", 2*time.Second, "time between two looks")
	c.Flags().BoolVar(&past, "history", false, "what it has used in the last day")
	c.MarkFlagsMutuallyExclusive("watch", "history")
	return c
}

func (a *app) topCommand() *cobra.Command {
	var every time.Duration
	c := &cobra.Command{
		Use:   "top",
		Short: "Show what all running machines use, live",
		Long: `Show what all running machines use of processors and memory, renewed until Ctrl-C;
once where the output is no terminal, or with --json.`,
		Example: `  panal top
  panal top --json | jq '.machines[].memory.used'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < leastInterval {
				return usageError{fmt.Sprintf("--interval is at least %s", leastInterval)}
			}
			live := isTerminal(a.out) && !a.json && !a.quiet
			look := func(ctx context.Context) error { return a.printTop(ctx, live) }
			return failed("top", "", a.again(cmd.Context(), live, every, look))
		},
	}
	c.Flags().DurationVar(&every, "interval", 2*time.Second, "time between two looks")
	return c
}

// again looks once, or again and again until that fails or somebody ends it.
func (a *app) again(ctx context.Context, on bool, every time.Duration, look func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := look(ctx)
		if on && ctx.Err() != nil {
			return nil
		}
		if err != nil || !on {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *app) printStats(ctx context.Context, name string) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	stats, err := c.Stats(ctx, name)
	if err != nil || a.json {
		if err == nil {
			err = a.printJSON(stats)
		}
		return err
	}
	a.heading(stats.Name)
	a.facts(statsFacts(stats))
	return nil
}

// statsFacts is what a machine uses, for people.
func statsFacts(s api.Stats) []fact {
	m := s.Memory
	capped := ""
	if text := describeCap(s.CPU); text != "-" {
		capped = text + ", in percent of one of the host's"
	}
	facts := []fact{
		{"CPUs", fmt.Sprintf("%d, %.1f %% of one used, %.1f %% waited for", s.CPU.Count, s.CPU.UsedPercent, s.CPU.ReadyPercent)},
		{"cap", capped},
		{"memory", fmt.Sprintf("%s assigned, of %s to %s", human(int64(m.Assigned)), human(int64(m.Minimum)), human(int64(m.Maximum)))},
		{"plugged in", human(int64(m.Plugged))},
		{"ballooned", human(int64(m.Ballooned))},
		{"of the host", fmt.Sprintf("%s (%s resident)", human(int64(m.Used)), human(int64(m.Resident)))},
		{"shared", human(int64(m.Shared))},
		{"compressed", human(int64(m.Compressed))},
		{"swapped", human(int64(m.Swapped))},
	}
	if s.Silent {
		return append(facts, fact{"process", "does not answer: what the guest has is what was last known (`panal stop` kills it)"})
	}
	if m.Guest == nil {
		return append(facts, fact{"guest", "says nothing of its memory (no virtio_balloon driver, or not yet)"})
	}
	return append(facts, fact{"guest", fmt.Sprintf("%s available of %s, %s in caches", human(int64(m.Guest.Available)), human(int64(m.Guest.Total)), human(int64(m.Guest.Caches)))})
}

func (a *app) printHistory(ctx context.Context, name string) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	past, err := c.StatsHistory(ctx, name, time.Time{})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(past)
	}
	rows := make([]table.Row, len(past.Samples))
	for i, s := range past.Samples {
		rows[i] = table.Row{
			s.Time.Local().Format(time.TimeOnly), fmt.Sprintf("%.1f", s.CPUPercent), fmt.Sprintf("%.1f", s.ReadyPercent), human(int64(s.Assigned)), human(int64(s.Used)),
			human(int64(s.Ballooned)), human(int64(s.Shared)), human(int64(s.Compressed)), human(int64(s.Swapped)), human(int64(s.Available)),
		}
	}
	a.printTable(table.Row{"TIME", "CPU%", "READY%", "ASSIGNED", "USED", "BALLOON", "SHARED", "COMPRESSED", "SWAPPED", "AVAILABLE"}, rows)
	return nil
}

// printTop writes a page about all machines. Live, it takes the place of the one before.
func (a *app) printTop(ctx context.Context, live bool) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	all, err := c.AllStats(ctx)
	switch {
	case err != nil:
		return err
	case a.json:
		return a.printJSON(all)
	case a.quiet:
		for _, s := range all.Machines {
			fmt.Fprintln(a.out, s.Name)
		}
		return nil
	}
	if live {
		const homeAndClear = "\x1b[H\x1b[2J"
		fmt.Fprint(a.out, homeAndClear)
	}
	fmt.Fprintln(a.out, hostLine(all.Host))
	rows := make([]table.Row, len(all.Machines))
	for i, s := range all.Machines {
		m, available := s.Memory, "-"
		if m.Guest != nil {
			available = human(int64(m.Guest.Available))
		}
		rows[i] = table.Row{
			s.Name, stateOf(s), s.CPU.Count, fmt.Sprintf("%.1f", s.CPU.UsedPercent), fmt.Sprintf("%.1f", s.CPU.ReadyPercent), describeCap(s.CPU), human(int64(m.Assigned)), human(int64(m.Used)),
			available, human(int64(m.Ballooned)), human(int64(m.Shared)), human(int64(m.Compressed)), human(int64(m.Swapped)),
		}
	}
	a.printTable(table.Row{"NAME", "STATE", "CPUS", "CPU%", "READY%", "CAP%", "ASSIGNED", "USED", "AVAILABLE", "BALLOON", "SHARED", "COMPRESSED", "SWAPPED"}, rows)
	return nil
}

// stateOf is a machine's state, or that its process does not answer.
func stateOf(s api.Stats) string {
	if s.Silent {
		return "silent"
	}
	return string(s.State)
}

// describeCap is what a machine's CPUs may use, in percent of one of the host's: each of them, or all together where that is less.
func describeCap(c api.CPUStats) string {
	switch most := float64(c.Count * c.Cap); {
	case c.LimitPercent > 0 && c.LimitPercent < most:
		return fmt.Sprintf("%.4g in all", c.LimitPercent)
	case c.Cap > 0 && c.Cap < 100:
		return fmt.Sprintf("%d each", c.Cap)
	}
	return "-"
}

// hostLine says how the host stands.
func hostLine(h api.HostStats) string {
	var text bytes.Buffer
	fmt.Fprintf(&text, "host: %d CPUs; memory %s, %s available", h.CPUs, human(int64(h.Memory)), human(int64(h.Available)))
	if h.Swap > 0 {
		fmt.Fprintf(&text, "; swap %s, %s free", human(int64(h.Swap)), human(int64(h.SwapFree)))
	}
	if h.Sharing.Saved > 0 {
		fmt.Fprintf(&text, "; %s saved by sharing", human(int64(h.Sharing.Saved)))
	}
	if h.Pressure != nil {
		fmt.Fprintf(&text, "; pressure %.1f %%", *h.Pressure)
	}
	if now := h.Reclaim.Now; now != nil && now.Stage != api.StageEnough {
		fmt.Fprintf(&text, "\nmemory is short (%s): %s", now.Stage, printable(now.Reason))
	}
	return text.String()
}
