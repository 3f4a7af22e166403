package manager

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/cgroup"
	"github.com/panalvm/panal/internal/console"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/host"
	"github.com/panalvm/panal/internal/inventory"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/resource/history"
	"github.com/panalvm/panal/internal/retry"
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

	keys keyring // the passphrases of encrypted drives

	statistics *Statistics
	sharing    latest[api.SharingStats] // what is known of the kernel's merging
	reclaiming latest[api.ReclaimStats] // what the host has to move memory out into

	exports places // where exports are writing
	making  places // where media are made, or moved to

	merges *retry.Queue // by machine, merging of images in the background that has failed

	base   context.Context // ends when the manager is closed
	cancel context.CancelFunc
	group  sync.WaitGroup

	// recovered is closed when what an earlier daemon was doing is undone, but for what waits.
	recovered chan struct{}

	// starts is held from looking who uses an image until that is claimed, so that
	// of two machines that would write it one sees the other.
	starts  sync.Mutex
	reading readings // guarded by starts

	controls *cgroup.Tree
	anywhere []int // the CPUs of the host that this daemon may use
	// grouping is held while control groups are made, set and removed, and no other lock is taken meanwhile but mu.
	grouping sync.Mutex

	documents documents

	// claims are the names and UUIDs that imports are going to use.
	claims claims

	tookOver atomic.Bool // what an earlier daemon left is settled

	mu       sync.Mutex // guards what follows
	runs     map[string]*run
	restarts map[string]*time.Timer // of the restart policy
	merging  map[string]string      // by machine, the task that merges its images in the background
	goneOn   map[string]bool        // by machine, whether this daemon has tried to let it go on after it was saved for a moment
	wired    map[string]api.Spec    // what machines are about to be whose drives are changed
	silent   map[string]*silence    // of machines whose processes do not answer
	closed   bool
}

// run is a machine's session and what belongs to it.
type run struct {
	*runner.Session
	// settled is closed when the run has ended and the record says so.
	settled chan struct{}
	// memory is held while the guest's memory is moved, so that command and controller
	// do not ask for two things at once. It comes before all other locks.
	memory sync.Mutex
	// followed is set where the memory follows the guest's demand.
	followed atomic.Pointer[followed]
	// reserve is how many bytes the host holds for it; merging tells that its pages
	// are offered to be merged.
	reserve atomic.Int64
	merging atomic.Bool
	// holds is what its spec says of memory; moving tells that some of it is being moved out.
	holds  atomic.Pointer[followed]
	moving atomic.Bool
	// stuck tells that its process was asked something and has not answered; see promptly.
	stuck atomic.Bool
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
		documents: documents{seed: maphash.MakeSeed()},
		runs:      map[string]*run{}, restarts: map[string]*time.Timer{}, merging: map[string]string{}, goneOn: map[string]bool{}, wired: map[string]api.Spec{}, reading: readings{},
		silent: map[string]*silence{}, recovered: make(chan struct{}),
	}
	m.merges = retry.New(mergeAgainFirst, mergeAgainLast, m.mergeAgain)
	m.controls = cgroup.Open(controlsName(o.Data))
	if m.anywhere, err = process.Affinity(0); err != nil {
		m.anywhere = host.OnlineCPUs()
	}
	m.statistics = &Statistics{Manager: m, looks: map[string]look{}, rings: map[string]*history.Ring[sample]{}}
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
	m.merges.Close()
	if err := m.tasks.Close(ctx); err != nil {
		m.log.Warn("stopping with tasks left; the next daemon undoes them", "error", err)
	}
	m.cancel()
	m.group.Wait()
	if err := m.watcher.Close(); err != nil {
		m.log.Warn("the watch on serial lines could not be ended", "error", err)
	}
	m.inv.Close()
	m.controls.Close()
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
	if err == nil {
		object, err = m.giveWay(ctx, object)
	}
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
	if touching[op] {
		if err := m.notElsewhere(ctx, object); err != nil {
			return object, fmt.Errorf("%s %s: %w", op, object.Value.Spec.Name, err)
		}
	}
	return object, m.answers(ctx, object, op)
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
	object.Value.GoesOn = object.Value.GoesOn && (kind == kindMove || kind == kindStart) // who does something else with it decides otherwise
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

// claimAlso has a task that is ordered work on a machine, too, which stays in its state: as claim does it, with one
// order for several.
func (m *Manager) claimAlso(ctx context.Context, order *task.Order, object inventory.Object) error {
	object.Value.Status.Task = order.ID
	ops, err := m.inv.UpdateOps(ctx, object, object.Value.Spec)
	if err != nil {
		return err
	}
	order.Ops = append(order.Ops, ops...)
	order.Journal = append(order.Journal, task.NewUndo("settle", settle{object.Key}))
	return nil
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
		if err == nil {
			m.goOnWith(object)
		}
		if !isConflict(err) {
			return err
		}
	}
}

// goOnWith begins again what is to be done with a machine in the background, after a task that it gave way to.
func (m *Manager) goOnWith(object inventory.Object) {
	switch {
	case object.Value.Merging:
		m.mergeLater(object.Key)
	case object.Value.Streaming:
		m.streamLater(object.Key)
	}
}

func (m *Manager) folderOf(object inventory.Object) folder.Folder {
	return folder.Folder(object.Value.Folder)
}
