package machine

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
)

func TestListsOfCPUsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfNDistinct(rapid.IntRange(0, 60), 1, 20, rapid.ID[int]).Draw(t, "list")
		slices.Sort(list)
		got, err := ParseCPUList(FormatCPUList(list))
		if err != nil || !slices.Equal(got, list) {
			t.Fatalf("%v became %q, and that %v, %v", list, FormatCPUList(list), got, err)
		}
	})
}

func TestPins(t *testing.T) {
	for text, want := range map[string]Pins{
		"":                {},
		"0-2,8":           {All: []int{0, 1, 2, 8}},
		"0:4":             {Single: map[int][]int{0: {4}}},
		"0:4,1:5-6,9,3:0": {Single: map[int][]int{0: {4}, 1: {5, 6, 9}, 3: {0}}},
	} {
		got, err := ParsePins(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
	for _, text := range []string{"x", "-", "3-1", "0:", ":1", "0:1,0:2", "1,0:2", "9999", "0:1;1:2", "300:1", "0-99999999999"} {
		if got, err := ParsePins(text); err == nil {
			t.Errorf("%q was taken for %+v", text, got)
		}
	}
}

func FuzzPins(f *testing.F) {
	for _, seed := range []string{"0-2,8", "0:4,1:5-6", ":", "-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pins, err := ParsePins(text)
		if err == nil && text != "" && len(pins.Hosts()) == 0 {
			t.Fatalf("%q names no CPU of the host", text)
		}
	})
}

func TestSchedulingIsChecked(t *testing.T) {
	for _, c := range []struct {
		set   []string
		field string
	}{
		{[]string{"cap=30", "cpu.limit=150%", "cpu.reservation=60%", "cpu.shares=200", "cpu.pin=0:0,1:0-1", "cpu.nodes=0", "os=windows"}, ""},
		{[]string{"cpu.cap=0"}, "cpu.cap"},
		{[]string{"cap=0"}, "cap"},
		{[]string{"cpu.cap=101"}, "cpu.cap"},
		{[]string{"cpu.cap=-1"}, "cpu.cap"},
		{[]string{"cpu.cap=half"}, "cpu.cap"},
		{[]string{"cpu.shares=0"}, "cpu.shares"},
		{[]string{"cpu.shares=10001"}, "cpu.shares"},
		{[]string{"cpu.limit=150"}, "cpu.limit"},
		{[]string{"cpu.limit=50%", "cpu.reservation=51%"}, "cpu.reservation"},
		{[]string{"cpu.limit=500MHz", "cpu.reservation=1GHz"}, "cpu.reservation"},
		{[]string{"cpu.reservation=201%"}, "cpu.reservation"},
		{[]string{"cap=10", "cpu.reservation=21%"}, "cpu.reservation"},
		{[]string{"cpu.pin=2:0"}, "cpu.pin"},
		{[]string{"cpu.pin=a"}, "cpu.pin"},
		{[]string{"cpu.pinEmulator=0:1"}, "cpu.pinEmulator"},
		{[]string{"cpu.nodes=x"}, "cpu.nodes"},
		{[]string{"cpu.nested=maybe"}, "cpu.nested"},
		{[]string{"os=templeos"}, "os"},
	} {
		spec, wrong := Assign(Complete(api.Spec{Name: "a", CPU: api.CPU{Count: 2}}, host), c.set)
		wrong = append(wrong, Validate(spec)...)
		if c.field == "" && len(wrong) > 0 {
			t.Errorf("%v: %v", c.set, wrong)
		}
		if c.field != "" && (len(wrong) == 0 || wrong[0].Field != c.field) {
			t.Errorf("%v: %v, want %s", c.set, wrong, c.field)
		}
	}
}

func TestWhatChangesOfCPUsAreTakenWhen(t *testing.T) {
	spec := Complete(api.Spec{Name: "a", CPU: api.CPU{Count: 2, Maximum: 4}}, host)
	windows := Clone(spec)
	windows.OS = "windows"
	for _, c := range []struct {
		spec  api.Spec
		state api.State
		set   string
		field string
	}{
		{spec, api.StateRunning, "cpu.cap=10", ""},
		{spec, api.StatePaused, "cpu.limit=1GHz", ""},
		{spec, api.StateSaved, "cpu.pin=0", ""},
		{spec, api.StateSaved, "cpu.count=3", "cpu.count"},
		{spec, api.StateSaved, "cpu.nested=on", "cpu.nested"},
		{spec, api.StateRunning, "cpu.nested=on", "cpu.nested"},
		{spec, api.StateRunning, "cpu.count=1", ""},
		{windows, api.StateRunning, "cpu.count=3", ""},
		{windows, api.StateRunning, "cpu.count=1", "cpu.count"},
		{windows, api.StateOff, "cpu.count=1", ""},
	} {
		after, wrong := AssignLive(c.spec, []string{c.set})
		wrong = append(wrong, Immutable(c.spec, after, c.state)...)
		if c.field == "" && len(wrong) > 0 || c.field != "" && (len(wrong) != 1 || wrong[0].Field != c.field) {
			t.Errorf("%s while %s (%s): %v, want %q", c.set, c.state, c.spec.OS, wrong, c.field)
		}
	}
}
