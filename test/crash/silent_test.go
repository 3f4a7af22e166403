package crash

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

// cutOffInSilence kills a daemon that has QEMU write to new images for a snapshot, while QEMU
// answers nobody, and lets the next daemon take over. It returns QEMU's process.
func (w *world) cutOffInSilence() (pid int) {
	w.t.Helper()
	w.must(errors.Join(w.branched(), w.do(subject, (*client.Client).Start)))
	pid = w.get(subject).Status.PID
	w.restart("kill:snapshot.branched")
	w.died(w.take("new", api.TakeSnapshotRequest{}))
	w.must(syscall.Kill(pid, syscall.SIGSTOP))
	w.begin("")
	m := w.get(subject)
	if m.Status.State != api.StateRunning || m.Status.Task == "" || len(m.Status.Warnings) == 0 {
		w.t.Errorf("while its process does not answer it is %+v", m.Status)
	}
	if err := w.take("other", api.TakeSnapshotRequest{}); client.KindOf(err) != api.KindBusy {
		w.t.Errorf("a snapshot of what does not answer: %v", err)
	}
	return pid
}

// untaken checks that the snapshot that was cut off is not there, and can be taken.
func (w *world) untaken() {
	w.t.Helper()
	w.sound()
	if m := w.get(subject); slices.ContainsFunc(m.Snapshots, func(s api.Snapshot) bool { return s.Name == "new" }) {
		w.t.Errorf("there is a snapshot that was cut off: %+v", m.Snapshots)
	}
	w.takenWholly("new")
}

// TestSilenceIsWaitedFor cuts off a snapshot while QEMU does not answer: what it writes to stays
// until it does, and then the snapshot is undone.
func TestSilenceIsWaitedFor(t *testing.T) {
	program := needs(t)
	w := newWorld(t, program, still(t))
	pid := w.cutOffInSilence()
	w.restart("") // another daemon that finds it so
	w.must(syscall.Kill(pid, syscall.SIGCONT))
	w.awaitSubject(func(m api.Machine) bool { return m.Status.Task == "" && len(m.Status.Warnings) == 0 })
	if m := w.get(subject); m.Status.State != api.StateRunning || m.Status.PID != pid {
		t.Errorf("now that it answers it is %+v, and its process was %d", m.Status, pid)
	}
	w.untaken()
	w.must(w.do(subject, (*client.Client).Stop))
	w.untaken()
}

// TestSilenceIsEnded stops a machine whose QEMU does not answer while a snapshot that was cut off
// waits for it to be undone.
func TestSilenceIsEnded(t *testing.T) {
	program := needs(t)
	w := newWorld(t, program, still(t))
	w.cutOffInSilence()
	w.must(w.do(subject, (*client.Client).Stop))
	if m := w.get(subject); m.Status.State != api.StateOff || m.Status.LastEnd == nil || m.Status.LastEnd.Reason != api.EndStopped {
		t.Errorf("stopped, it is %+v", m.Status)
	}
	w.untaken()
}
