package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/client"
)

// completionTime bounds how long a shell waits for names when the user presses
// the tabulator key.
const completionTime = time.Second

// completeMachine offers the names of machines for the first argument.
func (a *app) completeMachine(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeMachines(cmd, args, begin)
}

// completeMachines offers the names of machines that are not given yet. It
// never starts a daemon: pressing a key should not.
func (a *app) completeMachines(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	var names []string
	a.ask(cmd, func(ctx context.Context, c *client.Client) {
		list, err := c.ListMachines(ctx, client.ListFilter{})
		if err != nil {
			return
		}
		for _, m := range list.Machines {
			if strings.HasPrefix(m.Name, begin) && !slices.Contains(args, m.Name) {
				names = append(names, cobra.CompletionWithDesc(m.Name, string(m.State)))
			}
		}
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeDrive offers a machine's name, then the names of its drives; a file comes
// after that.
func (a *app) completeDrive(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeMachines(cmd, args, begin)
	}
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var names []string
	a.ask(cmd, func(ctx context.Context, c *client.Client) {
		machine, err := c.Get(ctx, args[0])
		if err != nil {
			return
		}
		for _, drive := range machine.Spec.Drives {
			if strings.HasPrefix(drive.Name, begin) {
				names = append(names, cobra.CompletionWithDesc(drive.Name, string(drive.Kind)))
			}
		}
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeTask offers the IDs of tasks.
func (a *app) completeTask(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	a.ask(cmd, func(ctx context.Context, c *client.Client) {
		list, err := c.Tasks(ctx)
		if err != nil || len(args) > 0 {
			return
		}
		for _, task := range list.Tasks {
			if strings.HasPrefix(task.ID, begin) {
				ids = append(ids, cobra.CompletionWithDesc(task.ID, taskTitle(task)+", "+string(task.State)))
			}
		}
	})
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// ask asks a daemon that runs.
func (a *app) ask(cmd *cobra.Command, question func(context.Context, *client.Client)) {
	p, err := a.paths()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	c := client.New(p.Socket, client.Options{})
	defer c.Close()
	question(ctx, c)
}
