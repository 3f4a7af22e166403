package crash

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/imageserver"
)

// keptPrefix begins the names of folders in which imports keep what is done.
const keptPrefix = ".import-"

// sound checks what must hold after every accident, once a daemon has taken
// over.
func (w *world) sound() {
	w.t.Helper()
	w.startsEnded()
	if m := w.get(bystander); m.Status.State != api.StateRunning || m.Status.PID != w.pid || !exists("/proc", strconv.Itoa(w.pid)) {
		w.t.Errorf("the bystander ran in process %d and is now %s in %d", w.pid, m.Status.State, m.Status.PID)
	}
	var machines []api.Machine
	for _, summary := range w.list() {
		machines = append(machines, w.get(summary.UUID))
	}
	for _, m := range machines {
		w.whole(m)
	}
	w.noDebris(machines)
	w.noStrays(machines)
	w.tasksEnded()
}

// startsEnded waits until the machines run that the daemon starts by itself, which were to go on.
func (w *world) startsEnded() {
	w.t.Helper()
	w.must(w.with(func(c *client.Client) error {
		list, err := c.Tasks(w.ctx)
		for _, task := range list.Tasks {
			if err == nil && task.Kind == "machine.start" && !task.State.Ended() {
				_, err = c.WaitTask(w.ctx, task, nil)
			}
		}
		return err
	}))
}

// whole checks one machine: its state is one to rest in, and its files agree. One whose images are
// merged in the background meanwhile is looked at once more.
func (w *world) whole(m api.Machine) {
	w.t.Helper()
	name, status := m.Spec.Name, m.Status
	if status.Task != "" && !w.mergingNow(status.Task) {
		w.t.Errorf("%s is still claimed by task %s", name, status.Task)
	}
	alive := status.State == api.StateRunning || status.State == api.StatePaused
	if !alive && status.State != api.StateOff && status.State != api.StateSaved {
		w.t.Errorf("%s is %s", name, status.State)
	}
	if saved := hasSaved(m.Folder); saved != (status.State == api.StateSaved) {
		w.t.Errorf("%s is %s, and that it has a saved state is %t", name, status.State, saved)
	}
	if alive && !exists("/proc", strconv.Itoa(status.PID)) {
		w.t.Errorf("%s is %s in process %d, which is not there", name, status.State, status.PID)
	}
	for _, file := range append([]string{"machine.json"}, files(m)...) {
		if exists(m.Folder, file) {
			continue
		}
		if now := w.get(m.Spec.UUID); now.Revision != m.Revision {
			w.whole(now)
			return
		}
		w.t.Errorf("%s lacks %s", name, file)
	}
	if exists(m.Folder, "saved", "state.zst.part") {
		w.t.Errorf("%s has part of a saved state", name)
	}
}

func files(m api.Machine) (list []string) {
	for _, drive := range m.Spec.Drives {
		if drive.File != "" {
			list = append(list, drive.File)
		}
	}
	return list
}

// noDebris checks that there are folders of the machines and nothing else.
func (w *world) noDebris(machines []api.Machine) {
	w.t.Helper()
	var folders, runs, served []string
	for _, m := range machines {
		if filepath.Dir(m.Folder) == filepath.Join(w.Data, "machines") {
			folders = append(folders, filepath.Base(m.Folder))
		}
		if m.Status.PID != 0 {
			runs = append(runs, m.Spec.UUID)
		}
		if w.isServed(m) {
			served = append(served, m.Spec.UUID)
		}
	}
	w.holdsOnly(filepath.Join(w.Data, "machines"), folders)
	w.holdsOnly(filepath.Join(w.Runtime, "m"), runs)
	w.holdsOnly(filepath.Join(w.Runtime, "i"), served)
}

// isServed tells whether a machine runs and has an image that it is served, or had one.
func (w *world) isServed(m api.Machine) bool {
	return m.Status.PID != 0 && (m.Status.PID == w.servedPID || slices.ContainsFunc(m.Spec.Drives, func(d api.Drive) bool { return d.Format == "vdi" }))
}

func (w *world) holdsOnly(dir string, want []string) {
	w.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && (len(want) > 0 || exists(dir)) {
		w.t.Error(err)
	}
	var got []string
	for _, entry := range entries {
		passing := w.busy && strings.HasPrefix(entry.Name(), ".deleted-") || w.keeps && strings.HasPrefix(entry.Name(), keptPrefix)
		if !passing {
			got = append(got, entry.Name())
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// noStrays checks that the processes here are the daemon and those of machines
// that run.
func (w *world) noStrays(machines []api.Machine) {
	w.t.Helper()
	processes, err := w.Processes()
	if err != nil {
		w.t.Error(err)
	}
	servers := 0
	for _, p := range processes {
		belongs := p.PID == w.daemon.PID || slices.ContainsFunc(machines, func(m api.Machine) bool {
			if w.isServed(m) && strings.Contains(p.Command, imageserver.Command) && strings.Contains(p.Command, m.Spec.UUID) {
				servers++
				return true
			}
			return m.Status.PID == p.PID || m.Status.PID != 0 && m.Spec.TPM != nil && strings.Contains(p.Command, m.Spec.UUID)
		})
		if !belongs {
			w.t.Errorf("stray process %s", p)
		}
	}
	served := 0
	for _, m := range machines {
		if w.isServed(m) {
			served++
		}
	}
	if servers != served {
		w.t.Errorf("there are %d image servers for %d machines", servers, served)
	}
}

// tasksEnded checks that no task is left half done.
func (w *world) tasksEnded() {
	w.t.Helper()
	w.must(w.with(func(c *client.Client) error {
		list, err := c.Tasks(w.ctx)
		for _, task := range list.Tasks {
			if merging(task) {
				continue
			}
			if !task.State.Ended() {
				w.t.Errorf("task %s of %s is %s", task.Kind, task.Name, task.State)
			}
			if len(task.Warnings) > 0 && !expected(task) && !(w.keeps && strings.Contains(task.Warnings[0], "disks are kept")) {
				w.t.Errorf("task %s of %s: %q", task.Kind, task.Name, task.Warnings)
			}
		}
		return err
	}))
}
