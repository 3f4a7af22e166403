package manager

import (
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/runner"
)

// TestLastKnownIsWhatWasWrittenDown, of the memory of a machine whose process does not answer; of one of which nothing was, nothing is known.
func TestLastKnownIsWhatWasWrittenDown(t *testing.T) {
	if got := lastKnown(api.Status{}); got != (runner.Memory{}) {
		t.Errorf("%+v", got)
	}
	got := lastKnown(api.Status{Memory: &api.MemoryStatus{Assigned: 900, Plugged: 500, Ballooned: 100}})
	if want := (runner.Memory{Base: 500, Plugged: 500, Ballooned: 100}); got != want || got.Assigned() != 900 {
		t.Errorf("%+v, want %+v", got, want)
	}
}
