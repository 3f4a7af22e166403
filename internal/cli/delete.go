package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

func (a *app) deleteCommand() *cobra.Command {
	var detach bool
	var how api.DeleteRequest
	c := a.machinesCommand("delete", "Delete machines and their files")
	c.Aliases = []string{"rm"}
	c.Long = `Delete machines with everything in their folders. Images that a machine only
had differences to are not in its folder, and stay.`
	c.Example = `  panal delete web
  panal delete web --force         also when it runs
  panal delete web --keep-files    forget it; "panal register" makes it known again`
	c.Flags().BoolVar(&how.Force, "force", false, "power a running machine off first")
	c.Flags().BoolVar(&how.KeepFiles, "keep-files", false, "forget the machine, but leave its folder")
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		done := "deleted"
		if how.KeepFiles {
			done = "forgotten, its folder left"
		}
		return a.runTasks(cmd.Context(), names, taskWork{verb: "delete", done: done, detach: detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Delete(ctx, name, how)
		}})
	}
	return c
}

func (a *app) registerCommand() *cobra.Command {
	var request api.RegisterRequest
	c := &cobra.Command{
		Use:   "register FOLDER",
		Short: "Make a machine's folder known, or take in changes made to it by hand",
		Long: `Make the machine known whose folder (with its machine.json) this is, where it is.
A copied folder is a second machine: give it a UUID of its own with --new-uuid.

When machine.json of a known machine was changed by hand, register takes the
changes in; with --discard it throws them away.`,
		Example: `  panal register /srv/machines/web
  cp -a web copy; panal register copy --new-uuid --name copy`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	c.Flags().BoolVar(&request.NewUUID, "new-uuid", false, "give the machine a UUID of its own")
	c.Flags().StringVar(&request.Name, "name", "", "another name than the file's")
	c.Flags().BoolVar(&request.Discard, "discard", false, "write machine.json again from what the daemon knows")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if request.Folder, err = absolute(args[0]); err != nil {
			return err
		}
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed("register", args[0], err)
		}
		machine, err := c.Register(cmd.Context(), request)
		if err != nil {
			return failed("register", args[0], err)
		}
		return a.printChanged(machine, "registered ("+machine.Spec.UUID+")")
	}
	return c
}
