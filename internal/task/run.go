package task

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/fault"
	"github.com/panalvm/panal/internal/state"
)

// reportEvery is how often progress is stored, and so how often clients hear of
// it. More would only fill the store's history.
const reportEvery = 200 * time.Millisecond

// Run is a task while it runs. Its methods may be called from several
// goroutines.
type Run struct {
	manager *Manager
	id      string
	ctx     context.Context
	cancel  context.CancelCauseFunc
	over    chan struct{} // closed when the task's end is stored
	full    chan struct{} // closed when there was no space to store it
	noted   sync.Once     // guards the closing of full

	mu       sync.Mutex // guards what follows
	record   Record
	revision state.Revision
	reported time.Time
	meter    meter
}

func newRun(m *Manager, record Record, revision state.Revision) *Run {
	ctx, cancel := context.WithCancelCause(fault.Begin(m.base))
	ctx = fault.Cancellable(ctx, func() { cancel(errCancelled) })
	return &Run{manager: m, id: record.ID, ctx: ctx, cancel: cancel, record: record, revision: revision, over: make(chan struct{}), full: make(chan struct{})}
}

// noteFull tells those who do not wait for space that there is none.
func (r *Run) noteFull() { r.noted.Do(func() { close(r.full) }) }

// ID is the task's ID.
func (r *Run) ID() string { return r.id }

// Journal writes down how to undo what the caller is about to do. When it
// returns an error the step must not be taken.
func (r *Run) Journal(ctx context.Context, steps ...Undo) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.record
	next.Journal = append(slices.Clip(next.Journal), steps...)
	return r.store(ctx, next)
}

// Step says what the task does now, in plain words.
func (r *Run) Step(step string) { r.Report(api.Progress{Step: step}) }

// Report says how far the task has come. It is cheap to call often; what is
// stored is the newest report, a few times a second.
func (r *Run) Report(p api.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	p.Rate = r.meter.rate(p, now)
	r.record.Progress = p
	if now.Sub(r.reported) < reportEvery {
		return
	}
	r.reported = now
	if err := r.store(context.WithoutCancel(r.ctx), r.record); err != nil {
		r.manager.log.Warn("progress could not be stored", "task", r.id, "error", err)
	}
}

// Result notes what comes of the task, to be stored with its end.
func (r *Run) Result(note func(*api.TaskResult)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	note(&r.record.Result)
}

// Warn adds something that the user should know although the task goes on.
func (r *Run) Warn(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.record.Warnings, text) { // an undoing that is tried again fails again
		r.record.Warnings = append(slices.Clip(r.record.Warnings), text)
	}
}

// End ends the task as done and commits ops with it. After it nothing is undone
// any more; the work returns nil. When it returns an error nothing was
// committed, and the work returns that error. An ended task ends once.
func (r *Run) End(ctx context.Context, ops ...state.Op) error {
	if r.hasEnded() {
		return nil
	}
	return r.end(ctx, api.TaskDone, nil, ops)
}

func (r *Run) end(ctx context.Context, as api.TaskState, failure *api.Problem, ops []state.Op) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now().UTC()
	next := r.record
	next.State, next.Error, next.Ended, next.Journal = as, failure, &now, nil
	// A cancel that comes now must not leave it open whether this was stored.
	return r.store(context.WithoutCancel(ctx), next, ops...)
}

// markCancelling reports whether the task could still be asked to stop.
func (r *Run) markCancelling(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.record.State.Ended() {
		return false
	}
	next := r.record
	next.State = api.TaskCancelling
	if err := r.store(ctx, next); err != nil {
		r.manager.log.Warn("a cancel could not be stored", "task", r.id, "error", err)
	}
	r.cancel(errCancelled)
	return true
}

// store commits the record; r.mu is held.
func (r *Run) store(ctx context.Context, next Record, ops ...state.Op) error {
	object := state.Object[Record]{Key: r.id, Revision: r.revision, Value: next}
	op, err := r.manager.tasks.UpdateOp(ctx, object)
	if err != nil {
		return err
	}
	revision, err := r.manager.store.Commit(ctx, append(slices.Clip(ops), op)...)
	if err != nil {
		return err
	}
	r.record, r.revision = next, revision
	return nil
}

func (r *Run) task() api.Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	return AsTask(state.Object[Record]{Key: r.id, Revision: r.revision, Value: r.record})
}

func (r *Run) journal() []Undo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.record.Journal)
}

func (r *Run) hasEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record.State.Ended()
}

// meter measures the rate of a task's progress over the last seconds.
type meter struct {
	step  string
	since time.Time
	from  int64
	last  int64
}

// meterWindow is how far back the rate looks, at most twice that.
const meterWindow = 3 * time.Second

func (m *meter) rate(p api.Progress, now time.Time) int64 {
	if p.Step != m.step || p.Done < m.from || m.since.IsZero() {
		*m = meter{step: p.Step, since: now, from: p.Done}
		return 0
	}
	elapsed := now.Sub(m.since)
	if elapsed <= 0 {
		return m.last
	}
	m.last = int64(float64(p.Done-m.from) / elapsed.Seconds())
	if elapsed > 2*meterWindow {
		m.since, m.from = now.Add(-meterWindow), p.Done-int64(float64(m.last)*meterWindow.Seconds())
	}
	return m.last
}
