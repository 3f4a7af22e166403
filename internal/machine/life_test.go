package machine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
)

func TestAllowed(t *testing.T) {
	states := []api.State{api.StateOff, api.StateStarting, api.StateRunning, api.StatePaused, api.StateStopping, api.StateSaving, api.StateSaved}
	possible := map[Operation]string{ // a letter for each state, in their order
		OpStart:      "o.....S",
		OpStop:       ".srpx.S",
		OpShutdown:   "..r....",
		OpPause:      "..r....",
		OpResume:     "...p...",
		OpReset:      "..rp...",
		OpSave:       "..rp...",
		OpDelete:     "o.....S",
		OpSet:        "osrpxvS",
		OpRename:     "osrpxvS",
		OpConsole:    ".srpxv.",
		OpDisplay:    ".srpxv.",
		OpScreenshot: "..rp...",
	}
	for op, letters := range possible {
		for i, state := range states {
			err := Allowed(op, state)
			if (letters[i] != '.') != (err == nil) {
				t.Errorf("%s while %s: %v", op, state, err)
			}
			var refused *StateError
			if err != nil && (!errors.As(err, &refused) || refused.State != state || refused.Operation != op) {
				t.Errorf("%s while %s: the error is %#v", op, state, err)
			}
		}
	}
	if Allowed("dance", api.StateOff) == nil {
		t.Error("an unknown operation is allowed")
	}
}

func TestStateErrorSaysWhatHelps(t *testing.T) {
	for want, err := range map[string]error{
		"machine is paused; start needs it off or saved; `panal resume` lets it run":              Allowed(OpStart, api.StatePaused),
		"machine is running; start needs it off or saved; nothing is to be done":                  Allowed(OpStart, api.StateRunning),
		"machine is off; pause needs it running; `panal start` starts it":                         Allowed(OpPause, api.StateOff),
		"machine is saved; pause needs it running; `panal start` goes on where it was saved":      Allowed(OpPause, api.StateSaved),
		"machine is stopping; save needs it running or paused; wait until it is off":              Allowed(OpSave, api.StateStopping),
		"machine is running; delete needs it off or saved; `panal shutdown` or `panal stop` ends": Allowed(OpDelete, api.StateRunning),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

func TestDecide(t *testing.T) {
	const no = time.Duration(-1)
	tests := []struct {
		policy   api.RestartPolicy
		most     int
		reason   api.EndReason
		attempts int
		ran      time.Duration
		want     time.Duration
	}{
		{api.RestartNever, 0, api.EndKilled, 0, 0, no},
		{"", 0, api.EndKilled, 0, 0, no},
		{api.RestartAlways, 0, api.EndStopped, 0, 0, no},
		{api.RestartAlways, 0, api.EndSaved, 0, 0, no},
		{api.RestartAlways, 0, api.EndGuestShutdown, 0, 0, time.Second},
		{api.RestartOnFailure, 0, api.EndGuestShutdown, 0, 0, no},
		{api.RestartOnFailure, 0, api.EndGuestPanic, 0, 0, time.Second},
		{api.RestartOnFailure, 0, api.EndFailed, 1, time.Minute, 2 * time.Second},
		{api.RestartOnFailure, 0, api.EndKilled, 8, 0, 256 * time.Second},
		{api.RestartOnFailure, 0, api.EndKilled, 9, 0, 5 * time.Minute},
		{api.RestartOnFailure, 0, api.EndKilled, 1 << 40, 0, 5 * time.Minute},
		{api.RestartOnFailure, 0, api.EndKilled, -1, 0, time.Second},
		{api.RestartOnFailure, 0, api.EndHostRestart, 9, 10 * time.Minute, time.Second},
		{api.RestartOnFailure, 3, api.EndKilled, 2, 0, 4 * time.Second},
		{api.RestartOnFailure, 3, api.EndKilled, 3, 0, no},
		{api.RestartOnFailure, 3, api.EndKilled, 3, 10 * time.Minute, time.Second},
	}
	for _, test := range tests {
		again, wait := Decide(api.Restart{Policy: test.policy, MaxAttempts: test.most}, api.End{Reason: test.reason}, test.attempts, test.ran)
		if again != (test.want != no) || again && wait != test.want {
			t.Errorf("%+v: got %v, %v", test, again, wait)
		}
	}
}

func TestResolve(t *testing.T) {
	all := []Reference{
		{"11aa0000-0000-4000-8000-000000000001", "web"},
		{"11bb0000-0000-4000-8000-000000000002", "web2"},
		{"22cc0000-0000-4000-8000-000000000003", "mail"},
		{"33dd0000-0000-4000-8000-000000000004", "11"},
		{"44ee0000-0000-4000-8000-000000000005", "2x"},
	}
	for ref, want := range map[string]string{
		"web": "web", "web2": "web2", "ma": "mail", "22CC": "mail", "11aa": "web", "11": "11",
		"22cc0000-0000-4000-8000-000000000003": "mail",
		"we":                                   "ambiguous", "2": "ambiguous", "": "not found", "nobody": "not found", "Web": "not found",
	} {
		got, err := Resolve(ref, all)
		var ambiguous *AmbiguousError
		var missing *NotFoundError
		switch {
		case errors.As(err, &ambiguous):
			got.Name = "ambiguous"
		case errors.As(err, &missing):
			got.Name = "not found"
		}
		if got.Name != want {
			t.Errorf("%q is %q (%v), want %q", ref, got.Name, err, want)
		}
	}
}

func TestImmutable(t *testing.T) {
	made := web()
	made.Drives[0].File = "disks/disk0.qcow2"
	tests := []struct {
		set   string
		state api.State
		where string
	}{
		{"name=x description=y labels.a=b autostart=on restart=always", api.StateRunning, ""},
		{"cpus=4 memory=8G", api.StateOff, ""},
		{"cpus=4 memory=8G", api.StateSaved, "cpu.maximum cpu.cores cpu.count memory"},
		{"cpus=4 boot.menu=on", api.StateRunning, "cpu.maximum cpu.cores boot"},
		{"uuid=5f8a6bb2-0c3e-4b8e-9d6f-0d9f6f0a7c12 arch=aarch64", api.StateOff, "uuid architecture"},
		{"drives.disk0.source=/other drives.disk0.size=1G", api.StateOff, "drives[0].size drives[0].source"},
		{"drives.disk0.serial=x drives.b=new drives.b.size=1G", api.StateOff, ""},
		{"drives.disk0=none", api.StateOff, ""},
		{"drives.disk0=none", api.StatePaused, "drives"},
	}
	for _, test := range tests {
		updated, errors := Assign(made, strings.Fields(test.set))
		if errors != nil {
			t.Fatal(errors)
		}
		updated.Firmware = made.Firmware
		var where []string
		for _, e := range Immutable(made, updated, test.state) {
			if e.Field != "machineType" {
				where = append(where, e.Field)
			}
		}
		if got := strings.Join(where, " "); got != test.where {
			t.Errorf("%s while %s: %q, want %q", test.set, test.state, got, test.where)
		}
	}
	forged := Clone(made)
	forged.Drives[0].File = "../../etc/shadow"
	if errors := Immutable(made, forged, api.StateOff); len(errors) != 1 || errors[0].Field != "drives[0].file" {
		t.Errorf("a forged file: %v", errors)
	}
}

func TestSummarize(t *testing.T) {
	spec := web()
	spec.Description = "first line\r\nsecond"
	got := Summarize(api.Machine{Revision: 7, Spec: spec, Status: api.Status{State: api.StateOff}})
	if got.Description != "first line" || got.CPUs != 2 || got.Revision != 7 || got.State != api.StateOff || got.UUID != someUUID {
		t.Errorf("got %+v", got)
	}
}
