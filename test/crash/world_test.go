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
	kernel  api.Kernel // what its machines run
	daemon  *harness.Daemon
	farDir  string // on another file system; see far
	images  string // where images are that machines are made of
	pid     int    // of the bystander
	// busy says that a daemon goes on that may still be removing the files of a
	// machine which it has forgotten.
	busy bool
	// servedPID is the process of the subject that was started on an image that it was
	// served: its image server stays as long as it does, whatever becomes of the image.
	servedPID int
	// killedAt is the place that the last daemon was killed at, while that is looked at.
	killedAt string
	// keeps says that imports keep what is done.
	keeps bool
	// sums are digests of what snapshots of the subject read as, by their names, and of
	// what the subject itself does as "now".
	sums map[string]string
	// known are the passphrases that open a header, by the header that was looked at last.
	known map[string][]string
}

// newWorld makes a world in which the bystander runs.
func newWorld(t *testing.T, program string, kernel api.Kernel) *world {
	t.Helper()
	w := &world{Home: harness.NewHome(t), t: t, program: program, kernel: kernel}
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
	w.must(w.remove(subject)) // which may stand on another one
	for _, m := range w.list() {
		w.must(w.remove(m.Name))
	}
	w.must(w.daemon.Stop())
}

// begin starts a daemon with faults.
func (w *world) begin(faults string) {
	w.t.Helper()
	w.arm(faults)
	daemon, err := w.Start(w.program, "file:"+w.faultsFile())
	if err != nil {
		w.t.Fatalf("start a daemon with the faults %q: %v", faults, err)
	}
	w.daemon = daemon
}

// arm gives the daemon that is there other faults, whose places are counted from now.
func (w *world) arm(faults string) {
	w.t.Helper()
	file := w.faultsFile()
	w.must(os.WriteFile(file+".new", []byte(faults), 0o600))
	w.must(os.Rename(file+".new", file))
}

// faultsFile is where daemons of the world find their faults.
func (w *world) faultsFile() string { return filepath.Join(w.Dir, "faults") }

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

// spec is that of a machine with the world's guest and without a disk.
func (w *world) spec(name string) api.Spec {
	kernel := w.kernel
	return api.Spec{
		Name: name, CPU: api.CPU{Count: 1}, Memory: api.Memory{Size: 192 * api.MiB},
		Kernel:   &kernel,
		Adapters: []api.Adapter{},
	}
}

// image makes a source image of a size that shows that it is the whole.
func (w *world) image() string {
	path := filepath.Join(w.images, "source.qcow2")
	if _, err := os.Lstat(path); err == nil {
		return path
	}
	if _, err := (diskfile.Place{}).Create(path, diskfile.Make{Format: "qcow2", Size: 16 << 20}); err != nil {
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

// importResuming is importFrom that goes on where an earlier one was cut off.
func (w *world) importResuming(source, name string) error {
	return w.with(func(c *client.Client) error {
		task, err := c.Import(w.ctx, api.ImportRequest{Source: source, Name: name, Resume: true})
		return w.wait(c, task, err)
	})
}

// nothingKept checks that an import that is done has given up what it kept, and
// that what others kept is whole.
func (w *world) nothingKept() {
	w.t.Helper()
	begun, err := filepath.Glob(filepath.Join(w.Data, "machines", keptPrefix+"*", "disks", "*.part"))
	w.must(err)
	kept, err := filepath.Glob(filepath.Join(w.Data, "machines", keptPrefix+"*"))
	w.must(err)
	if done := w.state() == api.StateOff; len(begun) > 0 || done && len(kept) > 0 {
		w.t.Errorf("the import is done: %t, and there are %q and %q", done, kept, begun)
	}
	w.sourceKept()
}

// template makes the machine that clones are made of, once.
func (w *world) template() error {
	const name = "golden"
	if _, err := w.find(name); client.KindOf(err) != api.KindNotFound {
		return err
	}
	return errors.Join(w.create(name, api.DiskSource{Path: w.image()}), w.set(name, "template=on"))
}

func (w *world) clone(request api.CloneRequest) error {
	return w.with(func(c *client.Client) error {
		task, err := c.Clone(w.ctx, "golden", request)
		return w.wait(c, task, err)
	})
}

// importPiped is importFrom through the connection.
func (w *world) importPiped(source, name string) error {
	return w.with(func(c *client.Client) error {
		file, err := os.Open(source)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = c.ImportStream(w.ctx, api.ImportRequest{Source: "-", Name: name}, file)
		return err
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
