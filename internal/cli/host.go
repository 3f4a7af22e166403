package cli

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

func (a *app) hostCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "host",
		Short:   "This computer: what it offers to machines, and why",
		Example: "  panal host show",
		Args:    a.noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.hostShowCommand(), a.hostSetCommand(), a.hostBaselineCommand())
	return c
}

func (a *app) hostShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show processors, memory, and which architectures run how fast, and why",
		Long: `Show what this computer offers: its processors and memory; for each architecture
whether machines of it run, with which accelerator, and why; the programs that
machines need; what of running machines it lets Panal control; and what they
have of its processors. READY is the time that a machine's CPUs were ready to
run and waited for one of the computer's.`,
		Example: "  panal host show --json | jq .architectures",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return failed("show", "the host", err)
			}
			host, err := c.Host(cmd.Context())
			if err != nil {
				return failed("show", "the host", err)
			}
			if a.json {
				return a.printJSON(host)
			}
			a.printHost(host)
			return nil
		},
	}
}

// printHost writes a page about the host.
func (a *app) printHost(h api.Host) {
	a.heading(h.Name)
	a.facts([]fact{
		{"processors", describeProcessors(h)},
		{"given away", describeAllocation(h)},
		{"steal", describeSteal(h)},
		{"memory", fmt.Sprintf("%s, %s free", human(int64(h.Memory)), human(int64(h.MemoryFree)))},
		{"kernel", h.Kernel},
		{"machines", fmt.Sprintf("%d, %d running", h.Machines, h.Running)},
		{"QEMU's user", h.QEMUUser},
	})
	a.heading("Architectures")
	rows := make([]table.Row, len(h.Architectures))
	for i, s := range h.Architectures {
		rows[i] = table.Row{"  " + string(s.Architecture), yesNo(s.Available), orDash(s.Accelerator), orDash(s.Version), orDash(strings.Join(s.Firmware, ", ")), printable(s.Why)}
	}
	a.printTable(table.Row{"  NAME", "AVAILABLE", "ACCELERATOR", "QEMU", "FIRMWARE", "WHY"}, rows)
	a.heading("Programs")
	rows = make([]table.Row, len(h.Programs))
	for i, p := range h.Programs {
		path := p.Path
		if path == "" {
			path = "not installed"
		}
		rows[i] = table.Row{"  " + p.Name, path, orDash(p.Version), p.Purpose}
	}
	a.printTable(table.Row{"  NAME", "PATH", "VERSION", "FOR"}, rows)
	a.printControls(h.Controls)
	a.printMachineCPUs(h.Processors.MachineCPUs)
}
