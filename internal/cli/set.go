package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

func (a *app) setCommand() *cobra.Command {
	var file string
	var keys bool
	c := &cobra.Command{
		Use:   "set NAME KEY=VALUE…",
		Short: "Change a machine's spec",
		Long: `Change values of a machine's spec. All of them are changed or none. An empty
value returns a key to its default. "panal set --keys" lists the keys.

With --file the whole spec is replaced by the file's, which is what
"panal show --json" prints.

When somebody else has changed the machine in the meantime, nothing is changed
and the exit code is 4.`,
		Example: `  panal set web cpus=4 memory=8G
  panal set web labels.site=here restart.policy=on-failure
  panal show web --json > web.json; editor web.json; panal set web --file web.json`,
		ValidArgsFunction: a.completeMachine,
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		switch {
		case keys:
			return nil
		case len(args) == 0:
			return usageError{"which machine?"}
		case (file == "") == (len(args) == 1):
			return usageError{"give values as KEY=VALUE, or a spec with --file"}
		}
		for _, pair := range args[1:] {
			if key, _, found := strings.Cut(pair, "="); !found || key == "" {
				return usageError{fmt.Sprintf("values are given as KEY=VALUE, not %q", pair)}
			}
		}
		return nil
	}
	c.Flags().StringVar(&file, "file", "", "replace the whole spec by this JSON file's, - for standard input")
	c.Flags().BoolVar(&keys, "keys", false, "list the keys")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if keys {
			return a.printKeys()
		}
		machine, err := a.change(cmd.Context(), args[0], args[1:], file)
		if err != nil {
			return failed("set", args[0], err)
		}
		return a.printChanged(machine, "changed")
	}
	return c
}

// change reads the machine and changes it at the revision that was read.
func (a *app) change(ctx context.Context, name string, set []string, file string) (api.Machine, error) {
	var from specFile
	if file != "" {
		var err error
		if from, err = a.readSpec(file); err != nil {
			return api.Machine{}, err
		}
	}
	c, err := a.connect(ctx)
	if err != nil {
		return api.Machine{}, err
	}
	machine, err := c.Get(ctx, name)
	if err != nil {
		return machine, err
	}
	var changed api.Machine
	if file == "" {
		changed, err = c.Change(ctx, machine.Spec.UUID, api.ChangeRequest{Revision: machine.Revision, Set: set})
	} else {
		if from.revision == 0 {
			from.revision = machine.Revision
		}
		changed, err = c.Replace(ctx, machine.Spec.UUID, api.ReplaceRequest{Revision: from.revision, Spec: from.spec})
	}
	a.warn(changed.Spec.Name, slices.DeleteFunc(slices.Clone(changed.Status.Warnings), func(warning string) bool {
		return slices.Contains(machine.Status.Warnings, warning) // it was said before
	}))
	return changed, err
}

// printChanged says that a machine was changed.
func (a *app) printChanged(machine api.Machine, how string) error {
	if a.json {
		return a.printJSON(machine)
	}
	a.say("%s: %s", machine.Spec.Name, how)
	return nil
}

func (a *app) renameCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rename NAME NEW-NAME",
		Short:             "Give a machine another name",
		Example:           "  panal rename web frontend",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeMachine,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return failed("rename", args[0], err)
			}
			machine, err := c.Rename(cmd.Context(), args[0], args[1])
			if err != nil {
				return failed("rename", args[0], err)
			}
			return a.printChanged(machine, "the new name of "+args[0])
		},
	}
}

func (a *app) autostartCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "autostart NAME on|off",
		Short: "Start a machine with the host, or not",
		Long: `Say whether a machine starts with the host. The order and the delay after the
machine before are keys of "panal set": autostart.order and autostart.delay.`,
		Example: `  panal autostart web on
  panal set web autostart.order=10`,
		Args: cobra.MatchAll(cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
			if args[1] != "on" && args[1] != "off" {
				return usageError{fmt.Sprintf("say on or off, not %q", args[1])}
			}
			return nil
		}),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completeMachine(cmd, args, begin)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			set := []string{fmt.Sprintf("autostart.enabled=%t", args[1] == "on")}
			machine, err := a.change(cmd.Context(), args[0], set, "")
			if err != nil {
				return failed("autostart", args[0], err)
			}
			return a.printChanged(machine, "autostart "+args[1])
		},
	}
}
