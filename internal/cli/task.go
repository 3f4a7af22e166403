package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
)

func (a *app) taskCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "task",
		Short: "Long pieces of work: list, show, cancel, wait",
		Example: `  panal task list
  panal start web --detach | xargs panal task wait`,
		Args: a.noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, sub := range []*cobra.Command{a.taskListCommand(), a.taskShowCommand(), a.taskCancelCommand(), a.taskWaitCommand()} {
		sub.DisableFlagsInUseLine = true
		c.AddCommand(sub)
	}
	return c
}

func (a *app) taskListCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List tasks, oldest first",
		Example: "  panal task list --all",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&all, "all", false, "also those that have ended")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.connect(cmd.Context())
		if err != nil {
			return failed("list", "tasks", err)
		}
		list, err := c.Tasks(cmd.Context())
		if err != nil {
			return failed("list", "tasks", err)
		}
		if !all {
			list.Tasks = unended(list.Tasks)
		}
		return a.printTasks(list)
	}
	return c
}

// unended are the tasks at work.
func unended(tasks []api.Task) []api.Task {
	kept := []api.Task{}
	for _, task := range tasks {
		if !task.State.Ended() {
			kept = append(kept, task)
		}
	}
	return kept
}

// printTasks writes a list of tasks.
func (a *app) printTasks(list api.TaskList) error {
	switch {
	case a.json:
		return a.printJSON(list)
	case a.quiet:
		for _, task := range list.Tasks {
			fmt.Fprintln(a.out, task.ID)
		}
		return nil
	case len(list.Tasks) == 0:
		a.note("There are no such tasks.")
		return nil
	}
	rows := make([]table.Row, len(list.Tasks))
	for i, task := range list.Tasks {
		rows[i] = table.Row{task.ID, taskTitle(task), task.State, ago(task.Created), printable(taskDetail(task))}
	}
	a.printTable(table.Row{"ID", "TASK", "STATE", "BEGAN", "PROGRESS"}, rows)
	return nil
}

// taskDetail is how far a task is, or why it failed.
func taskDetail(task api.Task) string {
	if task.Error != nil {
		return task.Error.Detail
	}
	if task.State.Ended() {
		return ""
	}
	step, amount := task.Progress.Step, progressText(task.Progress)
	if step != "" && amount != "" {
		return step + ": " + amount
	}
	return step + amount
}

func (a *app) taskShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show ID",
		Short:             "Show a task",
		Example:           "  panal task show 1a2b --json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return failed("show", "task "+args[0], err)
			}
			task, err := c.Task(cmd.Context(), args[0])
			if err != nil {
				return failed("show", "task "+args[0], err)
			}
			return a.printTask(task)
		},
	}
}

// printTask writes a page about a task.
func (a *app) printTask(task api.Task) error {
	switch {
	case a.json:
		return a.printJSON(task)
	case a.quiet:
		_, err := fmt.Fprintln(a.out, task.State)
		return err
	}
	a.heading(taskTitle(task))
	facts := []fact{{"ID", task.ID}, {"machine", task.Machine}, {"state", string(task.State)}, {"began", ago(task.Created)}}
	if task.Ended != nil {
		facts = append(facts, fact{"took", task.Ended.Sub(task.Created).Round(time.Millisecond).String()})
	}
	facts = append(facts, fact{"progress", printable(taskDetail(task))})
	for _, warning := range task.Warnings {
		facts = append(facts, fact{"warning", printable(warning)})
	}
	a.facts(facts)
	return nil
}

func (a *app) taskCancelCommand() *cobra.Command {
	var detach bool
	c := &cobra.Command{
		Use:               "cancel ID…",
		Short:             "Cancel tasks, and wait until what they had begun is undone",
		Example:           "  panal task cancel 1a2b",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeTask,
	}
	c.Flags().BoolVar(&detach, "detach", false, "do not wait")
	c.RunE = func(cmd *cobra.Command, ids []string) error {
		work := func(ctx context.Context, id string) (api.Task, error) {
			task, err := a.client.CancelTask(ctx, id)
			if err != nil || detach {
				return task, err
			}
			task, err = a.client.WaitTask(ctx, task, nil)
			if task.State == api.TaskCancelled {
				err = nil
			}
			return task, err
		}
		return a.eachTask(cmd.Context(), "cancel", ids, work)
	}
	return c
}

func (a *app) taskWaitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "wait ID…",
		Short: "Wait until tasks have ended",
		Long: `Wait until tasks have ended. The exit code is that of the command that began the
task. ^C leaves; the tasks go on.`,
		Example:           "  panal task wait 1a2b",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeTask,
		RunE: func(cmd *cobra.Command, ids []string) error {
			shown := a.newProgress()
			defer shown.close()
			return a.eachTask(cmd.Context(), "wait", ids, func(ctx context.Context, id string) (api.Task, error) {
				task, err := a.client.Task(ctx, id)
				if err != nil {
					return task, err
				}
				return a.client.WaitTask(ctx, task, shown.update)
			})
		},
	}
}

// eachTask does something with each task, in their order.
func (a *app) eachTask(ctx context.Context, verb string, ids []string, do func(context.Context, string) (api.Task, error)) error {
	if _, err := a.connect(ctx); err != nil {
		return failed(verb, "task "+ids[0], err)
	}
	outcomes := make([]outcome, len(ids))
	for i, id := range ids {
		task, err := do(ctx, id)
		outcomes[i] = outcome{name: "task " + id, task: task, err: err}
	}
	return a.reportEach(verb, outcomes, func(o outcome) error {
		a.warn(o.name, o.task.Warnings)
		if a.json {
			return a.printJSON(o.task)
		}
		a.say("%s: %s", taskTitle(o.task), o.task.State)
		return nil
	})
}
