package crash

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/internal/cgroup"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/process"
)

// operation is something that can go wrong.
type operation struct {
	name string
	// ready brings the subject to where the operation begins.
	ready func(*world) error
	act   func(*world) error
	// before and after are the states that the subject may be in when the
	// operation has gone wrong; absent stands for none.
	before, after api.State
	// final says that there is a step after which the operation is not undone,
	// so that it may be done although it was said to have failed.
	final bool
	// between is another state that it may stop at, if there is one.
	between api.State
	// same says that the process of the subject stays while it is as before.
	same bool
	// resumes says that the subject runs again in the end whatever has happened, without being asked to.
	resumes bool
	// asks says that the guest must do something.
	asks bool
	// check looks at what else must hold, whatever the outcome.
	check func(*world)
}

// absent is the state of a machine that is not there.
const absent api.State = "absent"

// operations are those whose steps are marked.
var operations = slices.Concat(machineOperations, snapshotOperations, placeOperations, streamOperations, encryptedOperations)

// machineOperations are those on machines.
var machineOperations = []operation{
	{
		name: "create", before: absent, after: api.StateOff,
		ready: func(w *world) error { return w.remove(subject) },
		act: func(w *world) error {
			return w.create(subject, api.DiskSource{Path: w.image()}, api.DiskSource{Path: w.image()})
		},
		check: (*world).sourceKept,
	},
	{
		name: "create, moving an image in", before: absent, after: api.StateOff,
		ready: (*world).sourceBack,
		act: func(w *world) error {
			return w.create(subject, api.DiskSource{Path: w.image(), Mode: api.Own})
		},
		check: (*world).sourceSomewhere,
	},
	{
		name: "import", before: absent, after: api.StateOff,
		ready: func(w *world) error { return w.remove(subject) },
		act:   func(w *world) error { return w.importFrom(w.image(), subject) },
		check: (*world).sourceKept,
	},
	{
		name: "import, resumed", before: absent, after: api.StateOff,
		ready: func(w *world) error { w.keeps = true; return w.remove(subject) },
		act:   func(w *world) error { return w.importResuming(w.image(), subject) },
		check: (*world).nothingKept,
	},
	{
		name: "export", before: api.StateOff, after: api.StateOff, ready: (*world).exportReady,
		act:   func(w *world) error { return w.exportTo(subject, w.exportsDir()+"/", true) },
		check: (*world).exportWhole,
	},
	{
		name: "export, running", before: api.StateRunning, after: api.StateRunning, same: true, ready: (*world).runningOnDisk,
		act:   func(w *world) error { return w.exportTo(subject, w.exportsDir()+"/", false) },
		check: (*world).nothingFleeced,
	},
	{
		name: "clone", before: absent, after: api.StateOff,
		ready: func(w *world) error { return errors.Join(w.remove(subject), w.template()) },
		act: func(w *world) error {
			return w.clone(api.CloneRequest{Name: subject})
		},
	},
	{
		name: "clone, linked", before: absent, after: api.StateOff,
		ready: func(w *world) error { return errors.Join(w.remove(subject), w.template()) },
		act: func(w *world) error {
			return w.clone(api.CloneRequest{Name: subject, Linked: true})
		},
	},
	{
		name: "import from a pipe", before: absent, after: api.StateOff,
		ready: func(w *world) error { return w.remove(subject) },
		act:   func(w *world) error { return w.importPiped(w.image(), subject) },
		check: (*world).sourceKept,
	},
	{
		name: "set", before: api.StateOff, after: api.StateOff, ready: (*world).off,
		act:   func(w *world) error { return w.set(subject, "description=changed", "cpus=2") },
		check: (*world).setWholly,
	},
	{
		name: "set CPU time", before: api.StateRunning, after: api.StateRunning, ready: (*world).uncapped, same: true,
		act:   func(w *world) error { return w.set(subject, "description=capped", "cap=40") },
		check: (*world).cappedWholly,
	},
	{
		name: "set memory", before: api.StateRunning, after: api.StateRunning, ready: (*world).unballooned, same: true, asks: true,
		act: func(w *world) error {
			return w.set(subject, "description=smaller", "balloon=32M", "memory.shares=2000")
		},
		check: (*world).balloonedWholly,
	},
	{
		name: "start", before: api.StateOff, after: api.StateRunning, ready: (*world).off,
		act: func(w *world) error { return w.do(subject, (*client.Client).Start) },
	},
	{
		name: "start with a TPM", before: api.StateOff, after: api.StateRunning,
		ready: func(w *world) error {
			if err := w.remove(subject); err != nil {
				return err
			}
			if err := w.create(subject); err != nil {
				return err
			}
			return w.set(subject, "tpm.version=2.0")
		},
		act: func(w *world) error { return w.do(subject, (*client.Client).Start) },
	},
	{
		name: "start on an image that is served", before: api.StateOff, after: api.StateRunning, ready: (*world).offServed,
		act: func(w *world) error { return w.do(subject, (*client.Client).Start) },
	},
	{
		name: "save on an image that is served", before: api.StateRunning, after: api.StateSaved, same: true, final: true,
		ready: func(w *world) error {
			if w.state() == api.StateRunning {
				return nil
			}
			return errors.Join(w.offServed(), w.do(subject, (*client.Client).Start))
		},
		act:   func(w *world) error { return w.do(subject, (*client.Client).Save) },
		check: (*world).savedReadable,
	},
	{
		name: "start from a saved state", before: api.StateSaved, after: api.StateRunning, ready: (*world).saved,
		act: func(w *world) error { return w.do(subject, (*client.Client).Start) },
	},
	{
		name: "save", before: api.StateRunning, after: api.StateSaved, same: true, final: true, ready: (*world).running,
		act:   func(w *world) error { return w.do(subject, (*client.Client).Save) },
		check: (*world).savedReadable,
	},
	{
		name: "attach", before: api.StateOff, after: api.StateOff,
		ready: func(w *world) error { return w.driven(api.StateOff) },
		act:   func(w *world) error { return w.attach("extra") },
		check: (*world).reattachable,
	},
	{
		name: "attach, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error { return w.driven(api.StateRunning) },
		act:   func(w *world) error { return w.attach("extra") },
		check: (*world).reattachable,
	},
	{
		name: "detach, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error { return w.driven(api.StateRunning, "extra") },
		act:   func(w *world) error { return w.detach("extra") },
		check: (*world).reattachable,
	},
	{
		name: "insert, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error { return w.withDisc("") },
		act:   (*world).insert,
		check: (*world).discSomewhere,
	},
	{
		name: "eject, running", before: api.StateRunning, after: api.StateRunning, same: true,
		ready: func(w *world) error { return w.withDisc(w.disc("disc.iso")) },
		act:   (*world).eject,
		check: (*world).discSomewhere,
	},
	{
		name: "stop", before: api.StateRunning, after: api.StateOff, same: true, final: true, ready: (*world).running,
		act: func(w *world) error { return w.do(subject, (*client.Client).Stop) },
	},
	{
		name: "delete", before: api.StateOff, after: absent, ready: (*world).off,
		act: func(w *world) error { return w.delete(subject, false) },
	},
	{
		name: "delete, running", before: api.StateRunning, between: api.StateOff, after: absent, ready: (*world).running,
		act: func(w *world) error { return w.delete(subject, true) },
	},
}

// state is the subject's.
func (w *world) state() api.State {
	m, err := w.find(subject)
	if client.KindOf(err) == api.KindNotFound {
		return absent
	}
	w.must(err)
	return m.Status.State
}

// off, running and saved bring the subject into a state, whatever it is in.
func (w *world) off() error {
	switch w.state() {
	case api.StateOff:
		return w.set(subject, "description=", "cpus=1")
	case absent:
		return w.create(subject)
	}
	return w.do(subject, (*client.Client).Stop)
}

// offServed is off, with disks that QEMU is served: one that it stands on, and
// one that it writes itself.
func (w *world) offServed() error {
	if err := w.remove(subject); err != nil {
		return err
	}
	base, own := filepath.Join(w.images, "base.vdi"), filepath.Join(w.images, "own.vdi")
	for _, path := range []string{base, own} {
		if exists(path) {
			continue
		}
		if _, err := (diskfile.Place{}).Create(path, diskfile.Make{Format: "vdi", Size: 8 << 20}); err != nil {
			return err
		}
	}
	return w.create(subject, api.DiskSource{Path: base}, api.DiskSource{Path: own, Mode: api.Own})
}

func (w *world) running() error {
	switch w.state() {
	case api.StateRunning:
		return nil
	case absent:
		if err := w.create(subject); err != nil {
			return err
		}
	}
	return w.do(subject, (*client.Client).Start)
}

func (w *world) saved() error {
	if w.state() == api.StateSaved {
		return nil
	}
	if err := w.running(); err != nil {
		return err
	}
	return w.do(subject, (*client.Client).Save)
}

// sourceKept checks that the image under overlays is where it was.
func (w *world) sourceKept() {
	if !exists(w.images, "source.qcow2") {
		w.t.Error("the image is not where it was")
	}
}

// sourceBack removes the subject and makes its image anew.
func (w *world) sourceBack() error {
	if err := w.remove(subject); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(w.images, "source.qcow2")); err != nil {
		return err
	}
	w.image()
	return nil
}

// sourceSomewhere checks that the image is either where it was or the subject's.
func (w *world) sourceSomewhere() {
	moved := w.state() != absent
	if kept := exists(w.images, "source.qcow2"); kept == moved {
		w.t.Errorf("the image is where it was: %t; its machine is there: %t", kept, moved)
	}
}

// setWholly checks that both values were set or none, in the file as well.
func (w *world) setWholly() {
	m := w.get(subject)
	if (m.Spec.Description == "changed") != (m.Spec.CPU.Count == 2) {
		w.t.Errorf("set half: description %q, %d CPUs", m.Spec.Description, m.Spec.CPU.Count)
	}
	if err := w.set(subject, "labels.looked=yes"); err != nil { // refused when the file was edited
		w.t.Error(err)
	}
	if err := w.set(subject, "labels.looked="); err != nil {
		w.t.Error(err)
	}
}

// uncapped runs, with all the CPU time that there is.
func (w *world) uncapped() error {
	if err := w.running(); err != nil {
		return err
	}
	return w.set(subject, "description=", "cap=")
}

// cappedWholly checks that both values were set or none, and that the kernel has what the spec says.
func (w *world) cappedWholly() {
	m := w.get(subject)
	if (m.Spec.Description == "capped") != (m.Spec.CPU.Cap == 40) {
		w.t.Errorf("set half: description %q, cap %d", m.Spec.Description, m.Spec.CPU.Cap)
	}
	threads, err := process.Threads(m.Status.PID)
	w.must(err)
	found := false
	for _, tid := range threads {
		dir := cgroup.OfThread(cgroup.CPU, m.Status.PID, tid)
		if !strings.HasPrefix(filepath.Base(dir), "vcpu") {
			continue
		}
		found = true
		if got, err := cgroup.ReadBandwidth(dir); err != nil || int(got.Percent()) != m.Spec.CPU.Cap {
			w.t.Errorf("the kernel has %+v, %v; the spec's cap is %d", got, err, m.Spec.CPU.Cap)
		}
	}
	if !found && os.Geteuid() == 0 {
		w.t.Error("no CPU of the machine is in a group of its own")
	}
}

// unballooned runs, with all of its memory.
func (w *world) unballooned() error {
	if err := w.running(); err != nil {
		return err
	}
	// A guest that is still starting moves nothing, which takes the daemon a while to say.
	var err error
	for range 20 {
		if err = w.set(subject, "balloon=16M"); err == nil {
			break
		}
	}
	return errors.Join(err, w.set(subject, "description=", "balloon=", "memory.shares="))
}

// balloonedWholly checks that all values were set or none, and that the guest has what the spec says, by and by: a daemon
// that takes over asks it again.
func (w *world) balloonedWholly() {
	m := w.get(subject)
	balloon := m.Spec.Memory.Balloon
	if (m.Spec.Description == "smaller") != (balloon == 32*api.MiB) || (balloon == 0) != (m.Spec.Memory.Shares == 0) {
		w.t.Errorf("set half: description %q, balloon %v, shares %d", m.Spec.Description, balloon, m.Spec.Memory.Shares)
	}
	// Asking for it once more waits until the guest has done it.
	if err := w.set(subject, "memory.control=manual", "balloon="+(16*api.MiB).String()); err != nil {
		w.t.Error(err)
	}
	if err := w.set(subject, "memory.control=", "balloon="+balloon.String()); err != nil {
		w.t.Error(err)
	}
	if now := w.get(subject).Status.Memory; now == nil || now.Ballooned != balloon {
		w.t.Errorf("the guest has %+v, and the spec's balloon is %v", now, balloon)
	}
}

// savedReadable checks that what was saved can be started.
func (w *world) savedReadable() {
	if w.state() != api.StateSaved {
		return
	}
	if err := w.do(subject, (*client.Client).Start); err != nil {
		w.t.Error(err)
	}
}
