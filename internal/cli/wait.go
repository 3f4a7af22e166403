package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// goal is something that a machine can be waited for to become.
type goal struct {
	words   string // what is said of a machine that is there
	reached func(api.Status) bool
}

// goals are what --for takes.
var goals = map[string]goal{
	"off":     {"off", inState(api.StateOff)},
	"running": {"running", inState(api.StateRunning)},
	"paused":  {"paused", inState(api.StatePaused)},
	"saved":   {"saved", inState(api.StateSaved)},
	"agent":   {"running, its agent connected", func(s api.Status) bool { return s.Agent && s.State == api.StateRunning }},
	"idle":    {"idle", func(s api.Status) bool { return s.Task == "" }},
}

func inState(state api.State) func(api.Status) bool {
	return func(s api.Status) bool { return s.State == state }
}

// goalNames are what --for takes, for people.
func goalNames() string {
	return strings.Join(slices.Sorted(maps.Keys(goals)), ", ")
}

func (a *app) waitCommand() *cobra.Command {
	var what string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "wait NAME",
		Short: "Wait until a machine is in a state",
		Long: `Wait until a machine is in a state: off, running, paused or saved; until its
guest's agent has connected (agent); or until no task works on it (idle). It
returns at once when that is so already. Nothing is polled.`,
		Example: `  panal wait web --for off
  panal wait web --for agent --timeout 2m`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeMachine,
	}
	c.Flags().StringVar(&what, "for", "running", "one of "+goalNames())
	durationVar(c.Flags(), &timeout, "timeout", 0, "fail after this long, such as 90s; 0 for never")
	_ = c.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(slices.Sorted(maps.Keys(goals)), cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		goal, known := goals[what]
		if !known {
			return usageError{fmt.Sprintf("--for takes one of %s, not %q", goalNames(), what)}
		}
		if _, err := a.connect(cmd.Context()); err != nil {
			return failed("wait", args[0], err)
		}
		machine, err := a.await(cmd.Context(), args[0], goal, timeout, false)
		if err != nil {
			return failed("wait", args[0], err)
		}
		if a.json {
			return a.printJSON(machine)
		}
		a.say("%s: %s", machine.Spec.Name, goal.words)
		return nil
	}
	return c
}

// await follows a machine until it has reached a goal. With mustLive it fails
// when the machine's process ends instead. A timeout of 0 is none.
func (a *app) await(ctx context.Context, name string, goal goal, timeout time.Duration, mustLive bool) (api.Machine, error) {
	if timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		machine, err := a.awaitEvents(limited, name, goal, mustLive)
		if limited.Err() == context.DeadlineExceeded && err != nil && ctx.Err() == nil {
			err = tooLate(machine, timeout)
		}
		return machine, err
	}
	return a.awaitEvents(ctx, name, goal, mustLive)
}

// tooLate is the error of a machine that has not reached its goal in time.
func tooLate(machine api.Machine, timeout time.Duration) error {
	if machine.Status.State == "" {
		return fmt.Errorf("the daemon has not told its state within %s", timeout)
	}
	return fmt.Errorf("after %s it is %s", timeout, describeStatus(machine.Status))
}

// awaitEvents follows a machine's events, and begins afresh when they are gone.
func (a *app) awaitEvents(ctx context.Context, name string, goal goal, mustLive bool) (api.Machine, error) {
	for {
		// The stream's place is taken before the machine is read: what changes
		// in between comes again.
		info, err := a.client.Info(ctx)
		if err != nil {
			return api.Machine{}, err
		}
		machine, err := a.client.Get(ctx, name)
		if err != nil {
			return machine, err
		}
		if done, err := judge(machine, goal, mustLive); done {
			return machine, err
		}
		name = machine.Spec.UUID
		machine, err = a.awaitChange(ctx, machine, info.Revision, goal, mustLive)
		if client.KindOf(err) != api.KindGone {
			return machine, err
		}
	}
}

// awaitChange reads the machine's events until the goal is reached.
func (a *app) awaitChange(ctx context.Context, machine api.Machine, since int64, goal goal, mustLive bool) (api.Machine, error) {
	for event, err := range a.client.Events(ctx, since, client.EventFilter{Machine: machine.Spec.UUID}) {
		if err != nil {
			return machine, err
		}
		if event.Machine == nil || event.Machine.Spec.UUID != machine.Spec.UUID || event.Machine.Revision < machine.Revision {
			continue
		}
		machine = *event.Machine
		if event.Type == api.MachineDeleted {
			return machine, &api.Problem{Kind: api.KindNotFound, Detail: "it was deleted"}
		}
		if done, err := judge(machine, goal, mustLive); done {
			return machine, err
		}
	}
	return machine, ctx.Err()
}

// judge says whether waiting is over: the goal is reached, or cannot be.
func judge(machine api.Machine, goal goal, mustLive bool) (bool, error) {
	if goal.reached(machine.Status) {
		return true, nil
	}
	ended := machine.Status.State == api.StateOff || machine.Status.State == api.StateSaved
	if mustLive && ended {
		return true, fmt.Errorf("it is %s", describeStatus(machine.Status))
	}
	return false, nil
}

// describeStatus is a machine's state, and why if it ended.
func describeStatus(s api.Status) string {
	text := string(s.State)
	if s.State == api.StateOff && s.LastEnd != nil {
		text += " (" + describeEnd(*s.LastEnd) + ")"
	}
	if s.State == api.StateRunning && !s.Agent {
		text += ", without a connected agent"
	}
	return text
}
