package manager

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/guest"
)

func TestWhatMayBeCompacted(t *testing.T) {
	disk := api.Medium{Kind: api.Disk, Location: "/i/d.qcow2"}
	with := func(change func(*api.Medium)) api.Medium {
		m := disk
		change(&m)
		return m
	}
	for name, c := range map[string]struct {
		medium api.Medium
		want   string // "" if it may be
	}{
		"a disk":                {disk, ""},
		"one in a drive":        {with(func(m *api.Medium) { m.Users = []api.MediumUse{{Name: "web"}} }), ""},
		"one that is gone":      {with(func(m *api.Medium) { m.Problem = "there is no such file" }), "no such file"},
		"a disc":                {with(func(m *api.Medium) { m.Kind = api.Optical }), "no disk"},
		"one with differences":  {with(func(m *api.Medium) { m.Children = []string{"u"} }), "differences"},
		"one under a machine":   {with(func(m *api.Medium) { m.Users = []api.MediumUse{{Name: "web", Base: true}} }), "web stands on it"},
		"one that is held":      {with(func(m *api.Medium) { m.Users = []api.MediumUse{{Name: "web", Held: "old", Base: true}} }), "snapshot old of web"},
		"one held among others": {with(func(m *api.Medium) { m.Users = []api.MediumUse{{Name: "web"}, {Name: "db", Held: "old"}} }), "snapshot old of db"},
	} {
		err := compactable(c.medium)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiscardsReachTheImage(t *testing.T) {
	for name, c := range map[string]struct {
		drive api.Drive
		want  string
	}{
		"by default": {api.Drive{Name: "d"}, ""},
		"on":         {api.Drive{Name: "d", Discard: "on"}, ""},
		"off":        {api.Drive{Name: "d", Discard: "off"}, "panal set web drives.d.discard=on"},
		"immutable":  {api.Drive{Name: "d", WriteMode: api.Immutable}, "thrown away"},
		"read-only":  {api.Drive{Name: "d", Mode: api.ReadOnly}, "read-only"},
	} {
		err := discards("web", c.drive)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatAGuestSaysItTrimmed(t *testing.T) {
	for name, c := range map[string]struct {
		said     []guest.Trimmed
		trimmed  api.Size
		refusals []string
	}{
		"nothing":     {nil, 0, nil},
		"two":         {[]guest.Trimmed{{Path: "/", Bytes: 5}, {Path: "/srv", Bytes: 7}}, 12, nil},
		"one refused": {[]guest.Trimmed{{Path: "/", Bytes: 5}, {Path: "/srv", Error: "no"}}, 5, []string{"/srv: no"}},
		"lies":        {[]guest.Trimmed{{Path: "/", Bytes: -5}, {Path: "/srv", Bytes: math.MaxInt64}, {Path: "/a", Bytes: 9}}, math.MaxInt64, nil},
		"long ones":   {[]guest.Trimmed{{Path: strings.Repeat("p", 1000), Error: strings.Repeat("e", 1000)}}, 0, []string{strings.Repeat("p", 100) + ": " + strings.Repeat("e", 200)}},
	} {
		trimmed, refusals := tellTrimmed(c.said)
		if trimmed != c.trimmed || !slices.Equal(refusals, c.refusals) {
			t.Errorf("%s: %v, %q", name, trimmed, refusals)
		}
	}
}
