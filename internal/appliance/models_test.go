package appliance_test

import (
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
)

// TestNotesOfHardwareThatIsGone are outdated, others are not.
func TestNotesOfHardwareThatIsGone(t *testing.T) {
	scsi, lsi, _ := appliance.ControllerModel("lsilogic")
	card, vmxnet, _ := appliance.AdapterModel("vmxnet2")
	_, xen, _ := appliance.ControllerModel("xen")
	spec := api.Spec{Controllers: []api.Controller{{Name: "scsi0", Type: scsi}}, Adapters: []api.Adapter{{Name: "net0", Model: card}}}
	adapted := api.Spec{Controllers: []api.Controller{{Name: "scsi0", Type: api.VirtioSCSI}}, Adapters: []api.Adapter{{Name: "net0", Model: api.AdapterVirtio}}}
	for text, gone := range map[string]bool{lsi: true, vmxnet: true, xen: false, "machines have none here": false} {
		note := appliance.Notef("what", "%s", text)
		if text == "" || note.Outdated(spec) || note.Outdated(adapted) != gone {
			t.Errorf("%q: outdated %v before and %v after, want %v after", text, note.Outdated(spec), note.Outdated(adapted), gone)
		}
	}
}
