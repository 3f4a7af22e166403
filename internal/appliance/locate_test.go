package appliance_test

import (
	"testing"
	"testing/fstest"

	"github.com/panalvm/panal/internal/appliance"
)

func TestReferencesOfOtherComputersAreFoundBesideTheDescription(t *testing.T) {
	files := fstest.MapFS{"vms/web.vmdk": {}, "vms/Snapshots/1.vdi": {}, "other.vmdk": {}}
	for ref, want := range map[string]string{
		"web.vmdk":                         "vms/web.vmdk",
		"Snapshots/1.vdi":                  "vms/Snapshots/1.vdi",
		`Snapshots\1.vdi`:                  "vms/Snapshots/1.vdi",
		"/home/me/vms/web/Snapshots/1.vdi": "vms/Snapshots/1.vdi",
		`C:\Users\me\VMs\web.vmdk`:         "vms/web.vmdk",
		"[datastore1] web/web.vmdk":        "vms/web.vmdk",
		"/vmfs/volumes/0123/web/web.vmdk":  "vms/web.vmdk",
		"../other.vmdk":                    "other.vmdk",
	} {
		if got, found := appliance.Locate(files, "vms", ref); !found || got != want {
			t.Errorf("%s is at %q, %v", ref, got, found)
		}
	}
	for ref, last := range map[string]string{
		"../../etc/passwd": "passwd", "/etc/passwd": "passwd", "gone.vmdk": "gone.vmdk", "": "(no name)", "..": "(no name)", ".": "(no name)",
	} {
		if got, found := appliance.Locate(files, "vms", ref); found || got != last {
			t.Errorf("%q is at %q, %v", ref, got, found)
		}
	}
}
