package machine

import (
	"testing"

	"github.com/panalvm/panal/api"
)

// A machine that an earlier version has made says its size alone.
func TestMemoryOfEarlierVersions(t *testing.T) {
	m := api.Memory{Size: api.GiB}
	if boot, room, parts := BootMemory(m), PluggableMemory(m), PartsFor(m, m.Size); boot != api.GiB || room != 0 || parts != (MemoryParts{}) {
		t.Errorf("it boots with %v and room for %v, in parts %+v", boot, room, parts)
	}
	spec := Complete(api.Spec{Name: "old", Memory: m}, Defaults{UUID: "6e1f3f38-3a0b-4b61-9d3e-6c3a0d2b3a11", Architecture: api.X8664})
	spec.Memory = m
	for _, wrong := range Validate(spec) {
		t.Errorf("it is refused: %v", wrong)
	}
}
