package cli

import (
	"context"
	"fmt"
	"sync"

	"github.com/panalvm/panal/api"
)

// outcome is what became of one of several machines.
type outcome struct {
	name string
	task api.Task
	err  error
}

// taskWork is a command that begins a task for each machine it is given.
type taskWork struct {
	verb   string // start
	done   string // started: what is said at the end
	detach bool   // print the tasks' IDs and leave
	begin  func(ctx context.Context, name string) (api.Task, error)
	after  func(ctx context.Context, task api.Task) error // what else to wait for, may be nil
	// say, if not nil, is what is said at the end in place of done.
	say func(ctx context.Context, task api.Task) string
}

// runTasks begins the work on all machines in their order, waits for all of
// them at once, and reports in their order. The tasks are begun even when ^C
// comes in between: only then are their IDs known, and they can be cancelled.
func (a *app) runTasks(ctx context.Context, names []string, w taskWork) error {
	if _, err := a.connect(ctx); err != nil {
		return failed(w.verb, names[0], err)
	}
	outcomes := make([]outcome, len(names))
	for i, name := range names {
		o := outcome{name: name}
		if o.err = ctx.Err(); o.err == nil {
			o.task, o.err = w.begin(context.WithoutCancel(ctx), name)
		}
		outcomes[i] = o
	}
	if w.detach {
		return a.reportDetached(w, outcomes)
	}
	shown := a.newProgress()
	var waiting sync.WaitGroup
	for i := range outcomes {
		if o := &outcomes[i]; o.err == nil {
			waiting.Go(func() { a.finish(ctx, o, w, shown) })
		}
	}
	waiting.Wait()
	shown.close()
	return a.reportTasks(ctx, w, outcomes)
}

// finish waits for one machine's task, and for what comes after it.
func (a *app) finish(ctx context.Context, o *outcome, w taskWork, shown *progress) {
	o.task, o.err = a.follow(ctx, o.task, shown)
	if o.err == nil && w.after != nil {
		o.err = w.after(ctx, o.task)
	}
}

// reportTasks says what became of each machine.
func (a *app) reportTasks(ctx context.Context, w taskWork, outcomes []outcome) error {
	return a.reportEach(w.verb, outcomes, func(o outcome) error {
		a.warn(o.name, o.task.Warnings)
		if a.json {
			return a.printJSON(o.task)
		}
		done := w.done
		if w.say != nil {
			done = w.say(ctx, o.task)
		}
		a.say("%s: %s", o.displayName(), done)
		return nil
	})
}

// reportDetached gives the tasks' IDs.
func (a *app) reportDetached(w taskWork, outcomes []outcome) error {
	return a.reportEach(w.verb, outcomes, func(o outcome) error {
		if a.json {
			return a.printJSON(o.task)
		}
		_, err := fmt.Fprintln(a.out, o.task.ID)
		return err
	})
}

// reportEach reports each machine: one that failed on standard error.
func (a *app) reportEach(verb string, outcomes []outcome, succeeded func(outcome) error) error {
	var errs []error
	for _, o := range outcomes {
		err := o.err
		if err == nil {
			err = succeeded(o)
		}
		if err != nil {
			err = failed(verb, o.name, err)
			errs = append(errs, err)
			if len(outcomes) > 1 {
				fmt.Fprintln(a.err, "panal: "+oneLine(err))
			}
		}
	}
	switch {
	case len(errs) == 0:
		return nil
	case len(outcomes) == 1:
		return errs[0]
	}
	return severalError{errs}
}

// displayName is the machine's name, where what the user typed was only the
// beginning of it or of its UUID.
func (o outcome) displayName() string {
	if o.task.Name != "" {
		return o.task.Name
	}
	return o.name
}

// runEach does something quick with each machine, in their order.
func (a *app) runEach(ctx context.Context, names []string, verb, done string, do func(context.Context, string) (api.Machine, error)) error {
	if _, err := a.connect(ctx); err != nil {
		return failed(verb, names[0], err)
	}
	machines := map[string]api.Machine{}
	outcomes := make([]outcome, len(names))
	for i, name := range names {
		machine, err := do(ctx, name)
		machines[name] = machine
		outcomes[i] = outcome{name: name, err: err}
	}
	return a.reportEach(verb, outcomes, func(o outcome) error {
		machine := machines[o.name]
		if a.json {
			return a.printJSON(machine)
		}
		a.say("%s: %s", machine.Spec.Name, done)
		return nil
	})
}
