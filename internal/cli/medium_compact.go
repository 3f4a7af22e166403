package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

func (a *app) mediumCompactCommand() *cobra.Command {
	var detach bool
	c := &cobra.Command{
		Use: "compact MEDIUM", Short: "Give back the room that a disk's content does not need", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeMedium,
		Long: `Give the host back the room that a disk takes up and does not need. What the disk holds
stays the same, wherever this is cut off.

While no machine runs on it, blocks that hold only zeros, or that nothing uses, are
taken out of its file. While one does, its guest's agent (qemu-guest-agent) is asked to
discard what file systems do not use, as fstrim does, on all the guest's disks that
can; the drive's discard must be on, as it is by default.`,
		Example: "  panal medium compact /srv/images/data.qcow2",
	}
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, args []string) error { return a.compactMedium(cmd.Context(), args[0], detach) }
	return c
}

// compactMedium asks for a compaction and waits.
func (a *app) compactMedium(ctx context.Context, name string, detach bool) error {
	ref, err := mediumRef(name)
	if err != nil {
		return err
	}
	if _, err := a.connect(ctx); err != nil {
		return failed("compact", name, err)
	}
	task, err := a.client.CompactMedium(context.WithoutCancel(ctx), ref)
	if err != nil {
		return failed("compact", "", err)
	}
	if detach {
		return a.reportDetached(taskWork{}, []outcome{{task: task}})
	}
	if task, err = a.followShown(ctx, task); err != nil {
		return failed("compact", "", err)
	}
	a.warn("compact", task.Warnings)
	if a.json {
		return a.printJSON(task)
	}
	a.say("%s: %s", name, compacted(task.Result.Compaction))
	return nil
}

// compacted says what has come of a compaction.
func compacted(c *api.Compaction) string {
	switch {
	case c == nil:
		return "compacted"
	case c.Before <= c.After:
		return "nothing was given back; it takes up " + human(int64(c.After))
	}
	return human(int64(c.Before-c.After)) + " given back; it takes up " + human(int64(c.After)) + " now"
}
