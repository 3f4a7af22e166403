package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/state"
)

// kept is how many ended tasks are remembered.
const kept = 200

// errCancelled is the cause of a cancelled task's context. Work may return it
// in place of the context's own error, and means the same.
var errCancelled error = cancellation{}

// errClosing is the cause of a task's context when the daemon is stopping.
var errClosing error = problem.New(api.KindUnavailable, "run it again", "the daemon is stopping")

// cancellation is context.Canceled in words for a user.
type cancellation struct{}

func (cancellation) Error() string        { return "the task was cancelled" }
func (cancellation) Is(target error) bool { return target == context.Canceled }

// Manager runs tasks and keeps their records.
type Manager struct {
	store   state.Store
	tasks   *state.Collection[Record]
	undoers map[string]Undoer
	log     *slog.Logger

	base   context.Context // ends when the manager is closed
	cancel context.CancelCauseFunc
	group  sync.WaitGroup

	mu      sync.Mutex // guards what follows; taken before a Run's own
	closed  bool
	running map[string]*Run
	ended   []string // IDs, oldest first
}

// Open makes a manager over a store. Work is run under contexts derived from
// ctx's values; it goes on until it ends or Close is called. Call [Manager.Recover]
// once, before the first Begin.
func Open(ctx context.Context, store state.Store, undoers map[string]Undoer, log *slog.Logger) *Manager {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	return &Manager{
		store: store, tasks: state.NewCollection[Record](store, Prefix),
		undoers: undoers, log: log, base: base, cancel: cancel,
		running: map[string]*Run{},
	}
}

// Order says what a task is.
type Order struct {
	ID      string // from NewID; empty for one made by Begin
	Kind    string // such as machine.start
	Machine string // UUID of the machine it works on, if any
	Name    string // that machine's name
	// Ops are committed together with the task's record: when they do not hold,
	// there is no task. They are how a task claims what it works on.
	Ops []state.Op
	// Journal is how to undo Ops.
	Journal []Undo
}

// Work is what a task does. Its context ends when the task is cancelled. When
// it returns an error the journal is undone; when it returns nil without having
// called [Run.End], the task ends as done.
type Work func(ctx context.Context, run *Run) error

// Begin commits a task and its claim, starts the work, and returns at once.
func (m *Manager) Begin(ctx context.Context, order Order, work Work) (api.Task, error) {
	record := Record{
		Task: api.Task{
			ID: cmp.Or(order.ID, NewID()), Kind: order.Kind, Machine: order.Machine, Name: order.Name,
			State: api.TaskRunning, Created: time.Now().UTC(),
		},
		Journal: order.Journal,
	}
	create, err := m.tasks.CreateOp(record.ID, record)
	if err != nil {
		return api.Task{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return api.Task{}, problem.New(api.KindUnavailable, "try again in a moment", "%s: the daemon is stopping", order.Kind)
	}
	revision, err := m.store.Commit(ctx, append(order.Ops, create)...)
	if err != nil {
		return api.Task{}, err
	}
	run := newRun(m, record, revision)
	m.running[record.ID] = run
	begun := run.task() // as it is now: the work may have ended before this returns
	m.group.Go(func() { m.carryOut(run, work) })
	return begun, nil
}

// List returns all tasks that are kept, oldest first.
func (m *Manager) List(ctx context.Context) (api.TaskList, error) {
	objects, revision, err := m.tasks.List(ctx)
	if err != nil {
		return api.TaskList{}, err
	}
	list := api.TaskList{Revision: int64(revision), Tasks: make([]api.Task, 0, len(objects))}
	for _, object := range objects {
		list.Tasks = append(list.Tasks, AsTask(object))
	}
	slices.SortStableFunc(list.Tasks, func(a, b api.Task) int { return a.Created.Compare(b.Created) })
	return list, nil
}

// Get returns the task with an ID, or with the only ID that begins so.
func (m *Manager) Get(ctx context.Context, id string) (api.Task, error) {
	list, err := m.List(ctx)
	if err != nil {
		return api.Task{}, err
	}
	var found []api.Task
	for _, t := range list.Tasks {
		if t.ID == id {
			return t, nil
		}
		if id != "" && strings.HasPrefix(t.ID, id) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return api.Task{}, problem.New(api.KindNotFound, "`panal task list` shows those that are kept", "there is no task %q", id)
	case 1:
		return found[0], nil
	}
	return api.Task{}, problem.New(api.KindAmbiguous, "give more of it", "%d tasks begin with %q", len(found), id)
}

// Cancel asks a task to stop and to undo what it has begun. It returns at once;
// the task has ended when its state says so.
func (m *Manager) Cancel(ctx context.Context, id string) (api.Task, error) {
	found, err := m.Get(ctx, id)
	if err != nil {
		return api.Task{}, err
	}
	run := m.run(found.ID)
	if run == nil || !run.markCancelling(ctx) {
		return api.Task{}, problem.New(api.KindWrongState, "", "task %s (%s) has ended already", found.ID, found.Kind)
	}
	return run.task(), nil
}

// run is a task that runs; nil of one that has ended or never was.
func (m *Manager) run(id string) *Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[id]
}

// Wait waits until a task that runs has ended and its end is stored. It returns
// at once for one that has ended or never was.
func (m *Manager) Wait(ctx context.Context, id string) error {
	run := m.run(id)
	if run == nil {
		return nil
	}
	select {
	case <-run.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WaitWithSpace is Wait for those who have something else to do than to wait for space: the error is
// state.ErrNoSpace where what the task did has ended, but there was no space to store that. The task goes on then until there is.
func (m *Manager) WaitWithSpace(ctx context.Context, id string) error {
	run := m.run(id)
	if run == nil {
		return nil
	}
	select {
	case <-run.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-run.full:
	}
	select {
	case <-run.over: // there was space again
		return nil
	default:
		return fmt.Errorf("the end of task %s cannot be stored: %w", id, state.ErrNoSpace)
	}
}

// Recover undoes and ends the tasks that an earlier daemon left behind. Where after has
// channels for one's ID, what it worked on must not be touched before they are closed: until
// then the task goes on, and Recover does not wait for it.
func (m *Manager) Recover(ctx context.Context, after func(id string) []<-chan struct{}) error {
	objects, _, err := m.tasks.List(ctx)
	if err != nil && !errors.Is(err, state.ErrUndecodable) {
		return fmt.Errorf("read the tasks: %w", err)
	}
	slices.SortFunc(objects, func(a, b state.Object[Record]) int {
		return a.Value.Created.Compare(b.Value.Created)
	})
	for _, object := range objects {
		if object.Value.State.Ended() {
			m.ended = append(m.ended, object.Key)
			continue
		}
		m.log.Warn("undoing a task that was cut off", "task", object.Key, "kind", object.Value.Kind, "machine", object.Value.Name)
		run := newRun(m, object.Value, object.Revision)
		failure := problem.New(api.KindUnavailable, "run it again", "%s was cut off when the daemon ended", object.Value.Kind)
		if ready := after(object.Key); len(ready) > 0 {
			m.recoverLater(run, failure, ready)
		} else {
			m.recoverOne(run, failure)
		}
	}
	return nil
}

// recoverLater ends a task that was cut off once it may be.
func (m *Manager) recoverLater(run *Run, failure error, ready []<-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[run.id] = run
	m.group.Go(func() {
		for _, closed := range ready {
			select {
			case <-closed:
			case <-m.base.Done(): // the next daemon undoes it
				m.leave(run)
				return
			}
		}
		m.carryOut(run, func(context.Context, *Run) error { return failure })
	})
}

// recoverOne ends a task that was cut off: at once, or where there is no space for that once
// there is, for which the daemon's start does not wait.
func (m *Manager) recoverOne(run *Run, failure error) {
	err := m.settle(context.WithoutCancel(run.ctx), run, failure)
	switch {
	case err == nil:
		m.keep(run.id)
		return
	case !errors.Is(err, state.ErrNoSpace):
		m.log.Error("the end of a task that was cut off could not be stored; the next daemon undoes it", "task", run.id, "error", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	run.noteFull()
	m.running[run.id] = run
	m.group.Go(func() { m.carryOut(run, func(context.Context, *Run) error { return failure }) })
}

// Close cancels what runs, waits until it is undone, and refuses new work. When
// ctx ends first, what is left is undone by the next daemon.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel(errClosing)
	done := make(chan struct{})
	go func() { m.group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the tasks to stop: %w", ctx.Err())
	}
}

func (m *Manager) carryOut(run *Run, work Work) {
	m.finish(run, protect(run, work))
	m.leave(run)
}

// leave forgets a task that nobody works on any more.
func (m *Manager) leave(run *Run) {
	m.mu.Lock()
	delete(m.running, run.id)
	m.mu.Unlock()
	close(run.over)
	run.cancel(nil)
}

// protect turns a panic of the work into a failure: one machine's defect must
// not end the daemon that looks after all the others.
func protect(run *Run, work Work) (err error) {
	defer func() {
		if p := recover(); p != nil {
			run.manager.log.Error("a task panicked", "task", run.id, "panic", p)
			err = problem.New(api.KindInternal, "please report this", "the task failed on a defect: %v", p)
		}
	}()
	return work(run.ctx, run)
}

// finish undoes what has to be undone and commits the task's end.
func (m *Manager) finish(run *Run, failure error) {
	ctx := context.WithoutCancel(run.ctx)
	if failure == nil {
		failure = run.End(ctx)
	}
	if run.hasEnded() {
		m.keep(run.id)
		return
	}
	err := m.settle(ctx, run, failure)
	for errors.Is(err, state.ErrNoSpace) {
		run.noteFull()
		if !m.pause() {
			break
		}
		err = m.settle(ctx, run, failure)
	}
	if err != nil {
		m.log.Error("the end of a task could not be stored; the next daemon undoes it", "task", run.id, "failure", failure, "error", err)
		return
	}
	m.keep(run.id)
}

// settle is unwind, again where what an undoer read has changed before its ops were
// committed.
func (m *Manager) settle(ctx context.Context, run *Run, failure error) error {
	for {
		if err := m.unwind(ctx, run, failure); !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

// spacePause is how long the end of a task that found no space waits before it is stored
// again. Until then the task goes on, and what it works on is claimed.
const spacePause = 2 * time.Second

// pause waits for a while; false when the manager is closed.
func (m *Manager) pause() bool {
	select {
	case <-time.After(spacePause):
		return true
	case <-m.base.Done():
		return false
	}
}

// unwind undoes the task's steps and ends it. Work that was cancelled fails in
// whatever way it noticed; that it was cancelled is all there is to say.
func (m *Manager) unwind(ctx context.Context, run *Run, failure error) error {
	state, why := api.TaskFailed, problem.Of(failure)
	if errors.Is(context.Cause(run.ctx), errCancelled) {
		left := ""
		if why.Kind == api.KindCancelled {
			left = why.Help
		}
		state, why = api.TaskCancelled, problem.New(api.KindCancelled, left, "%s was cancelled", run.task().Kind)
	}
	return run.end(ctx, state, why, m.undo(ctx, run))
}

func (m *Manager) undo(ctx context.Context, run *Run) []state.Op {
	var ops []state.Op
	for _, step := range slices.Backward(run.journal()) {
		undoer := m.undoers[step.Kind]
		if undoer == nil {
			run.Warn(fmt.Sprintf("nothing knows how to undo %q", step.Kind))
			continue
		}
		more, err := undoer(ctx, step.Args)
		if err != nil {
			run.Warn(fmt.Sprintf("undoing %s failed: %s", step.Kind, err))
			m.log.Error("undo failed", "task", run.id, "step", step.Kind, "args", string(step.Args), "error", err)
		}
		ops = append(ops, more...)
	}
	return ops
}

// keep remembers an ended task, and forgets the oldest beyond those kept.
func (m *Manager) keep(id string) {
	m.mu.Lock()
	m.ended = append(m.ended, id)
	var drop []state.Op
	for len(m.ended) > kept {
		drop = append(drop, m.tasks.DeleteOp(m.ended[0], 0))
		m.ended = m.ended[1:]
	}
	m.mu.Unlock()
	if len(drop) == 0 {
		return
	}
	if _, err := m.store.Commit(context.WithoutCancel(m.base), drop...); err != nil {
		m.log.Warn("old tasks could not be forgotten", "error", err)
	}
}
