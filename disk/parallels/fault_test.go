package parallels_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/parallels"
)

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	for _, layout := range []string{"ext", "classic"} {
		t.Run(layout, func(t *testing.T) {
			disktest.Faults(t, disktest.Subject{
				Format: parallels.Format, Variant: "expanding", Options: map[string]string{"clusterSize": "64K", "layout": layout},
			})
		})
	}
}
