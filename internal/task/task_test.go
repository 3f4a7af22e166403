package task

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/memstate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a manager over a store in memory, with an undoer that notes what it
// was called with.
type bench struct {
	*Manager
	store  state.Store
	undone []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{store: memstate.New()}
	t.Cleanup(func() { _ = b.store.Close() })
	b.open(t)
	return b
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	note := func(_ context.Context, args json.RawMessage) ([]state.Op, error) {
		b.undone = append(b.undone, string(args))
		return []state.Op{state.Put("undone/"+strings.Trim(string(args), `"`), args)}, nil
	}
	b.Manager = Open(t.Context(), b.store, map[string]Undoer{"note": note}, slog.New(slog.DiscardHandler))
	manager := b.Manager
	t.Cleanup(func() { _ = manager.Close(context.Background()) })
}

func (b *bench) begin(t *testing.T, work Work) api.Task {
	t.Helper()
	begun, err := b.Begin(t.Context(), Order{Kind: "test", Name: "web"}, work)
	if err != nil {
		t.Fatal(err)
	}
	return begun
}

func (b *bench) result(t *testing.T, id string) api.Task {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	ended, err := b.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

func TestWorkThatReturnsIsDone(t *testing.T) {
	b := newBench(t)
	begun := b.begin(t, func(_ context.Context, run *Run) error {
		run.Report(api.Progress{Step: "copying", Done: 1, Total: 2})
		run.Warn("slow disk")
		return nil
	})
	if begun.State != api.TaskRunning || begun.Revision == 0 {
		t.Errorf("it began as %+v", begun)
	}
	ended := b.result(t, begun.ID)
	if ended.State != api.TaskDone || ended.Ended == nil || !slices.Equal(ended.Warnings, []string{"slow disk"}) {
		t.Errorf("it ended as %+v", ended)
	}
	if ended.Progress.Step != "copying" {
		t.Errorf("its progress is %+v", ended.Progress)
	}
}

func TestFailedWorkIsUndoneNewestFirst(t *testing.T) {
	b := newBench(t)
	begun := b.begin(t, func(ctx context.Context, run *Run) error {
		for _, step := range []string{"folder", "disk"} {
			if err := run.Journal(ctx, NewUndo("note", step)); err != nil {
				return err
			}
		}
		return errors.New("the disk broke")
	})
	ended := b.result(t, begun.ID)
	if ended.State != api.TaskFailed || ended.Error == nil || ended.Error.Detail != "the disk broke" {
		t.Errorf("it ended as %+v", ended)
	}
	if want := []string{`"disk"`, `"folder"`}; !slices.Equal(b.undone, want) {
		t.Errorf("undone were %v, want %v", b.undone, want)
	}
	if entry, err := b.store.Get(t.Context(), "undone/folder"); err != nil || string(entry.Value) != `"folder"` {
		t.Errorf("the undoers' ops left %q, %v", entry.Value, err)
	}
}

func TestEndCommitsTheResultWithTheSuccessOrNeither(t *testing.T) {
	b := newBench(t)
	begun := b.begin(t, func(ctx context.Context, run *Run) error {
		if err := run.Journal(ctx, NewUndo("note", "x")); err != nil {
			return err
		}
		return run.End(ctx, state.Create("result", []byte("1")))
	})
	if ended := b.result(t, begun.ID); ended.State != api.TaskDone || len(b.undone) != 0 {
		t.Errorf("it ended as %+v, undone %v", ended, b.undone)
	}
	again := b.begin(t, func(ctx context.Context, run *Run) error {
		if err := run.Journal(ctx, NewUndo("note", "y")); err != nil {
			return err
		}
		return run.End(ctx, state.Create("result", []byte("2")))
	})
	ended := b.result(t, again.ID)
	if ended.State != api.TaskFailed || ended.Error.Kind != api.KindExists || len(b.undone) != 1 {
		t.Errorf("it ended as %+v, undone %v", ended, b.undone)
	}
}

func TestCancelledWorkIsUndone(t *testing.T) {
	b := newBench(t)
	started := make(chan struct{})
	begun := b.begin(t, func(ctx context.Context, run *Run) error {
		if err := run.Journal(ctx, NewUndo("note", "x")); err != nil {
			return err
		}
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	<-started
	cancelling, err := b.Cancel(t.Context(), begun.ID[:4])
	if err != nil || cancelling.State != api.TaskCancelling {
		t.Fatalf("cancel gave %+v, %v", cancelling, err)
	}
	if ended := b.result(t, begun.ID); ended.State != api.TaskCancelled || len(b.undone) != 1 {
		t.Errorf("it ended as %+v, undone %v", ended, b.undone)
	}
	if _, err := b.Cancel(t.Context(), begun.ID); err == nil {
		t.Error("an ended task was cancelled")
	}
}

func TestPanickingWorkFailsAndIsUndone(t *testing.T) {
	b := newBench(t)
	begun := b.begin(t, func(ctx context.Context, run *Run) error {
		if err := run.Journal(ctx, NewUndo("note", "x")); err != nil {
			return err
		}
		panic("a defect")
	})
	if ended := b.result(t, begun.ID); ended.State != api.TaskFailed || ended.Error.Kind != api.KindInternal || len(b.undone) != 1 {
		t.Errorf("it ended as %+v, undone %v", ended, b.undone)
	}
}

func TestNextDaemonUndoesWhatWasCutOff(t *testing.T) {
	b := newBench(t)
	record := Record{
		Task:    api.Task{ID: "cutoff00", Kind: "test", State: api.TaskRunning, Created: time.Now()},
		Journal: []Undo{NewUndo("note", "folder")},
	}
	if _, err := b.tasks.Create(t.Context(), record.ID, record); err != nil {
		t.Fatal(err)
	}
	if err := b.Recover(t.Context(), atOnce); err != nil {
		t.Fatal(err)
	}
	ended, err := b.Get(t.Context(), "cutoff00")
	if err != nil || ended.State != api.TaskFailed || len(b.undone) != 1 {
		t.Errorf("it ended as %+v, %v; undone %v", ended, err, b.undone)
	}
}

// atOnce has nothing wait that is to be recovered.
func atOnce(string) []<-chan struct{} { return nil }

// What must not be touched yet is undone when it may be, and is a task until then; a
// daemon that ends before leaves it to the next.
func TestWhatWasCutOffWaitsToBeUndone(t *testing.T) {
	b := newBench(t)
	record := Record{
		Task:    api.Task{ID: "cutoff00", Kind: "test", State: api.TaskRunning, Created: time.Now()},
		Journal: []Undo{NewUndo("note", "folder")},
	}
	if _, err := b.tasks.Create(t.Context(), record.ID, record); err != nil {
		t.Fatal(err)
	}
	ready := []chan struct{}{make(chan struct{}), make(chan struct{})}
	after := func(id string) []<-chan struct{} { return []<-chan struct{}{ready[0], ready[1]} }
	earlier := Open(t.Context(), b.store, b.undoers, b.log)
	if err := errors.Join(earlier.Recover(t.Context(), after), earlier.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := b.Recover(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	close(ready[0])
	if waits, err := b.Get(t.Context(), "cutoff00"); err != nil || waits.State != api.TaskRunning || len(b.undone) != 0 {
		t.Errorf("before it may be undone it is %+v, %v; undone %v", waits, err, b.undone)
	}
	close(ready[1])
	if ended := b.result(t, "cutoff00"); ended.State != api.TaskFailed || len(b.undone) != 1 {
		t.Errorf("it ended as %+v, undone %v", ended, b.undone)
	}
}

func TestClaimThatDoesNotHoldMakesNoTask(t *testing.T) {
	b := newBench(t)
	order := Order{Kind: "test", Ops: []state.Op{state.Check("claimed", 7)}}
	if _, err := b.Begin(t.Context(), order, func(context.Context, *Run) error { return nil }); !errors.Is(err, state.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if list, err := b.List(t.Context()); err != nil || len(list.Tasks) != 0 {
		t.Errorf("tasks are %+v, %v", list.Tasks, err)
	}
}

func TestOldTasksAreForgotten(t *testing.T) {
	b := newBench(t)
	for range kept + 5 {
		begun := b.begin(t, func(context.Context, *Run) error { return nil })
		b.result(t, begun.ID)
	}
	if list, err := b.List(t.Context()); err != nil || len(list.Tasks) != kept {
		t.Errorf("%d tasks are kept, %v", len(list.Tasks), err)
	}
}

func TestClosingUndoesWhatRuns(t *testing.T) {
	b := newBench(t)
	started := make(chan struct{})
	begun := b.begin(t, func(ctx context.Context, run *Run) error {
		if err := run.Journal(ctx, NewUndo("note", "x")); err != nil {
			return err
		}
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	<-started
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ended := b.result(t, begun.ID); ended.State != api.TaskFailed || len(b.undone) != 1 {
		t.Errorf("it ended as %+v, undone %v", ended, b.undone)
	}
	if _, err := b.Begin(t.Context(), Order{Kind: "late"}, nil); err == nil {
		t.Error("a closed manager took work")
	}
}

func TestRateIsThatOfTheLastSeconds(t *testing.T) {
	var m meter
	at := time.Unix(0, 0)
	var last int64
	for i := range 20 {
		last = m.rate(api.Progress{Step: "s", Done: int64(i) * 100}, at.Add(time.Duration(i)*time.Second))
	}
	if last != 100 {
		t.Errorf("100 a second were measured as %d", last)
	}
}
