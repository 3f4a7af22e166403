package machine

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
)

// TestCPUsOfARunningMachine tells which changes of its CPUs a machine takes whose guest is in memory.
func TestCPUsOfARunningMachine(t *testing.T) {
	complete := func(arch api.Architecture, set ...string) api.Spec {
		spec, wrong := Assign(api.Spec{Name: "m", Architecture: arch}, set)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		return Complete(spec, Defaults{UUID: "5f8a6bb2-0c3e-4b8e-9d6f-0d9f6f0a7c11"})
	}
	tests := []struct {
		name  string
		arch  api.Architecture
		state api.State
		set   string
		wrong string // empty for what is permitted
	}{
		{"more", api.X8664, api.StateRunning, "cpus=4", ""},
		{"fewer", api.X8664, api.StateRunning, "cpus=1", ""},
		{"more, paused", api.X8664, api.StatePaused, "cpus=3", ""},
		{"fewer, paused", api.X8664, api.StatePaused, "cpus=1", "cpu.count: can only be lowered while the guest runs"},
		{"saved", api.X8664, api.StateSaved, "cpus=3", "cpu.count: can only change while the machine is off"},
		{"another architecture", api.AArch64, api.StateRunning, "cpus=3", "cpu.count: can only change while the machine is off"},
		{"none", api.X8664, api.StateRunning, "cpus=0", "cpus: is 0; CPU 0 is always there"},
		{"more than there can be", api.X8664, api.StateRunning, "cpus=5", "cpu.count: is 5; it must be 1 to 4"},
		{"another maximum", api.X8664, api.StateRunning, "cpu.maximum=8", "cpu.maximum: can only change"},
		{"another topology", api.X8664, api.StateRunning, "cpu.cores=2|cpu.sockets=2", "cpu.cores: can only change"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := complete(test.arch, "cpus=2", "cpu.maximum=4")
			after, wrong := AssignLive(before, strings.Split(test.set, "|"))
			after = Complete(after, Defaults{})
			wrong = append(wrong, Validate(after)...)
			wrong = append(wrong, Immutable(before, after, test.state)...)
			var texts []string
			for _, w := range wrong {
				texts = append(texts, w.Field+": "+w.Message)
			}
			text := strings.Join(texts, "\n")
			if test.wrong == "" && text != "" || !strings.Contains(text, test.wrong) {
				t.Errorf("%s\nwant %q", text, test.wrong)
			}
		})
	}
}
