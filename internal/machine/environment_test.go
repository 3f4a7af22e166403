package machine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
)

// told is a machine whose guest is told something.
func told() api.Spec {
	spec := web()
	spec.Drives = append(spec.Drives, api.Drive{Name: "cd", Kind: api.Optical})
	spec.Environment = &api.Environment{
		Drive: "cd", Properties: map[string]string{"role": "web", "password": "geheim"}, Secrets: []string{"password"},
		Entities: []api.Entity{{Name: "db", Properties: map[string]string{"password": "auch geheim"}}},
	}
	return Complete(spec, host)
}

func TestSecretsAreShownToNobodyAndNotLost(t *testing.T) {
	spec := told()
	shown := Conceal(spec)
	if e := shown.Environment; e.Properties["password"] != concealed || e.Entities[0].Properties["password"] != concealed || e.Properties["role"] != "web" {
		t.Errorf("shown %+v", e)
	}
	if diff := cmp.Diff(told(), spec); diff != "" {
		t.Errorf("showing it changed it: %s", diff)
	}
	if diff := cmp.Diff(spec, Reveal(shown, spec)); diff != "" {
		t.Errorf("given back it is another: %s", diff)
	}
	shown.Environment.Properties["password"] = "neu"
	if got := Reveal(shown, spec).Environment.Properties["password"]; got != "neu" {
		t.Errorf("a new secret became %q", got)
	}
}

func TestEnvironmentsAreChanged(t *testing.T) {
	for set, want := range map[string]func(*api.Spec){
		"properties.org.example.size=big":             func(s *api.Spec) { s.Environment.Properties["org.example.size"] = "big" },
		"environment.properties.role=db":              func(s *api.Spec) { s.Environment.Properties["role"] = "db" },
		"properties.role=":                            func(s *api.Spec) { delete(s.Environment.Properties, "role") },
		"environment=none":                            func(s *api.Spec) { s.Environment = nil },
		"properties.password=other environment.id=w1": func(s *api.Spec) { s.Environment.Properties["password"], s.Environment.ID = "other", "w1" },
	} {
		got, wrong := Assign(told(), strings.Fields(set))
		expected := told()
		want(&expected)
		if diff := cmp.Diff(expected, got); wrong != nil || diff != "" {
			t.Errorf("%s: %v\n%s", set, wrong, diff)
		}
	}
	if got, _ := Assign(told(), []string{"properties.role=db"}); got.Environment.Properties["role"] == told().Environment.Properties["role"] {
		t.Error("the change is not there, or is in the original too")
	}
}

func TestEnvironmentsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*api.Spec)
		want   string
	}{
		"as it is":        {func(*api.Spec) {}, ""},
		"no drive":        {func(s *api.Spec) { s.Environment.Drive = "" }, "names no drive"},
		"a missing drive": {func(s *api.Spec) { s.Environment.Drive = "dvd" }, `no drive "dvd"`},
		"a disk":          {func(s *api.Spec) { s.Environment.Drive = s.Drives[0].Name }, "must be an optical drive"},
		"no key":          {func(s *api.Spec) { s.Environment.Properties[""] = "x" }, "no property's key"},
		"control":         {func(s *api.Spec) { s.Environment.Properties["a"] = "\x00" }, "control characters"},
		"long":            {func(s *api.Spec) { s.Environment.Properties["a"] = strings.Repeat("x", maxPropertyValue+1) }, "at most 64 KiB"},
		"a sibling's":     {func(s *api.Spec) { s.Environment.Entities[0].Properties["\x01"] = "" }, "no property's key"},
		"many":            {func(s *api.Spec) { s.Environment.Entities = make([]api.Entity, maxEntities+1) }, "256 is the most"},
	} {
		spec := told()
		c.change(&spec)
		var found []string
		for _, wrong := range Validate(spec) {
			found = append(found, wrong.Field+" "+wrong.Message)
		}
		if all := strings.Join(found, "; "); c.want == "" && all != "" || !strings.Contains(all, c.want) {
			t.Errorf("%s: %q, want %q", name, all, c.want)
		}
	}
}
