package envelope_test

import (
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance/envelope"
)

// What a program would refuse is told as something else, and that is said; what it takes is not.
func TestInsteadIsSaid(t *testing.T) {
	spec := api.Spec{
		Controllers: []api.Controller{{Name: "sata0", Type: api.SATA}, {Name: "virtio0", Type: api.VirtioBlk}, {Name: "scsi0", Type: api.VirtioSCSI}},
		Adapters:    []api.Adapter{{Name: "net0", Model: api.AdapterVirtio}, {Name: "net1", Model: api.AdapterE1000}},
	}
	for dialect, want := range map[envelope.Dialect][]string{
		envelope.ForAny: nil, envelope.ForQEMU: nil, envelope.ForXen: nil,
		envelope.ForVirtualBox: {"controller virtio0: virtualbox does not know virtio-blk; it is described as sata"},
		envelope.ForVMware:     {"controller virtio0: ", "controller scsi0: ", "adapter net0: vmware does not know virtio; it is described as vmxnet3, for which the guest needs a driver"},
	} {
		got := envelope.Instead(dialect, spec)
		if len(got) != len(want) {
			t.Errorf("%s: %q", dialect, got)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s: %q, and not %q", dialect, got[i], want[i])
			}
		}
	}
}
