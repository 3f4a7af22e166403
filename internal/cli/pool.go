package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

func (a *app) poolCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "pool",
		Short: "The places that machines' folders are put into",
		Long: `Pools are directories that machines' folders are put into: of another disk, an array,
a network share. The pool "default" is the daemon's own and always there. New machines
go where --pool says, or there; "panal move --pool" moves them, also while they run.

A directory becomes a pool with a small file in it, .panal-pool, by which the daemon sees
that its file system is mounted: nothing is put below a mount point that is empty.`,
		Example: `  panal pool add fast /srv/nvme/machines
  panal create web --disk debian.qcow2 --pool fast
  panal move web --pool default`,
		Args: a.noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, sub := range []*cobra.Command{a.poolListCommand(), a.poolShowCommand(), a.poolAddCommand(), a.poolRemoveCommand()} {
		sub.DisableFlagsInUseLine = true
		c.AddCommand(sub)
	}
	return c
}

// poolFlag declares --pool of commands that make machines.
func (a *app) poolFlag(c *cobra.Command, pool *string) {
	c.Flags().StringVar(pool, "pool", "", "the pool that the machine's folder is put into")
	_ = c.RegisterFlagCompletionFunc("pool", a.completePool)
}

// completePool offers the pools' names.
func (a *app) completePool(cmd *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	var names []string
	a.ask(cmd, func(ctx context.Context, c *client.Client) {
		list, err := c.Pools(ctx)
		if err != nil {
			return
		}
		for _, pool := range list.Pools {
			if strings.HasPrefix(pool.Name, begin) {
				names = append(names, cobra.CompletionWithDesc(pool.Name, pool.Path))
			}
		}
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeOnePool is completePool for commands that take one.
func (a *app) completeOnePool(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completePool(cmd, args, begin)
}

func (a *app) poolListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the pools, by their names", Args: cobra.NoArgs, Example: "  panal pool list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return failed("list", "pools", err)
			}
			list, err := c.Pools(cmd.Context())
			switch {
			case err != nil:
				return failed("list", "pools", err)
			case a.json:
				return a.printJSON(list)
			case a.quiet:
				for _, pool := range list.Pools {
					fmt.Fprintln(a.out, pool.Name)
				}
				return nil
			}
			var rows []table.Row
			for _, pool := range list.Pools {
				rows = append(rows, table.Row{pool.Name, pool.Kind, human(int64(pool.Size)), human(int64(pool.Free)), len(pool.Machines), placed(pool)})
			}
			a.printTable(table.Row{"NAME", "KIND", "SIZE", "FREE", "MACHINES", "PATH"}, rows)
			return nil
		},
	}
}

// placed is where a pool is, and that it cannot be used.
func placed(pool api.Pool) string {
	if pool.Problem != "" {
		return pool.Path + " (" + pool.Problem + ")"
	}
	return pool.Path
}

func (a *app) poolShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show POOL", Short: "Show a pool and its machines", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeOnePool, Example: "  panal pool show fast",
		RunE: a.poolWork("show", "", func(ctx context.Context, c *client.Client, name string) (api.Pool, error) { return c.Pool(ctx, name) }),
	}
}

func (a *app) poolAddCommand() *cobra.Command {
	return &cobra.Command{
		Use: "add NAME DIRECTORY", Short: "Make a directory a pool", Args: cobra.ExactArgs(2),
		Long: `Make a directory a pool. It must be there, and neither be in another pool nor hold one.
QEMU's user must be able to search the directories above it.`,
		Example: "  panal pool add fast /srv/nvme/machines",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := absolute(args[1])
			if err != nil {
				return err
			}
			return a.poolWork("add", "added", func(ctx context.Context, c *client.Client, name string) (api.Pool, error) {
				return c.AddPool(ctx, api.AddPoolRequest{Name: name, Path: path})
			})(cmd, args)
		},
	}
}

func (a *app) poolRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove POOL", Aliases: []string{"rm"}, Short: "Make a pool without machines a directory like any other", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeOnePool, Example: "  panal pool remove fast",
		Long: "Forget a pool that no machine is in. Its directory stays, with what is in it.",
		RunE: a.poolWork("remove", "removed", func(ctx context.Context, c *client.Client, name string) (api.Pool, error) {
			return c.RemovePool(ctx, name)
		}),
	}
}

// poolWork is what commands on a pool do: it says done, or shows the pool where that is empty.
func (a *app) poolWork(verb, done string, work func(context.Context, *client.Client, string) (api.Pool, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		on := "pool " + args[0]
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed(verb, on, err)
		}
		pool, err := work(cmd.Context(), c, args[0])
		if err != nil {
			return failed(verb, on, err)
		}
		switch {
		case a.json:
			return a.printJSON(pool)
		case a.quiet:
			fmt.Fprintln(a.out, pool.Name)
		case done != "":
			a.say("pool %s: %s (%s)", pool.Name, done, pool.Path)
		default:
			a.printPool(pool)
		}
		return nil
	}
}

func (a *app) printPool(pool api.Pool) {
	fmt.Fprintf(a.out, "%s\n  kind      %s\n  path      %s\n", pool.Name, pool.Kind, pool.Path)
	if pool.Problem != "" {
		fmt.Fprintf(a.out, "  problem   %s\n", pool.Problem)
	} else {
		fmt.Fprintf(a.out, "  size      %s, %s free\n", human(int64(pool.Size)), human(int64(pool.Free)))
	}
	fmt.Fprintf(a.out, "  machines  %s\n", strings.Join(pool.Machines, ", "))
}
