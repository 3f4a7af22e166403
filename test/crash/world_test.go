package crash

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/test/guests"
	"github.com/panalvm/panal/test/harness"
)

// The machines of a world. The bystander runs all the time and nobody may touch
// it; the subject is what operations work on.
const (
	bystander = "bystander"
	subject   = "subject"
)

// patience is how long an operation may take on a slow computer.
const patience = 2 * time.Minute

// world is a home in which daemons come and go.
type world struct {
	*harness.Home
	t       *testing.T
	ctx     context.Context
	program string
	guest   guests.TinyGuest
	daemon  *harness.Daemon
	images  string // where images are that machines are made of
	pid     int    // of the bystander
	// busy says that a daemon goes on that may still be removing the files of a
	// machine which it has forgotten.
	busy bool
}

// newWorld makes a world in which the bystander runs.
func newWorld(t *testing.T, program string, guest guests.TinyGuest) *world {
	t.Helper()
	w := &world{Home: harness.NewHome(t), t: t, program: program, guest: guest}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w.ctx = ctx
	w.images = filepath.Join(w.Dir, "images")
	if err := os.Mkdir(w.images, 0o755); err != nil {
		t.Fatal(err)
	}
	w.begin("")
	w.must(w.create(bystander))
	w.must(w.do(bystander, (*client.Client).Start))
	w.pid = w.get(bystander).Status.PID
	t.Cleanup(w.end)
	return w
}

// end takes the machines away, so that what is left running is a stray.
func (w *world) end() {
	if w.t.Failed() {
		return
	}
	w.settle()
	for _, m := range w.list() {
		w.must(w.remove(m.Name))
	}
	w.must(w.daemon.Stop())
}

// begin starts a daemon with faults.
func (w *world) begin(faults string) {
	w.t.Helper()
	daemon, err := w.Start(w.program, faults)
	if err != nil {
		w.t.Fatalf("start a daemon with the faults %q: %v", faults, err)
	}
	w.daemon = daemon
}

// restart lets a daemon with other faults take over.
func (w *world) restart(faults string) {
	w.t.Helper()
	w.must(w.daemon.Stop())
	w.begin(faults)
}

// settle makes sure that a daemon without faults is there.
func (w *world) settle() {
	w.t.Helper()
	select {
	case <-w.daemon.Ended():
		w.begin("")
	default:
		w.restart("")
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// spec is that of a machine with the tiny guest and without a disk.
func (w *world) spec(name string) api.Spec {
	return api.Spec{
		Name: name, CPU: api.CPU{Count: 1}, Memory: api.Memory{Size: 192 * api.MiB},
		Kernel:   &api.Kernel{Image: w.guest.Kernel, Initrd: w.guest.Initrd, CommandLine: w.guest.Append},
		Adapters: []api.Adapter{},
	}
}

// image makes a source image of a size that shows that it is the whole.
func (w *world) image() string {
	path := filepath.Join(w.images, "source.qcow2")
	if _, err := os.Lstat(path); err == nil {
		return path
	}
	if _, err := (diskfile.Place{}).Create(path, diskfile.Make{Format: "qcow2", Size: 64 << 20}); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// wait follows a task to its end.
func (w *world) wait(c *client.Client, task api.Task, err error) error {
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	ended, err := c.WaitTask(ctx, task, nil)
	if err != nil {
		return err
	}
	return client.TaskError(ended)
}

// with gives f a client that does not wait long for a daemon that was killed.
func (w *world) with(f func(c *client.Client) error) error {
	c := client.New(w.Socket, client.Options{Patience: time.Millisecond})
	defer c.Close()
	return f(c)
}

func (w *world) create(name string, disks ...api.DiskSource) error {
	return w.with(func(c *client.Client) error {
		task, err := c.Create(w.ctx, api.CreateRequest{Spec: w.spec(name), Disks: disks})
		return w.wait(c, task, err)
	})
}

func (w *world) importFrom(source, name string) error {
	return w.with(func(c *client.Client) error {
		task, err := c.Import(w.ctx, api.ImportRequest{Source: source, Name: name})
		return w.wait(c, task, err)
	})
}

// do carries out an operation that is a task.
func (w *world) do(name string, operation func(*client.Client, context.Context, string) (api.Task, error)) error {
	return w.with(func(c *client.Client) error {
		task, err := operation(c, w.ctx, name)
		return w.wait(c, task, err)
	})
}

func (w *world) set(name string, values ...string) error {
	return w.with(func(c *client.Client) error {
		_, err := c.Change(w.ctx, name, api.ChangeRequest{Set: values})
		return err
	})
}

func (w *world) delete(name string, force bool) error {
	return w.with(func(c *client.Client) error {
		task, err := c.Delete(w.ctx, name, api.DeleteRequest{Force: force})
		return w.wait(c, task, err)
	})
}

// remove deletes a machine whatever its state, if there is one.
func (w *world) remove(name string) error {
	err := w.delete(name, true)
	if client.KindOf(err) == api.KindNotFound {
		return nil
	}
	return err
}

func (w *world) get(name string) api.Machine {
	w.t.Helper()
	m, err := w.find(name)
	w.must(err)
	return m
}

func (w *world) find(name string) (m api.Machine, err error) {
	err = w.with(func(c *client.Client) error {
		m, err = c.Get(w.ctx, name)
		return err
	})
	return m, err
}

func (w *world) list() (list []api.Summary) {
	w.t.Helper()
	w.must(w.with(func(c *client.Client) error {
		found, err := c.ListMachines(w.ctx, client.ListFilter{})
		list = found.Machines
		return err
	}))
	return list
}

// exists reports whether a file is there.
func exists(path ...string) bool {
	_, err := os.Lstat(filepath.Join(path...))
	return !errors.Is(err, os.ErrNotExist)
}

// hasSaved reports whether a folder holds a whole saved state.
func hasSaved(folder string) bool {
	entries, err := os.ReadDir(filepath.Join(folder, "saved"))
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".part") {
			return true
		}
	}
	return false
}
