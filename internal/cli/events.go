package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

func (a *app) eventsCommand() *cobra.Command {
	var since int64
	var machine string
	c := &cobra.Command{
		Use:   "events",
		Short: "Follow what happens, until ^C",
		Long: `Follow what happens to machines and tasks, in its order, and by what the host makes
room where it runs short of memory. With --json each event
is one line. The stream goes on by itself when the daemon is restarted, and
nothing is missed: to go on after the command itself was ended, give the last
revision it printed to --since.`,
		Example: `  panal events
  panal events --machine web --json | jq -r .type`,
		Args: cobra.NoArgs,
	}
	c.Flags().Int64Var(&since, "since", client.FromNow, "begin after this revision; -1 for now")
	c.Flags().StringVar(&machine, "machine", "", "only this machine's events")
	_ = c.RegisterFlagCompletionFunc("machine", func(cmd *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
		return a.completeMachine(cmd, nil, begin)
	})
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		c, err := a.connect(ctx)
		if err != nil {
			return failed("follow", "events", err)
		}
		var filter client.EventFilter
		if machine != "" {
			found, err := c.Get(ctx, machine)
			if err != nil {
				return failed("follow", "events of "+machine, err)
			}
			filter.Machine = found.Spec.UUID
		}
		for event, err := range c.Events(ctx, since, filter) {
			if ctx.Err() != nil {
				return nil // ^C is how this command ends
			}
			if err == nil {
				err = a.printEvent(event)
			}
			if err != nil {
				return failed("follow", "events", err)
			}
		}
		return nil
	}
	return c
}

// printEvent writes one line.
func (a *app) printEvent(event api.Event) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(event)
	}
	_, err := fmt.Fprintf(a.out, "%d  %-15s  %s\n", event.Revision, event.Type, describeEvent(event))
	return err
}

// describeEvent is what happened, for people.
func describeEvent(event api.Event) string {
	switch {
	case event.Type == api.MachineState && event.Machine != nil:
		text := fmt.Sprintf("%s: %s → %s", event.Machine.Spec.Name, event.From, event.Machine.Status.State)
		if end := event.Machine.Status.LastEnd; end != nil && event.Machine.Status.State == api.StateOff {
			text += " (" + describeEnd(*end) + ")"
		}
		return text
	case event.Machine != nil:
		if event.Step == nil {
			return event.Machine.Spec.Name
		}
		return event.Machine.Spec.Name + ": memory " + describeStep(*event.Step)
	case event.Memory != nil:
		return describeStage(*event.Memory)
	case event.Task != nil:
		text := fmt.Sprintf("%s: %s", taskTitle(*event.Task), event.Task.State)
		if detail := taskDetail(*event.Task); detail != "" {
			text += ", " + printable(detail)
		}
		return text
	}
	return ""
}

// describeStep is what was done with a machine's memory, for people.
func describeStep(step api.MemoryStep) string {
	if step.From == step.To {
		return fmt.Sprintf("%s: %s", step.Action, printable(step.Reason))
	}
	return fmt.Sprintf("%s from %s to %s: %s", step.Action, human(int64(step.From)), human(int64(step.To)), printable(step.Reason))
}

// describeStage is by what a host makes room for memory, for people.
func describeStage(stage api.HostMemory) string {
	if stage.Reason == "" {
		return fmt.Sprintf("the host's memory: %s", stage.Stage)
	}
	return fmt.Sprintf("the host's memory: %s: %s", stage.Stage, printable(stage.Reason))
}
