package medium

import (
	"testing"

	"github.com/panalvm/panal/api"
)

func TestViewJoinsWhatIsKnown(t *testing.T) {
	spec := api.Spec{UUID: "u1", Name: "web", Drives: []api.Drive{
		{Name: "disk0", Kind: api.Disk, Mode: api.Overlay, Source: "/i/base.vdi", Format: "vdi", File: "disks/disk0.qcow2"},
		{Name: "cd", Kind: api.Optical, Mode: api.ReadOnly, Source: "/i/cd.iso"},
	}}
	machines := []Machine{{Folder: "/m/web", State: api.StateOff, Spec: spec, Snapshots: map[string]api.Spec{"old": spec}}}
	records := []Record{
		{UUID: "r1", Path: "/i/base.vdi", Format: "vdi", Carried: "c1", Size: 100, Description: "the base"},
		{UUID: "r2", Path: "/i/gone.raw", Format: "raw", Size: 5},
	}
	facts := map[string]Facts{
		"/i/base.vdi":              {Format: "vdi", Size: 100, Carried: "c1"},
		"/m/web/disks/disk0.qcow2": {Format: "qcow2", Size: 100, Parent: "/i/base.vdi"},
		"/i/gone.raw":              {Problem: "there is no such file"},
		"/i/cd.iso":                {Format: "raw", Size: 7},
	}
	view := map[string]api.Medium{}
	for _, m := range View(records, machines, facts) {
		view[m.Location] = m
	}
	if len(view) != 4 {
		t.Fatalf("media are %v", view)
	}
	base, own := view["/i/base.vdi"], view["/m/web/disks/disk0.qcow2"]
	if base.UUID != "r1" || base.Description != "the base" || base.Owner != "" || len(base.Children) != 1 || base.Children[0] != own.UUID || own.Parent != "r1" {
		t.Errorf("base is %+v, own is %+v", base, own)
	}
	if len(base.Users) != 2 || !base.Users[0].Base || base.Users[1].Held != "old" || len(base.WriteModes) != 0 {
		t.Errorf("base's users are %+v", base.Users)
	}
	if own.Owner != "web" || own.Registered || own.WriteModes[0] != api.Normal {
		t.Errorf("own is %+v", own)
	}
	if view["/i/gone.raw"].Problem == "" || view["/i/cd.iso"].WriteModes[0] != api.WriteNothing {
		t.Errorf("the rest is %+v", view)
	}
}

func TestOtherFilesAreNotGuessedAbout(t *testing.T) {
	record := Record{UUID: "r", Path: "/i", Format: "vdi", Carried: "c1", Size: 100}
	for name, c := range map[string]struct {
		facts   Facts
		problem bool
	}{
		"as it was":    {Facts{Format: "vdi", Carried: "c1", Size: 100}, false},
		"grown":        {Facts{Format: "vdi", Carried: "c1", Size: 200}, false},
		"another UUID": {Facts{Format: "vdi", Carried: "c2", Size: 100}, true},
		"converted":    {Facts{Format: "raw", Size: 100}, true},
		"smaller":      {Facts{Format: "vdi", Carried: "c1", Size: 50}, true},
		"gone":         {Facts{Problem: "gone"}, true},
	} {
		got := View([]Record{record}, nil, map[string]Facts{"/i": c.facts})[0]
		if (got.Problem != "") != c.problem {
			t.Errorf("%s: problem is %q", name, got.Problem)
		}
	}
}
