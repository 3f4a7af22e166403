package cli

import (
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

func (a *app) listCommand() *cobra.Command {
	var filter client.ListFilter
	var state string
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List machines",
		Long:    "List machines, ordered by name. With --quiet, print their names alone.",
		Example: `  panal list
  panal list --state running --label site=here
  panal list --quiet --state running | xargs -r -d '\n' panal shutdown`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&state, "state", "", "only machines in this state")
	c.Flags().StringArrayVar(&filter.Labels, "label", nil, "only machines with this label: NAME or NAME=VALUE; may be repeated")
	states := []string{"off", "starting", "running", "paused", "stopping", "saving", "saved"}
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(states, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed("list", "machines", err)
		}
		filter.State = api.State(state)
		list, err := c.ListMachines(cmd.Context(), filter)
		if err != nil {
			return failed("list", "machines", err)
		}
		return a.printList(list)
	}
	return c
}

// printList writes a list of machines.
func (a *app) printList(list api.MachineList) error {
	switch {
	case a.json:
		return a.printJSON(list)
	case a.quiet:
		for _, m := range list.Machines {
			fmt.Fprintln(a.out, m.Name)
		}
		return nil
	case len(list.Machines) == 0:
		a.note("There are no machines. Make one with: panal create --disk FILE")
		return nil
	}
	rows := make([]table.Row, len(list.Machines))
	for i, m := range list.Machines {
		rows[i] = table.Row{m.Name, a.stateText(m.State), span(time.Since(m.Since)), m.CPUs, m.Memory, m.Architecture, printable(m.Description)}
	}
	a.printTable(table.Row{"NAME", "STATE", "FOR", "CPUS", "MEMORY", "ARCH", "DESCRIPTION"}, rows)
	return nil
}
