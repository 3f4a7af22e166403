package manager

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/console"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/host"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/runner"
	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/task"
)

// Options is what a manager works with.
type Options struct {
	Store   state.Store
	Host    *host.Host
	Data    string            // the data directory
	Runtime string            // the runtime directory
	User    *process.Identity // whom QEMU runs as; nil for the daemon's own user
	BootID  string            // of the host's present boot
	Logger  *slog.Logger
}

// Manager carries out what is asked of machines.
type Manager struct {
	Options
	log   *slog.Logger
	inv   *inventory.Inventory
	tasks *task.Manager
	// watcher tells of what serial lines print.
	watcher *console.Watcher

	base   context.Context // ends when the manager is closed
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	runs     map[string]*run
	restarts map[string]*time.Timer // of the restart policy
	closed   bool
}

// run is a machine's session and what belongs to it.
type run struct {
	*runner.Session
	// settled is closed when the run has ended and the record says so.
	settled chan struct{}
}

// Open takes over the machines that the store knows: it adopts what runs and
// cleans up what an earlier daemon left undone. It returns when every record
// agrees with what is there; ctx bounds only that.
func Open(ctx context.Context, o Options) (*Manager, error) {
	inv, err := inventory.Open(ctx, o.Store, o.Logger)
	if err != nil {
		return nil, err
	}
	watcher, err := console.NewWatcher()
	if err != nil {
		inv.Close()
		return nil, err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &Manager{
		Options: o, log: o.Logger, inv: inv, watcher: watcher, base: base, cancel: cancel,
		runs: map[string]*run{}, restarts: map[string]*time.Timer{},
	}
	m.tasks = task.Open(base, o.Store, m.undoers(), o.Logger)
	if err := m.takeOver(ctx); err != nil {
		m.Close(ctx)
		return nil, fmt.Errorf("take over the machines: %w", err)
	}
	return m, nil
}

// Close stops the manager: tasks are undone, machines run on.
func (m *Manager) Close(ctx context.Context) {
	m.mu.Lock()
	m.closed = true
	for _, timer := range m.restarts {
		timer.Stop()
	}
	m.mu.Unlock()
	if err := m.tasks.Close(ctx); err != nil {
		m.log.Warn("stopping with tasks left; the next daemon undoes them", "error", err)
	}
	m.cancel()
	m.group.Wait()
	if err := m.watcher.Close(); err != nil {
		m.log.Warn("the watch on serial lines could not be ended", "error", err)
	}
	m.inv.Close()
}

// Tasks are the tasks that the manager runs.
func (m *Manager) Tasks() *task.Manager { return m.tasks }

// Count is how many machines there are, and how many have a process.
func (m *Manager) Count(ctx context.Context) (known, live int, err error) { return m.inv.Count(ctx) }

// machinesDir is where the folders of machines are made.
func (m *Manager) machinesDir() string { return filepath.Join(m.Data, "machines") }

// runtimeDir is a machine's runtime directory. The names are short because a
// socket's path may have only 107 bytes.
func (m *Manager) runtimeDir(uuid string) runner.Dir {
	return runner.Dir(filepath.Join(m.Runtime, "m", uuid))
}

// running is a machine's run; nil when it has none.
func (m *Manager) running(uuid string) *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[uuid]
}

// allowed finds the machine of a reference and checks that an operation is
// possible: that its state allows it and that no task is at work on it.
func (m *Manager) allowed(ctx context.Context, ref string, op machine.Operation) (inventory.Object, error) {
	object, err := m.inv.Find(ctx, ref)
	if err != nil {
		return object, err
	}
	status := object.Value.Status
	if err := machine.Allowed(op, status.State); err != nil {
		return object, fmt.Errorf("%s %s: %w", op, object.Value.Spec.Name, err)
	}
	if status.Task != "" {
		return object, problem.New(api.KindBusy, "wait for it (panal task wait "+status.Task+"), or cancel it",
			"%s %s: task %s is at work on it", op, object.Value.Spec.Name, status.Task)
	}
	return object, nil
}

// settle is the arguments of the undo step of the same name.
type settle struct {
	UUID string `json:"uuid"`
}

// claim makes the order of a task that works on a machine, which goes into the
// state given at once. However the task ends short of success, the machine's
// record is made to agree with what is there.
func (m *Manager) claim(ctx context.Context, object inventory.Object, kind string, enter api.State) (task.Order, error) {
	id := task.NewID()
	spec := object.Value.Spec
	object.Value.Status.Task = id
	m.enter(&object.Value, enter)
	ops, err := m.inv.UpdateOps(ctx, object, spec)
	if err != nil {
		return task.Order{}, err
	}
	return task.Order{
		ID: id, Kind: kind, Machine: spec.UUID, Name: spec.Name, Ops: ops,
		Journal: []task.Undo{task.NewUndo("settle", settle{spec.UUID})},
	}, nil
}

// enter puts a machine into a state.
func (m *Manager) enter(record *inventory.Record, state api.State) {
	if record.Status.State != state {
		record.Status.State, record.Status.Since = state, time.Now().UTC()
	}
}

// finish ends a task as done, with its machine changed and released. Change is
// called again when the record was changed by somebody else meanwhile.
func (m *Manager) finish(ctx context.Context, r *task.Run, uuid string, change func(*inventory.Record) error) error {
	for {
		object, err := m.inv.Get(ctx, uuid)
		if err != nil {
			return err
		}
		before := object.Value.Spec
		if err := change(&object.Value); err != nil {
			return err
		}
		object.Value.Status.Task = ""
		ops, err := m.inv.UpdateOps(ctx, object, before)
		if err == nil {
			err = r.End(ctx, ops...)
		}
		if !isConflict(err) {
			return err
		}
	}
}

func (m *Manager) folderOf(object inventory.Object) folder.Folder {
	return folder.Folder(object.Value.Folder)
}
