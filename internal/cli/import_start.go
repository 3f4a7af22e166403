package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/panalvm/panal/api"
)

// sayIntegrity says what is known of an appliance's manifest and signature. Disks and
// folders of machines never have any.
func (a *app) sayIntegrity(thing, kind string, task api.Task) {
	if task.Result.Integrity != "" && (kind == "ovf" || kind == "xva") && !a.json {
		fmt.Fprintf(a.err, "%s: %s\n", printable(thing), printable(task.Result.Integrity))
	}
}

// allImported says which machines were made, and starts them if that is wanted, in the
// order and with the pauses that the appliance asks for.
func (a *app) allImported(ctx context.Context, machines []api.PlannedMachine, start bool) error {
	for i, m := range machines {
		begins := start && (m.Start == nil || !m.Start.Never)
		if err := a.imported(ctx, m.Spec, begins); err != nil {
			return err
		}
		if !start || i+1 == len(machines) || !isLastOfStep(machines, i) {
			continue
		}
		if err := a.pause(ctx, machines, i); err != nil {
			return err
		}
	}
	return nil
}

// isLastOfStep tells whether the next machine starts in a later step.
func isLastOfStep(machines []api.PlannedMachine, i int) bool {
	this, next := machines[i].Start, machines[i+1].Start
	return this != nil && next != nil && this.Step != next.Step
}

// pause waits before the next step, as long as the machine of this one asks for that asks for
// most, and no longer than until the guests are up where that is enough.
func (a *app) pause(ctx context.Context, machines []api.PlannedMachine, last int) error {
	step := machines[last].Start.Step
	until := time.Now()
	for i := last; i >= 0 && machines[i].Start != nil && machines[i].Start.Step == step; i-- {
		m := machines[i]
		if m.Start.Never || m.Start.Seconds <= 0 {
			continue
		}
		most := time.Duration(m.Start.Seconds) * time.Second
		if m.Start.Guest {
			fmt.Fprintf(a.err, "waiting until %s is up, %s at most\n", m.Spec.Name, most)
			if _, err := a.await(ctx, m.Spec.Name, goals["agent"], most, true); err != nil && ctx.Err() == nil {
				a.warn(m.Spec.Name, []string{"starting the next machines, though: " + err.Error()})
			}
			continue
		}
		if end := time.Now().Add(most); end.After(until) {
			until = end
		}
	}
	if wait := time.Until(until); wait > 0 {
		fmt.Fprintf(a.err, "waiting %s before the next machines start\n", wait.Round(time.Second))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

// imported says that a machine was made, and starts it if that is wanted.
func (a *app) imported(ctx context.Context, spec api.Spec, start bool) error {
	done := "imported"
	if start {
		task, err := a.client.Start(context.WithoutCancel(ctx), spec.Name)
		if err != nil {
			return failed("start", spec.Name, err)
		}
		if _, err = a.followShown(ctx, task); err != nil {
			return failed("start", spec.Name, err)
		}
		done = "imported and running"
	}
	return a.showCreated(ctx, spec.Name, done)
}

// startText is when a machine starts among others, in words.
func startText(s api.PlannedStart) string {
	if s.Never {
		return "not with the others"
	}
	text := fmt.Sprintf("in step %d", s.Step+1)
	wait := time.Duration(s.Seconds) * time.Second
	switch {
	case s.Seconds > 0 && s.Guest:
		text += fmt.Sprintf("; the next waits until the guest is up, %s at most", wait)
	case s.Seconds > 0:
		text += fmt.Sprintf("; the next waits %s", wait)
	}
	return text
}
