package parallels_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/parallels"
)

// bundle is what an image is opened by if it is to be a bundle.
func bundle(image string) string { return image + ".hdd/DiskDescriptor.xml" }

// TestConformance runs the suite on every kind that is made here.
func TestConformance(t *testing.T) {
	subjects := map[string]disktest.Subject{
		"expanding": {Variant: "expanding", NoParent: true, Options: map[string]string{"clusterSize": "64K"}},
		"one page":  {Variant: "expanding", NoParent: true, Options: map[string]string{"clusterSize": "4K"}, Block: 4 << 10, Size: 5 << 20, Skip: map[string]string{"crash": "crash/new does it on as many pages of the table, in a tenth of the time"}},
		"classic":   {Variant: "expanding", NoParent: true, Options: map[string]string{"clusterSize": "64K", "layout": "classic"}},
		"plain":     {Variant: "plain", Block: 512, Unsigned: true},
		"bundle":    {Variant: "expanding", Options: map[string]string{"clusterSize": "64K"}, File: bundle},
		"split": {
			Variant: "expanding", Options: map[string]string{"clusterSize": "64K", "split": "1M"},
			Size: 1<<20 + 300<<10, File: bundle, SameSize: true,
			Skip: map[string]string{"stream": "several files do not go through a pipe"},
		},
		"plain split": {
			Variant: "plain", Options: map[string]string{"split": "1M"},
			Size: 1<<20 + 300<<10, File: bundle, Block: 512,
		},
	}
	for name, s := range subjects {
		t.Run(name, func(t *testing.T) {
			s.Format = parallels.Format
			disktest.Run(t, s)
		})
	}
}
