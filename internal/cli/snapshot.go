package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

func (a *app) snapshotCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "snapshot",
		Short: "Former states of machines: take, list, restore, delete, compare",
		Long: `Keep what a machine is at an instant: its disks, its hardware, its firmware's
variables and its TPM, and its memory where that is wanted. Snapshots are a tree:
after a restore the next one is taken on a branch of its own.`,
		Example: `  panal snapshot take web --name "before the update"
  panal snapshot tree web
  panal snapshot restore web "before the update" --keep`,
		Args: a.noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, sub := range []*cobra.Command{
		a.snapshotTakeCommand(), a.snapshotListCommand(), a.snapshotTreeCommand(), a.snapshotShowCommand(),
		a.snapshotRestoreCommand(), a.snapshotDeleteCommand(), a.snapshotRenameCommand(), a.snapshotDescribeCommand(),
		a.snapshotDiffCommand(), a.snapshotMountCommand(),
	} {
		sub.DisableFlagsInUseLine = true
		c.AddCommand(sub)
	}
	return c
}

func (a *app) snapshotTakeCommand() *cobra.Command {
	var request api.TakeSnapshotRequest
	var detach bool
	c := &cobra.Command{
		Use:   "take NAME",
		Short: "Take a snapshot of a machine in whatever state it is",
		Long: `Take a snapshot of a machine that is off, saved, paused or running: of all its
disks at one instant. A saved machine's memory is always part of it.

Without --memory the snapshot of a running machine holds what a power cut would
leave on its disks. With --quiesce the guest's agent (the package
qemu-guest-agent) writes out and stops its file systems for that instant.`,
		Example: `  panal snapshot take web --name "before the update" --description "kernel 6.12"
  panal snapshot take web --memory
  panal snapshot take db --quiesce`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeMachine,
	}
	c.Flags().StringVar(&request.Name, "name", "", "the snapshot's name; default snapshot1, snapshot2 …")
	c.Flags().StringVar(&request.Description, "description", "", "free text")
	c.Flags().BoolVar(&request.Memory, "memory", false, "of a running or paused machine: its memory too")
	c.Flags().BoolVar(&request.Quiesce, "quiesce", false, "let the guest's agent stop its file systems for the instant")
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		return a.runTasks(cmd.Context(), names, taskWork{
			verb: "take a snapshot of", done: "snapshot taken", detach: detach,
			begin: func(ctx context.Context, name string) (api.Task, error) {
				return a.client.TakeSnapshot(ctx, name, request)
			},
			say: a.sayTaken,
		})
	}
	return c
}

// sayTaken tells which snapshot was taken, and for how long the guest stood still.
func (a *app) sayTaken(ctx context.Context, task api.Task) string {
	text := "snapshot " + task.Result.Snapshot + " taken"
	if detail, err := a.client.Snapshot(ctx, task.Machine, task.Result.Snapshot); err == nil {
		text = fmt.Sprintf("snapshot %q taken (%s)", detail.Name, detail.ID)
	}
	if task.Result.Standstill > 0 && task.Result.Method != "" {
		text += fmt.Sprintf("; the guest stood still for %.0f ms", task.Result.Standstill)
	}
	return text
}

// snapshots asks for a machine's tree.
func (a *app) snapshots(ctx context.Context, machine string) (api.SnapshotTree, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return api.SnapshotTree{}, failed("list the snapshots of", machine, err)
	}
	tree, err := c.Snapshots(ctx, machine)
	if err != nil {
		return tree, failed("list the snapshots of", machine, err)
	}
	return tree, nil
}

func (a *app) snapshotListCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list NAME", Aliases: []string{"ls"}, Short: "List a machine's snapshots, parents before their children",
		Example: "  panal snapshot list web",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeMachine,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		tree, err := a.snapshots(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		switch {
		case a.json:
			return a.printJSON(tree)
		case a.quiet:
			for _, s := range tree.Snapshots {
				fmt.Fprintln(a.out, s.Name)
			}
			return nil
		}
		rows := []table.Row{}
		for _, s := range tree.Snapshots {
			current := ""
			if s.ID == tree.Current {
				current = "*"
			}
			rows = append(rows, table.Row{current, s.ID, printable(s.Name), string(s.State), memoryText(s), ago(s.Taken), orDash(s.Parent)})
		}
		a.printTable(table.Row{"", "ID", "NAME", "STATE", "MEMORY", "TAKEN", "AFTER"}, rows)
		return nil
	}
	return c
}

func memoryText(s api.Snapshot) string {
	if !s.HasMemory() {
		return "-"
	}
	return human(int64(s.Memory))
}

func (a *app) snapshotTreeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "tree NAME", Short: "Draw a machine's tree of snapshots",
		Example: "  panal snapshot tree web",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeMachine,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		tree, err := a.snapshots(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(tree)
		}
		_, err = fmt.Fprint(a.out, drawTree(tree))
		return err
	}
	return c
}

// drawTree draws a tree, with the present state where it is.
func drawTree(tree api.SnapshotTree) string {
	var text strings.Builder
	text.WriteString(printable(tree.Name) + "\n")
	var draw func(parent, indent string)
	draw = func(parent, indent string) {
		var nodes []string
		var below []string
		for _, s := range tree.Snapshots {
			if s.Parent == parent {
				nodes, below = append(nodes, snapshotLine(s)), append(below, s.ID)
			}
		}
		if tree.Current == parent {
			nodes, below = append(nodes, "(now)"), append(below, "")
		}
		for i, node := range nodes {
			branch, further := "├─ ", "│  "
			if i == len(nodes)-1 {
				branch, further = "└─ ", "   "
			}
			text.WriteString(indent + branch + node + "\n")
			if below[i] != "" {
				draw(below[i], indent+further)
			}
		}
	}
	draw("", "")
	return text.String()
}

// snapshotLine is a snapshot in one line.
func snapshotLine(s api.Snapshot) string {
	line := printable(s.Name) + "  " + s.ID + "  " + string(s.State)
	if s.HasMemory() {
		line += " with memory"
	}
	if !s.Taken.IsZero() {
		line += "  " + s.Taken.Local().Format(time.DateTime)
	}
	return line
}

func (a *app) snapshotShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "show NAME SNAPSHOT", Short: "Show a snapshot with all that it holds",
		Example: "  panal snapshot show web \"before the update\"",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: a.completeSnapshot,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed("show snapshot", args[1], err)
		}
		detail, err := c.Snapshot(cmd.Context(), args[0], args[1])
		if err != nil {
			return failed("show snapshot", args[1], err)
		}
		if a.json {
			return a.printJSON(detail)
		}
		a.printSnapshot(detail)
		return nil
	}
	return c
}

func (a *app) printSnapshot(d api.SnapshotDetail) {
	line := func(name, value string) { fmt.Fprintf(a.out, "%-13s %s\n", name+":", value) }
	line("Name", printable(d.Name))
	line("ID", d.ID)
	if d.Description != "" {
		line("Description", strings.ReplaceAll(printable(d.Description), "\n", " "))
	}
	line("Taken", d.Taken.Local().Format(time.DateTime))
	line("State", string(d.State))
	line("Memory", memoryText(d.Snapshot))
	if d.Quiesced {
		line("Quiesced", "yes")
	}
	line("After", orDash(d.Parent))
	line("CPUs", fmt.Sprint(d.Spec.CPU.Count))
	line("RAM", human(int64(d.Spec.Memory.Size)))
	for _, drive := range d.Drives {
		line("Drive", fmt.Sprintf("%s, %s", drive.Name, human(int64(drive.Size))))
		for _, image := range drive.Chain {
			fmt.Fprintf(a.out, "%-15s%s (%s)\n", "", printable(image.Path), image.Format)
		}
	}
	for _, note := range d.Notes {
		line("Note", printable(note))
	}
}

func (a *app) snapshotRestoreCommand() *cobra.Command {
	var request api.RestoreSnapshotRequest
	var detach, staySaved bool
	c := &cobra.Command{
		Use:   "restore NAME SNAPSHOT",
		Short: "Make a machine what it was in a snapshot",
		Long: `Make a machine what it was in a snapshot: disks, hardware, firmware's variables,
TPM, and its memory if the snapshot has it; then it goes on from there, or stands
still if it was paused when the snapshot was taken. A run is ended first.
What would be lost must be kept (--keep) or given up (--force). The snapshot stays as it is.`,
		Example: `  panal snapshot restore web "before the update" --force
  panal snapshot restore web k3j5q2aa --keep --keep-name "after the update"`,
		Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeSnapshot,
	}
	c.Flags().BoolVar(&request.Keep, "keep", false, "take a snapshot of the present state first")
	c.Flags().StringVar(&request.KeepName, "keep-name", "", "that snapshot's name")
	c.Flags().BoolVar(&request.Force, "force", false, "give the present state up")
	c.Flags().BoolVar(&request.Paused, "paused", false, "let its guest stand still where the snapshot has memory; panal resume lets it run")
	c.Flags().BoolVar(&staySaved, "stay-saved", false, "leave it saved where the snapshot has memory")
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if request.KeepName != "" {
			request.Keep = true
		}
		work := taskWork{
			verb: "restore", done: "restored to " + args[1], detach: detach,
			begin: func(ctx context.Context, name string) (api.Task, error) {
				return a.client.RestoreSnapshot(ctx, name, args[1], request)
			},
		}
		if !staySaved {
			work.after = a.goOn
		}
		return a.runTasks(cmd.Context(), args[:1], work)
	}
	return c
}

// goOn starts a machine that was restored with its memory.
func (a *app) goOn(ctx context.Context, task api.Task) error {
	machine, err := a.client.Get(ctx, task.Machine)
	if err != nil || machine.Status.State != api.StateSaved {
		return err
	}
	begun, err := a.client.Start(ctx, task.Machine)
	if err != nil {
		return err
	}
	if begun, err = a.client.WaitTask(ctx, begun, nil); err != nil {
		return err
	}
	return client.TaskError(begun)
}

func (a *app) snapshotDeleteCommand() *cobra.Command {
	var request api.DeleteSnapshotRequest
	var detach bool
	c := &cobra.Command{
		Use: "delete NAME SNAPSHOT", Aliases: []string{"rm"}, Short: "Delete a snapshot, on a running machine too",
		Long: `Delete a snapshot. Those that were taken after it, and the machine, stay what they
are: what they need of it is merged into them, while the machine runs if it does. A
merging that is cut off is taken up again by itself.`,
		Example: `  panal snapshot delete web "before the update"
  panal snapshot delete web experiments --children    and all that came after it`,
		Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeSnapshot,
	}
	c.Flags().BoolVar(&request.Children, "children", false, "delete all that were taken after it too")
	addDetach(c, &detach)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.runTasks(cmd.Context(), args[:1], taskWork{
			verb: "delete a snapshot of", done: "snapshot " + args[1] + " deleted", detach: detach,
			begin: func(ctx context.Context, name string) (api.Task, error) {
				return a.client.DeleteSnapshot(ctx, name, args[1], request)
			},
		})
	}
	return c
}

func (a *app) snapshotRenameCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "rename NAME SNAPSHOT NEW", Short: "Give a snapshot another name",
		Example: "  panal snapshot rename web snapshot1 \"before the update\"",
		Args:    cobra.ExactArgs(3), ValidArgsFunction: a.completeSnapshot,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.changeSnapshot(cmd.Context(), args, api.ChangeSnapshotRequest{Name: &args[2]}, "renamed to "+args[2])
	}
	return c
}

func (a *app) snapshotDescribeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "describe NAME SNAPSHOT TEXT", Short: "Give a snapshot another description",
		Example: "  panal snapshot describe web snapshot1 \"as delivered\"",
		Args:    cobra.ExactArgs(3), ValidArgsFunction: a.completeSnapshot,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.changeSnapshot(cmd.Context(), args, api.ChangeSnapshotRequest{Description: &args[2]}, "described")
	}
	return c
}

func (a *app) changeSnapshot(ctx context.Context, args []string, request api.ChangeSnapshotRequest, done string) error {
	c, err := a.connect(ctx)
	if err != nil {
		return failed("change snapshot", args[1], err)
	}
	changed, err := c.ChangeSnapshot(ctx, args[0], args[1], request)
	if err != nil {
		return failed("change snapshot", args[1], err)
	}
	if a.json {
		return a.printJSON(changed)
	}
	a.say("%s: %s", args[1], done)
	return nil
}

func (a *app) snapshotDiffCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "diff NAME FROM [TO]", Short: "Tell what differs between two snapshots, or a snapshot and the present state",
		Example: `  panal snapshot diff web snapshot1 snapshot2
  panal snapshot diff web snapshot1    and what the machine is now`,
		Args: cobra.RangeArgs(2, 3), ValidArgsFunction: a.completeSnapshots,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		to := ""
		if len(args) > 2 {
			to = args[2]
		}
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed("compare", args[0], err)
		}
		diff, err := c.DiffSnapshot(cmd.Context(), args[0], args[1], to)
		if err != nil {
			return failed("compare", args[0], err)
		}
		if a.json {
			return a.printJSON(diff)
		}
		a.printDiff(diff)
		return nil
	}
	return c
}

func (a *app) printDiff(diff api.SnapshotDiff) {
	for _, drive := range diff.Drives {
		switch drive.Only {
		case "from":
			fmt.Fprintf(a.out, "drive %s: only in the first\n", drive.Name)
		case "to":
			fmt.Fprintf(a.out, "drive %s: only in the second\n", drive.Name)
		default:
			fmt.Fprintf(a.out, "drive %s: %d bytes of %s differ\n", drive.Name, drive.Bytes, human(int64(drive.Size)))
		}
	}
	for _, change := range diff.Spec {
		fmt.Fprintf(a.out, "%s: %s → %s\n", change.Field, orDash(printable(change.From)), orDash(printable(change.To)))
	}
	if len(diff.Drives)+len(diff.Spec) == 0 {
		a.say("nothing differs")
	}
}
