// Package fault lets tests strike the daemon at named places. Code that must
// survive a crash or a full disk between two of its steps says
//
//	if err := fault.At(ctx, "create.folder-made"); err != nil {
//		return err
//	}
//
// there. Nothing happens unless the context carries a [Plan]; `panal daemon`
// puts one in when PANAL_FAULT is set, and says so in its log. A plan is a list
// of rules joined by commas:
//
//	kill:save.*        kill the process at the first place whose name matches
//	kill:*@17          ... at the 17th place passed, whatever its name
//	fail:create.disk   the place returns an error, every time from the first on
//	nospace:*@3        the place returns ENOSPC, from the third on
//	cancel:*@17        what goes on is cancelled there, once, as by its user
//	wait:stream.begun  stand still there until what goes on is cancelled
//	trace:/tmp/places  append the name of every place passed to a file
//	file:/tmp/plan     the plan that is in a file (put there by a rename) when a
//	                   task begins; what begins later may find another one
//
// A test runs an operation once with trace to learn the places, then once for
// every place with kill, and looks at what is left.
package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Plan is what is to go wrong. Its zero value does nothing.
type Plan struct {
	mu    sync.Mutex // guards the counts of the rules
	rules []*rule
}

type rule struct {
	action, pattern string
	from, passed    int
	// Of a file: the plan in it, and which file that was.
	inner *Plan
	read  os.FileInfo
}

type (
	planKey   struct{}
	cancelKey struct{}
)

// Parse reads a plan in the language of the package comment.
func Parse(text string) (*Plan, error) {
	plan := &Plan{}
	for word := range strings.SplitSeq(text, ",") {
		if word == "" {
			continue
		}
		parsed, err := parseRule(word)
		if err != nil {
			return nil, err
		}
		plan.rules = append(plan.rules, parsed)
	}
	return plan, nil
}

func parseRule(word string) (*rule, error) {
	action, pattern, found := strings.Cut(word, ":")
	if !found || pattern == "" {
		return nil, fmt.Errorf("fault %q: want ACTION:PLACE", word)
	}
	r := &rule{action: action, pattern: pattern, from: 1}
	switch action {
	case "trace", "file":
		return r, nil
	case "kill", "fail", "nospace", "cancel", "wait":
	default:
		return nil, fmt.Errorf("fault %q: there is no action %q", word, action)
	}
	place, count, counted := strings.Cut(pattern, "@")
	if counted {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("fault %q: %q is no count", word, count)
		}
		r.pattern, r.from = place, n
	}
	if _, err := path.Match(r.pattern, ""); err != nil {
		return nil, fmt.Errorf("fault %q: %w", word, err)
	}
	return r, nil
}

// With returns a context under which the plan is carried out.
func With(ctx context.Context, plan *Plan) context.Context {
	return context.WithValue(ctx, planKey{}, plan)
}

// Cancellable returns a context of work that a plan may cancel by calling cancel.
func Cancellable(ctx context.Context, cancel func()) context.Context {
	return context.WithValue(ctx, cancelKey{}, cancel)
}

// Begin returns a context for work that begins now: if the plan is in a file, the work keeps
// the one that is there, and its last steps are not counted as places of the next one.
func Begin(ctx context.Context) context.Context {
	plan, _ := ctx.Value(planKey{}).(*Plan)
	if plan == nil || len(plan.rules) != 1 || plan.rules[0].action != "file" {
		return ctx
	}
	plan.mu.Lock()
	defer plan.mu.Unlock()
	if err := plan.rules[0].readFile(); err != nil {
		return ctx // which [At] says
	}
	return With(ctx, plan.rules[0].inner)
}

// At marks a place. It returns nil, or the error the plan asks for there; or it
// does not return, when the plan asks for the process to be killed.
func At(ctx context.Context, place string) error {
	plan, _ := ctx.Value(planKey{}).(*Plan)
	if plan == nil {
		return nil
	}
	switch err := plan.at(place); {
	case errors.Is(err, errWait):
		<-ctx.Done()
		return context.Cause(ctx)
	case errors.Is(err, errCancel):
		// Nothing is said of it here: the work has to notice by itself, or to be done.
		if cancel, ok := ctx.Value(cancelKey{}).(func()); ok {
			cancel()
		}
		return nil
	default:
		return err
	}
}

func (p *Plan) at(place string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rules {
		if err := r.at(place); err != nil {
			return err
		}
	}
	return nil
}

func (r *rule) at(place string) error {
	switch r.action {
	case "trace":
		return trace(r.pattern, place)
	case "file":
		return r.inFile(place)
	}
	if matched, _ := path.Match(r.pattern, place); !matched {
		return nil
	}
	if r.passed++; r.passed < r.from || r.action == "cancel" && r.passed > r.from {
		return nil
	}
	return strike(r.action, place)
}

// inFile carries out the plan in the file of a rule.
func (r *rule) inFile(place string) error {
	if err := r.readFile(); err != nil {
		return err
	}
	return r.inner.at(place)
}

// readFile reads the plan in the file of a rule, if it is another one than last time.
func (r *rule) readFile() error {
	info, err := os.Stat(r.pattern)
	if err != nil {
		return fmt.Errorf("plan of faults: %w", err)
	}
	if r.read != nil && os.SameFile(r.read, info) && r.read.ModTime().Equal(info.ModTime()) {
		return nil
	}
	text, err := os.ReadFile(r.pattern)
	if err != nil {
		return fmt.Errorf("plan of faults: %w", err)
	}
	if r.inner, err = Parse(strings.TrimSpace(string(text))); err != nil {
		return err
	}
	r.read = info
	return nil
}

// What is done without the plan's lock: standing still must not keep others from passing places.
var (
	errWait   = errors.New("stand still")
	errCancel = errors.New("cancel")
)

func strike(action, place string) error {
	switch action {
	case "kill":
		// SIGKILL cannot be caught: nothing is flushed, closed or undone.
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "wait":
		return errWait
	case "cancel":
		return errCancel
	case "nospace":
		return fmt.Errorf("at %s: %w", place, syscall.ENOSPC)
	}
	return fmt.Errorf("at %s: a fault was asked for", place)
}

func trace(file, place string) error {
	out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("trace of faults: %w", err)
	}
	if _, err := fmt.Fprintln(out, place); err != nil {
		_ = out.Close()
		return fmt.Errorf("trace of faults: %w", err)
	}
	return out.Close()
}
