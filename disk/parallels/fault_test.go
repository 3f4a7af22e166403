package parallels_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/parallels"
)

// What fails below an image is told, and nothing is lost by it.
func TestFaults(t *testing.T) {
	for name, s := range map[string]disktest.Subject{
		"ext":         {Variant: "expanding", NoParent: true, Options: map[string]string{"clusterSize": "64K"}},
		"classic":     {Variant: "expanding", NoParent: true, Options: map[string]string{"clusterSize": "64K", "layout": "classic"}},
		"bundle":      {Variant: "expanding", File: bundle, Options: map[string]string{"clusterSize": "64K"}},
		"split":       {Variant: "expanding", File: bundle, Options: map[string]string{"clusterSize": "64K", "split": "1M"}, Size: 1<<20 + 300<<10},
		"plain split": {Variant: "plain", File: bundle, Options: map[string]string{"split": "1M"}, Size: 1<<20 + 300<<10, Block: 512},
	} {
		t.Run(name, func(t *testing.T) {
			s.Format = parallels.Format
			disktest.Faults(t, s)
		})
	}
}
