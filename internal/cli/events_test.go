package cli

import (
	"testing"
	"time"

	"github.com/panalvm/panal/api"
)

// TestDescribeEvent: what moved a machine's memory, and by what the host makes room, is said with its reason.
func TestDescribeEvent(t *testing.T) {
	web := &api.Machine{Spec: api.Spec{Name: "web"}}
	for want, event := range map[string]api.Event{
		"web": {Type: api.MachineChanged, Machine: web},
		"web: memory grow from 512M to 1G: the guest runs short":    {Type: api.MachineChanged, Machine: web, Step: &api.MemoryStep{Time: time.Unix(0, 0), Action: "grow", From: 512 * api.MiB, To: api.GiB, Reason: "the guest runs short"}},
		"web: memory share: its pages are offered":                  {Type: api.MachineChanged, Machine: web, Step: &api.MemoryStep{Action: "share", From: api.GiB, To: api.GiB, Reason: "its pages are offered"}},
		"the host's memory: swap: compressed memory (zram) is full": {Type: api.HostMadeRoom, Memory: &api.HostMemory{Stage: api.StageSwap, Reason: "compressed memory (zram) is full"}},
		"the host's memory: enough":                                 {Type: api.HostMadeRoom, Memory: &api.HostMemory{Stage: api.StageEnough}},
	} {
		if got := describeEvent(event); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestDescribeCap: the narrower of a cap and a limit is shown.
func TestDescribeCap(t *testing.T) {
	for want, cpu := range map[string]api.CPUStats{
		"-": {Count: 2, Cap: 100}, "50 each": {Count: 2, Cap: 50}, "80 in all": {Count: 2, Cap: 50, LimitPercent: 80}, "20 each": {Count: 2, Cap: 20, LimitPercent: 80},
	} {
		if got := describeCap(cpu); got != want {
			t.Errorf("%+v: %q, want %q", cpu, got, want)
		}
	}
}
