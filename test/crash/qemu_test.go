package crash

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
)

// killedUnder are places of operations on snapshots, and on places, of running machines where the process of the machine is killed, too.
var killedUnder = map[string][]string{
	"take a snapshot, running":    {"snapshot.marked", "snapshot.branched", "snapshot.taken"},
	"take a snapshot with memory": {"snapshot.branched", "snapshot.memory-written"},
	"restore, keeping what runs":  {"restore.begun", "restore.ended"},
	"delete a snapshot, running":  {"snapshot-delete.removed", "merge.copied", "merge.committed"},
	"shorten chains, running":     {"merge.shorten", "merge.shortened"},
	movedFar:                      {"relocate.branched", "relocate.copied-ahead", "relocate.written", "relocate.in-place"},
}

// TestQEMUIsKilled kills the process of a machine in the midst of operations, and the daemon with it at every other place: what
// snapshots hold and what the guest has written reads as before, nothing is left over, and the operation can be done again.
func TestQEMUIsKilled(t *testing.T) {
	t.Parallel()
	program := needs(t)
	w := newWorld(t, program, still(t))
	alone := true
	for _, op := range slices.Concat(snapshotOperations, placeOperations) {
		for _, place := range killedUnder[op.name] {
			w.killQEMU(op, place, alone)
			alone = !alone
		}
		if op.same && len(killedUnder[op.name]) == 0 && op.name != movedLive {
			t.Errorf("%s: no process is killed under it", op.name)
		}
	}
}

// waitAt lets a daemon take over that stands still at a place, and returns what waits until it does.
func (w *world) waitAt(place string) (passes func()) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "places")
	w.must(syscall.Mkfifo(path, 0o600))
	// Open for both, so that neither side waits for the other to open it.
	places, err := os.OpenFile(path, os.O_RDWR, 0)
	w.must(err)
	w.t.Cleanup(func() { _ = places.Close() })
	w.restart("trace:" + path + ",wait:" + place)
	return func() {
		w.t.Helper()
		w.must(places.SetReadDeadline(time.Now().Add(patience)))
		lines := bufio.NewScanner(places)
		for lines.Scan() {
			if lines.Text() == place {
				return
			}
		}
		w.t.Fatalf("%s was not passed: %v", place, lines.Err())
	}
}

// killQEMU carries an operation out under which the subject's process is killed at a place: alone, or with the daemon.
func (w *world) killQEMU(op operation, place string, alone bool) {
	w.t.Helper()
	w.must(op.ready(w))
	pid := w.get(subject).Status.PID
	what := op.name + ", QEMU killed at " + place
	if alone {
		passes := w.waitAt(place)
		ended := make(chan error, 1)
		go func() { ended <- op.act(w) }()
		passes()
		w.must(syscall.Kill(pid, syscall.SIGKILL))
		w.restart("")
		<-ended // with whatever the daemon that is gone had to say
	} else {
		what += " with the daemon"
		w.restart("kill:" + place)
		err := op.act(w)
		w.died(err)
		kills.Add(1)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH { //nolint:errorlint // it is one
			w.t.Fatal(err)
		}
		w.begin("")
	}
	w.sound()
	if state := w.state(); !slices.Contains([]api.State{api.StateOff, api.StateSaved, op.after}, state) {
		w.t.Errorf("the machine is %s", state)
	}
	op.check(w)
	if w.t.Failed() {
		w.t.Fatalf("after: %s", what)
	}
}
