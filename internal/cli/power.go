package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

// machinesCommand is a command that takes one machine's name or several.
func (a *app) machinesCommand(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " NAME…",
		Short:             short,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeMachines,
	}
}

func (a *app) startCommand() *cobra.Command {
	var detach, wait, accept bool
	var keys keyFlags
	var timeout time.Duration
	c := a.machinesCommand("start", "Start machines, or go on where they were saved")
	c.Long = `Start machines. A saved machine goes on where it was.

With --wait the command returns when the guest has booted so far that its agent
(the package qemu-guest-agent) has connected, and fails when the machine ends
before.

A machine whose disks stand on images that were changed since is not started: what
its guest has written would not fit any more. --accept-base starts it on them as
they are now, from then on.

The passphrase of encrypted disks is asked for on a terminal, or given by
--passphrase-file or --key-command; "panal unlock" tells more.`
	c.Example = `  panal start web db
  panal start web --wait --timeout 5m
  panal start web --accept-base     the original is the same, only its date is not`
	c.Flags().BoolVar(&accept, "accept-base", false, "start although images that disks stand on were changed")
	c.Flags().BoolVar(&wait, "wait", false, "wait until the guest's agent has connected")
	durationVar(c.Flags(), &timeout, "timeout", 0, "with --wait, give up after this long, such as 90s; 0 for never")
	keys.add(c, "", "of encrypted disks")
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		if detach && wait {
			return usageError{"--detach and --wait contradict each other"}
		}
		work := taskWork{verb: "start", done: "running", detach: detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			if accept {
				if _, err := a.client.AcceptBases(ctx, name); err != nil {
					return api.Task{}, err
				}
			}
			return a.unlocking(ctx, name, &keys, func() (api.Task, error) { return a.client.Start(ctx, name) })
		}}
		work.after = func(ctx context.Context, task api.Task) error {
			if machine, err := a.client.Get(ctx, task.Machine); err == nil {
				a.warn(machine.Spec.Name, machine.Status.Warnings)
			}
			return nil
		}
		if wait {
			work.done = "running, its agent connected"
			warn := work.after
			work.after = func(ctx context.Context, task api.Task) error {
				_ = warn(ctx, task)
				_, err := a.await(ctx, task.Machine, goals["agent"], timeout, true)
				return err
			}
		}
		return a.runTasks(cmd.Context(), names, work)
	}
	return c
}

func (a *app) stopCommand() *cobra.Command {
	var detach bool
	c := a.machinesCommand("stop", "Power machines off at once")
	c.Long = `Power machines off at once, as pulling the plug would: what the guest has not
written to its disks is lost. A saved machine's state is thrown away. To let the
guest shut down, use "panal shutdown".`
	c.Example = "  panal stop web"
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runTasks(cmd.Context(), names, taskWork{verb: "stop", done: "off", detach: detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Stop(ctx, name)
		}})
	}
	return c
}

func (a *app) shutdownCommand() *cobra.Command {
	var detach, force bool
	var timeout time.Duration
	c := a.machinesCommand("shutdown", "Ask guests to shut down, and wait until they have")
	c.Example = `  panal shutdown web
  panal shutdown web --timeout 2m --force    and power it off if it has not by then`
	durationVar(c.Flags(), &timeout, "timeout", time.Minute, "how long to wait, such as 90s")
	c.Flags().BoolVar(&force, "force", false, "power the machine off when its guest has not shut down in time")
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		if timeout < time.Second {
			return usageError{"--timeout must be a second or more"}
		}
		how := api.ShutdownRequest{Timeout: int(timeout.Round(time.Second) / time.Second), Force: force}
		return a.runTasks(cmd.Context(), names, taskWork{verb: "shutdown", done: "off", detach: detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Shutdown(ctx, name, how)
		}})
	}
	return c
}

func (a *app) saveCommand() *cobra.Command {
	var detach bool
	c := a.machinesCommand("save", "Save running machines to disk; start goes on from there")
	c.Example = `  panal save web
  panal start web     goes on where it was`
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runTasks(cmd.Context(), names, taskWork{verb: "save", done: "saved", detach: detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Save(ctx, name)
		}})
	}
	return c
}

func (a *app) streamCommand() *cobra.Command {
	var detach bool
	c := a.machinesCommand("stream", "Draw into machines' own disks what they stand on")
	c.Long = `Draw into the disks of machines all that they read from images outside of their
folders: afterwards these are needed no more. The machines may run, be off, or
change between the two meanwhile: it gives way to whatever else is asked of them,
and goes on by itself, also with another daemon, until it is done. Cancelled with
^C or "panal task cancel" it leaves the machine standing on the original.

Snapshots come along: each image that they stand on becomes one of the machine's
own, and holds no more than it did.`
	c.Example = `  panal stream web
  panal stream web --detach`
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runTasks(cmd.Context(), names, taskWork{verb: "stream", say: a.sayStreamed, detach: detach, begin: func(ctx context.Context, name string) (api.Task, error) {
			return a.client.Stream(ctx, name)
		}})
	}
	return c
}

// sayStreamed says what a machine that was drawn in still needs: disks that throw away what is written to them, and
// media that are only read.
func (a *app) sayStreamed(ctx context.Context, task api.Task) string {
	const complete = "complete in itself"
	m, err := a.client.Get(ctx, task.Machine)
	if err != nil {
		return complete
	}
	return streamed(m.Spec.Drives, complete)
}

func streamed(drives []api.Drive, complete string) string {
	var needs []string
	for _, drive := range drives {
		if drive.Source != "" {
			needs = append(needs, fmt.Sprintf("%s (drive %s)", drive.Source, drive.Name))
		}
	}
	if len(needs) == 0 {
		return complete
	}
	return "drawn in; it still needs " + strings.Join(needs, ", ")
}

func (a *app) pauseCommand() *cobra.Command {
	c := a.machinesCommand("pause", "Stop machines' CPUs; their memory stays as it is")
	c.Example = "  panal pause web"
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runEach(cmd.Context(), names, "pause", "paused", func(ctx context.Context, name string) (api.Machine, error) {
			return a.client.Pause(ctx, name)
		})
	}
	return c
}

func (a *app) resumeCommand() *cobra.Command {
	c := a.machinesCommand("resume", "Let paused machines run again")
	c.Example = "  panal resume web"
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runEach(cmd.Context(), names, "resume", "running", func(ctx context.Context, name string) (api.Machine, error) {
			return a.client.Resume(ctx, name)
		})
	}
	return c
}

func (a *app) resetCommand() *cobra.Command {
	c := a.machinesCommand("reset", "Reset machines, as their reset buttons would")
	c.Example = "  panal reset web"
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runEach(cmd.Context(), names, "reset", "reset", func(ctx context.Context, name string) (api.Machine, error) {
			return a.client.Reset(ctx, name)
		})
	}
	return c
}

// addDetach adds the flag of all commands that begin tasks.
func addDetach(c *cobra.Command, detach *bool) {
	c.Flags().BoolVar(detach, "detach", false, "print the task's ID and return at once")
}
