package cli

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
)

func TestAnImportWhoseDaemonEndedSaysWhatIsLeft(t *testing.T) {
	gone := &api.Problem{Kind: api.KindUnavailable, Detail: "no daemon listens"}
	for _, c := range []struct {
		state  api.TaskState
		resume bool
		says   string
	}{
		{api.TaskRunning, false, "undoes what was begun (import it again then; with --resume"},
		{api.TaskRunning, true, "undoes what was begun, but for what is copied of disks (the same command goes on there"},
		{api.TaskFailed, true, "no daemon listens"},
	} {
		err := failed("import", "web.ova", cutOff(api.Task{State: c.state}, gone, c.resume))
		if !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "import web.ova: ") {
			t.Errorf("%s, resumed %t: %v", c.state, c.resume, err)
		}
	}
}

func TestAnImportFromAPipeWhoseDaemonEndedSaysWhatIsLeft(t *testing.T) {
	gone := &api.Problem{Kind: api.KindUnavailable, Detail: "write: broken pipe"}
	if err := endedUnder("-", 3<<20, gone); !strings.Contains(err.Error(), "import -: the daemon has ended when 3M of it were sent") || strings.Contains(err.Error(), "broken pipe") {
		t.Error(err)
	}
	other := &api.Problem{Kind: api.KindUnreadable, Detail: "it is cut short"}
	if err := endedUnder("-", 0, other); err != error(other) {
		t.Error(err)
	}
}

func TestACancelledImportSaysOneThing(t *testing.T) {
	kept := api.Task{State: api.TaskCancelled, Error: &api.Problem{Kind: api.KindCancelled, Detail: "machine.import was cancelled", Help: "1 of its disks are kept"}}
	if err := client.TaskError(kept); err.Error() != "cancelled (1 of its disks are kept)" {
		t.Error(err)
	}
	kept.Error = nil
	if err := client.TaskError(kept); err.Error() != "cancelled; what it had begun is undone" {
		t.Error(err)
	}
}

func TestPlansNameTheDisksThatLack(t *testing.T) {
	disks := []api.PlannedDisk{{Drive: "disk0"}, {Drive: "disk1", Problem: "it is not there"}}
	plan := api.ImportPlan{Machines: []api.PlannedMachine{{Disks: disks[:1]}}}
	if lacking := lackingOf(plan); lacking != "" {
		t.Error(lacking)
	}
	plan.Machines = append(plan.Machines, api.PlannedMachine{Disks: disks}, api.PlannedMachine{Disks: disks})
	if lacking := lackingOf(plan); lacking != "2 of its disks cannot be had: it is not there" {
		t.Error(lacking)
	}
}

func TestStreamedSaysWhatIsNeededStill(t *testing.T) {
	own, kept := api.Drive{Name: "disk0", File: "disks/disk0.qcow2"}, api.Drive{Name: "disk1", Source: "/vm/throw.vmdk"}
	if got := streamed([]api.Drive{own}, "complete"); got != "complete" {
		t.Error(got)
	}
	if got := streamed([]api.Drive{own, kept}, "complete"); got != "drawn in; it still needs /vm/throw.vmdk (drive disk1)" {
		t.Error(got)
	}
}
