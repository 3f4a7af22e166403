package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cpumodel"
	"github.com/panalvm/panal/internal/machine"
)

func (a *app) hostSetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "set KEY=VALUE…",
		Short: "Change the policies of this computer",
		Long: `Change how far this computer may be given away. An empty value returns a key to
its default. What runs already goes on as it is.

  cpu.ratio   CPUs of running machines for each thread of the computer, beyond
              which the policy applies (default 8)
  cpu.policy  warn, or refuse to start a machine beyond the ratio (default warn)
  memory.ratio
              what running machines may come to want, their maximums and what
              their processes need, in parts of what the computer has for them,
              beyond which the policy applies (default 1)
  memory.policy
              warn, or refuse to start a machine beyond the ratio (default warn)
  memory.reserve
              memory that the computer keeps for itself (default a twentieth of
              it, 256M at least)
  memory.sharing
              off has no equal pages of machines merged (default on)
  memory.reclaim
              how far cold memory of machines is moved out where the computer
              runs short: off, compress, swap (default swap)
  snapshots.depth
              images that a disk may stand on before they are merged in the
              background, though snapshots keep theirs (default 16)

Reservations are kept whatever is set here: a machine whose reservation does not
fit is not started.`,
		Example: `  panal host set cpu.ratio=4 cpu.policy=refuse
  panal host set memory.ratio=1.5 memory.policy=refuse
  panal host set cpu.ratio=`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{"give settings as KEY=VALUE"}
			}
			for _, pair := range args {
				if key, _, found := strings.Cut(pair, "="); !found || key == "" {
					return usageError{fmt.Sprintf("settings are given as KEY=VALUE, not %q", pair)}
				}
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var keys []string
			for _, key := range machine.SettingKeys() {
				keys = append(keys, key+"=")
			}
			return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return failed("set", "the host", err)
			}
			host, err := c.ChangeHost(cmd.Context(), api.ChangeHostRequest{Set: args})
			if err != nil {
				return failed("set", "the host", err)
			}
			if a.json {
				return a.printJSON(host.Settings)
			}
			a.say("%s: changed", host.Name)
			return nil
		},
	}
}

func (a *app) hostBaselineCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "baseline FILE…",
		Short: "Tell the most capable CPU model that machines can have on several hosts",
		Long: `Tell the CPU model with which a machine runs on each of several hosts: the
highest level of x86-64 that all of them have, and the features beyond it that
all have. A FILE is what "panal host show --json" printed on a host. The answer
is a value for cpu.model. No daemon is needed.`,
		Example: `  panal host show --json > here.json; ssh there panal host show --json > there.json
  panal set web cpu.model=$(panal host baseline here.json there.json)`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var hosts []cpumodel.Host
			for _, file := range args {
				host, err := readHost(file)
				if err != nil {
					return failed("read", file, err)
				}
				hosts = append(hosts, host)
			}
			model, err := cpumodel.Baseline(hosts)
			if err != nil {
				return failed("find", "a baseline", err)
			}
			if a.json {
				return a.printJSON(map[string]string{"model": model})
			}
			_, err = fmt.Fprintln(a.out, model)
			return err
		},
	}
}

// readHost reads what a host printed of itself.
func readHost(file string) (cpumodel.Host, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return cpumodel.Host{}, err
	}
	var host api.Host
	if err := json.Unmarshal(text, &host); err != nil {
		return cpumodel.Host{}, fmt.Errorf("it is not what `panal host show --json` prints: %w", err)
	}
	flags := make([]string, len(host.Processors.Flags))
	for i, flag := range host.Processors.Flags {
		flags[i] = cpumodel.Canonical(flag)
	}
	return cpumodel.Host{Name: file, Flags: flags}, nil
}

// describeProcessors is a host's processors in a line.
func describeProcessors(h api.Host) string {
	p := h.Processors
	text := fmt.Sprintf("%d × %s", h.CPUs, h.CPUModel)
	if p.Sockets > 0 && p.Cores > 0 {
		text += fmt.Sprintf(" (%s, %s, %s)", plural(int64(p.Sockets), "socket"), plural(int64(p.Cores), "core"), plural(int64(p.Threads), "thread"))
	}
	if p.Level != "" {
		text += ", machines up to " + p.Level
	}
	if len(p.Nodes) > 1 {
		text += ", " + plural(int64(len(p.Nodes)), "NUMA node")
	}
	return text
}

// describeAllocation is how far a host's processors are given away, in a line.
func describeAllocation(h api.Host) string {
	p := h.Processors
	if p.Threads == 0 {
		return "" // an older daemon
	}
	text := fmt.Sprintf("%s, %.2f for each thread (%s beyond %g)", plural(int64(p.Allocated), "CPU"), p.Ratio, h.Settings.CPU.Policy, h.Settings.CPU.Ratio)
	if p.IOThreads > 0 {
		text += ", " + plural(int64(p.IOThreads), "controller thread")
	}
	return text + fmt.Sprintf("; %.4g%% of %d%% reserved", p.Reserved, 100*p.Threads)
}

// describeSteal is what a host that is a virtual machine itself lost to others, in a line.
func describeSteal(h api.Host) string {
	if h.Processors.Threads == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f%% of its own CPU time", h.Processors.Steal)
}

// printControls writes what the host lets Panal control of machines that run.
func (a *app) printControls(controls []api.HostControl) {
	if len(controls) == 0 {
		return
	}
	a.heading("Control of running machines")
	rows := make([]table.Row, len(controls))
	for i, c := range controls {
		how := fmt.Sprintf("control groups, version %d", c.Version)
		if !c.Available {
			how = c.Why + "; instead: " + c.Instead
		}
		rows[i] = table.Row{"  " + c.Name, yesNo(c.Available), printable(how)}
	}
	a.printTable(table.Row{"  NAME", "AVAILABLE", "HOW"}, rows)
}

// printMachineCPUs writes what running machines have of the host's processors.
func (a *app) printMachineCPUs(machines []api.MachineCPU) {
	if len(machines) == 0 {
		return
	}
	a.heading("Running machines")
	percent := func(value float64) string {
		if value == 0 {
			return "-"
		}
		return fmt.Sprintf("%.4g%%", value)
	}
	rows := make([]table.Row, len(machines))
	for i, m := range machines {
		rows[i] = table.Row{
			"  " + m.Name, m.CPUs, m.IOThreads, percent(float64(m.Cap)), percent(m.Limit), percent(m.Reserved), m.Shares,
			fmt.Sprintf("%.1fs", m.Used), fmt.Sprintf("%.1fs (%.1f%%)", m.Ready, m.ReadyPercent), fmt.Sprintf("%.1fs", m.Throttled),
		}
	}
	a.printTable(table.Row{"  NAME", "CPUS", "IO", "CAP", "LIMIT", "RESERVED", "SHARES", "USED", "READY", "HELD BACK"}, rows)
}
