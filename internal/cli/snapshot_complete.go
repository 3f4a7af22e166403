package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/client"
)

// completeSnapshot offers a machine, and then one of its snapshots.
func (a *app) completeSnapshot(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeSnapshots(cmd, args, begin)
}

// completeSnapshots offers a machine, and then snapshots of it that are not given
// yet.
func (a *app) completeSnapshots(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeMachine(cmd, args, begin)
	}
	var names []string
	a.ask(cmd, func(ctx context.Context, c *client.Client) {
		tree, err := c.Snapshots(ctx, args[0])
		if err != nil {
			return
		}
		for _, s := range tree.Snapshots {
			if strings.HasPrefix(s.Name, begin) && !slices.Contains(args[1:], s.Name) {
				names = append(names, cobra.CompletionWithDesc(s.Name, s.ID+", "+string(s.State)))
			}
		}
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
