package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/panalvm/panal/api"
)

// patience is how long a task may take before its progress is shown: most end
// sooner, and would only flicker.
const patience = 300 * time.Millisecond

// progress shows how far tasks have come, on a terminal only.
type progress struct {
	mu        sync.Mutex
	container *mpb.Progress
	bars      map[string]*bar
	app       *app
}

// bar is the line of one task.
type bar struct {
	mu   sync.Mutex
	task api.Task
	line *mpb.Bar
}

// newProgress returns a progress display, or nil where nobody would see it; a
// nil display takes calls and does nothing.
func (a *app) newProgress() *progress {
	if a.quiet || !isTerminal(a.err) {
		return nil
	}
	return &progress{app: a, bars: map[string]*bar{}}
}

// update shows a task's newest state.
func (p *progress) update(task api.Task) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	shown := p.bars[task.ID]
	if shown == nil {
		if task.State.Ended() || time.Since(task.Created) < patience {
			return
		}
		shown = p.add(task)
	}
	shown.set(task)
}

// add makes a task's line. The caller holds p.mu.
func (p *progress) add(task api.Task) *bar {
	if p.container == nil {
		p.container = mpb.New(mpb.WithOutput(p.app.err), mpb.WithRefreshRate(150*time.Millisecond), mpb.WithWidth(64))
	}
	b := &bar{task: task}
	b.line = p.container.New(max(task.Progress.Total, 1), mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return b.label() + " " })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + b.amount() })))
	p.bars[task.ID] = b
	return b
}

// close takes the lines away.
func (p *progress) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.container == nil {
		return
	}
	for _, b := range p.bars {
		b.line.Abort(true)
	}
	p.container.Wait()
}

func (b *bar) set(task api.Task) {
	b.mu.Lock()
	b.task = task
	b.mu.Unlock()
	if task.State.Ended() {
		b.line.Abort(true)
		return
	}
	b.line.SetTotal(max(task.Progress.Total, 1), false)
	b.line.SetCurrent(min(task.Progress.Done, max(task.Progress.Total, 1)-1))
}

func (b *bar) label() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	label := taskTitle(b.task)
	if b.task.State == api.TaskCancelling {
		return label + ": undoing"
	}
	if b.task.Progress.Step != "" {
		label += ": " + printable(b.task.Progress.Step)
	}
	return label
}

func (b *bar) amount() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return progressText(b.task.Progress)
}

// taskTitle is what a task does, on what.
func taskTitle(task api.Task) string {
	_, verb, found := strings.Cut(task.Kind, ".")
	if !found {
		verb = task.Kind
	}
	return strings.TrimSpace(verb + " " + task.Name)
}

// progressText is how much is done, how fast, and how long it will take.
func progressText(p api.Progress) string {
	number := func(n int64) string {
		if p.Unit == "bytes" {
			return human(n)
		}
		return fmt.Sprint(n)
	}
	if p.Total <= 0 {
		if p.Done > 0 {
			return number(p.Done)
		}
		return ""
	}
	parts := fmt.Sprintf("%s of %s", number(p.Done), number(p.Total))
	if p.Rate > 0 {
		left := time.Duration(float64(p.Total-p.Done) / float64(p.Rate) * float64(time.Second))
		parts += fmt.Sprintf(", %s/s, %s left", number(p.Rate), left.Round(time.Second))
	}
	return parts
}

// followShown waits for a task's end, with its progress shown.
func (a *app) followShown(ctx context.Context, task api.Task) (api.Task, error) {
	shown := a.newProgress()
	defer shown.close()
	return a.follow(ctx, task, shown)
}

// follow waits for a task's end and shows its progress. When ctx ends, the task
// is cancelled and follow waits until what it had begun is undone: a second ^C
// ends the program, and the daemon goes on undoing by itself.
func (a *app) follow(ctx context.Context, task api.Task, shown *progress) (api.Task, error) {
	task, err := a.client.WaitTask(ctx, task, shown.update)
	if ctx.Err() == nil || task.State.Ended() {
		return task, err
	}
	a.note("%s: cancelling (^C again to leave that to the daemon)", taskTitle(task))
	beyond := context.WithoutCancel(ctx)
	if _, err := a.client.CancelTask(beyond, task.ID); err != nil && codeOf(err) != ExitConflict {
		return task, err // a conflict: it has ended meanwhile
	}
	return a.client.WaitTask(beyond, task, shown.update)
}
