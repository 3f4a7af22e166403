package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

func (a *app) cloneCommand() *cobra.Command {
	var request api.CloneRequest
	var full, detach bool
	c := &cobra.Command{
		Use:   "clone NAME NEW",
		Short: "Make machines that are like another one",
		Long: `Make a machine that is like another one, with a UUID and MAC addresses of its own.

A full clone, which is the default, copies the disks and needs nothing of the
original afterwards. A linked clone is made in no time whatever the disks'
size: differencing images over the original's disks, which must not change any
more. So it stands on a snapshot (--snapshot) or on a template, which is a machine
that does not start: "panal set NAME template=on". Neither can be deleted while
clones stand on it.

Drives that machines share (writeMode shareable) and that nobody writes are the same
in the clone. Firmware variables are copied; the TPM is a new one unless
--keep-tpm copies its keys. Autostart is off in clones.`,
		Example: `  panal clone web web2
  panal set golden template=on
  panal clone golden class --linked --count 30    class-1 to class-30
  panal clone web test --linked --snapshot before-update
  panal clone web copy --running`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeMachine,
	}
	flags := c.Flags()
	flags.BoolVar(&request.Linked, "linked", false, "make differencing images over the original's disks")
	flags.BoolVar(&full, "full", false, "copy the disks; the default")
	flags.StringVar(&request.Snapshot, "snapshot", "", "be like the original was in this snapshot")
	flags.BoolVar(&request.Running, "running", false, "copy the disks of a running machine as they are at one instant")
	flags.IntVar(&request.Count, "count", 1, "how many; several are called NEW-1, NEW-2 …")
	flags.BoolVar(&request.KeepTPM, "keep-tpm", false, "copy the TPM's state, its keys and identity with it")
	a.poolFlag(c, &request.Pool)
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case request.Count < 1:
			return usageError{"--count must be 1 or more"}
		case request.Linked && full:
			return usageError{"a clone is --linked or --full"}
		case request.Running && (request.Linked || request.Snapshot != ""):
			return usageError{"--running copies the disks as they are now: neither --linked nor --snapshot goes with it"}
		}
		request.Name = args[1]
		return a.clone(cmd.Context(), args[0], request, detach)
	}
	return c
}

// clone asks for the clones and waits.
func (a *app) clone(ctx context.Context, original string, request api.CloneRequest, detach bool) error {
	if _, err := a.connect(ctx); err != nil {
		return failed("clone", original, err)
	}
	task, err := a.client.Clone(context.WithoutCancel(ctx), original, request)
	if err != nil {
		return failed("clone", original, err)
	}
	if detach {
		return a.reportDetached(taskWork{}, []outcome{{task: task}})
	}
	if task, err = a.followShown(ctx, task); err != nil {
		return failed("clone", original, err)
	}
	a.warn("clone", task.Warnings)
	if a.json {
		return a.printJSON(task)
	}
	made := request.Name
	if request.Count > 1 {
		made = fmt.Sprintf("%s-1 to %s-%d", request.Name, request.Name, request.Count)
	}
	a.say("%s: cloned from %s", made, original)
	return nil
}
