package cli

import (
	"context"
	"fmt"

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

func (a *app) unregisterCommand() *cobra.Command {
	c := a.machinesCommand("unregister", "Forget machines and leave their folders")
	c.Long = `Forget machines that are off or saved. Their folders stay where they are, and
"panal register" makes them known again, here or elsewhere.`
	c.Example = "  panal unregister web"
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runTasks(cmd.Context(), names, taskWork{verb: "unregister", done: "forgotten, its folder left", begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Delete(ctx, name, api.DeleteRequest{KeepFiles: true})
		}})
	}
	return c
}

func (a *app) moveCommand() *cobra.Command {
	var request api.MoveRequest
	var detach bool
	c := a.machinesCommand("move", "Move machines' folders into another pool or directory")
	c.Long = `Move the folders of machines into another pool ("panal pool list") or directory, on the
same file system or another one. Only images in the folder move; what a machine stands on
elsewhere stays. A machine that linked clones stand on stays too.

A machine that runs goes on: what its disks hold is copied while the guest runs, which
then stands still for as long as it takes to write and read its memory. How long that
was is said.`
	c.Example = "  panal move web --pool fast\n  panal move web --to /srv/machines"
	a.poolFlag(c, &request.Pool)
	c.Flags().Lookup("pool").Usage = "the pool"
	c.Flags().StringVar(&request.Directory, "to", "", "the directory, which must be there")
	_ = c.MarkFlagDirname("to")
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, names []string) (err error) {
		where := "pool " + request.Pool
		switch {
		case request.Pool != "" && request.Directory != "":
			return usageError{"--pool and --to contradict each other"}
		case request.Pool == "":
			if request.Directory == "" {
				return usageError{"--pool or --to says where to"}
			}
			if request.Directory, err = absolute(request.Directory); err != nil {
				return err
			}
			where = request.Directory
		}
		return a.runTasks(cmd.Context(), names, taskWork{verb: "move", done: "moved to " + where, detach: detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Move(ctx, name, request)
		}, say: func(_ context.Context, task api.Task) string {
			if task.Result.Standstill == 0 {
				return "moved to " + where
			}
			return fmt.Sprintf("moved to %s; the guest stood still for %.0f ms", where, task.Result.Standstill)
		}})
	}
	return c
}
