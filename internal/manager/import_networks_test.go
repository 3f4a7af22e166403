package manager

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/panalvm/panal/api"
)

// An adapter notes what its network was called, whatever takes its place, so that an export can say it.
func TestAdaptersNoteWhatTheirNetworkWasCalled(t *testing.T) {
	job := &importJob{request: api.ImportRequest{Networks: map[string]string{"VM Network": "none"}}}
	spec := api.Spec{Adapters: []api.Adapter{
		{Name: "net0", Network: "user"}, {Name: "net1", Network: "user"}, {Name: "net2", Network: "user"}, {Name: "net3", Network: "none"}, {Name: "net4", Network: "user"},
	}}
	networks := map[string]string{"net0": "VM Network", "net1": "lan\n 2 ", "net2": "NAT", "net3": "Null", "net4": "\u202egnp.exe"}
	job.connect(&spec, networks)
	want := []api.Adapter{
		{Name: "net0", Network: "none", NetworkName: "VM Network"},
		{Name: "net1", Network: "user", NetworkName: "lan 2"},
		{Name: "net2", Network: "user"},
		{Name: "net3", Network: "none"},
		{Name: "net4", Network: "user"},
	}
	if diff := cmp.Diff(want, spec.Adapters); diff != "" {
		t.Error(diff)
	}
	if notes := job.tellNetworks(spec, spec, networks); len(notes) != 2 { // net1 and net4: what takes the place of the others was chosen, or is the same
		t.Errorf("%q", notes)
	}
	job.request.Set = []string{"adapters.net1.network=user", "adapters.4.network=none"}
	if notes := job.tellNetworks(spec, spec, networks); len(notes) != 0 { // what the user has set as a value is no news
		t.Errorf("%q", notes)
	}
	if notes := job.tellNetworks(spec, api.Spec{}, networks); len(notes) != 0 { // nor is an adapter that there is not
		t.Errorf("%q", notes)
	}
}

// A snapshot's adapters are connected as its machine's are.
func TestSnapshotsAreConnectedAsTheUserChose(t *testing.T) {
	now := api.Spec{Adapters: []api.Adapter{
		{Name: "net0", MAC: "52:54:00:00:00:01", Network: "none", NetworkName: "VM Network"}, {Name: "net1", MAC: "52:54:00:00:00:02", Network: "user", NetworkName: "lan"},
	}}
	then := api.Spec{Adapters: []api.Adapter{
		{Name: "net0", MAC: "52:54:00:00:00:01", Network: "user"}, {Name: "net1", MAC: "52:54:00:00:00:09", Network: "user"}, {Name: "net2", Network: "user"},
	}}
	connectAsNow(&then, now, func(adapter string) (string, bool) { return "none", adapter == "net0" })
	want := []api.Adapter{
		{Name: "net0", MAC: "52:54:00:00:00:01", Network: "none", NetworkName: "VM Network"}, {Name: "net1", MAC: "52:54:00:00:00:09", Network: "user"}, {Name: "net2", Network: "user"},
	}
	if diff := cmp.Diff(want, then.Adapters); diff != "" {
		t.Error(diff)
	}
}
