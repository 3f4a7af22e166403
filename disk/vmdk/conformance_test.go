package vmdk_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vmdk"
)

// subjects are all kinds of images that are made here.
func subjects() map[string]disktest.Subject {
	all := map[string]disktest.Subject{
		"sparse":               {Variant: "monolithicSparse"},
		"sparse, 4K":           {Variant: "monolithicSparse", Block: 4096, Options: map[string]string{"grainSize": "4K"}},
		"sparse, zeroed":       {Variant: "monolithicSparse", Options: map[string]string{"zeroedGrain": "on"}},
		"split sparse":         {Variant: "twoGbMaxExtentSparse"},
		"split sparse, zeroed": {Variant: "twoGbMaxExtentSparse", Options: map[string]string{"zeroedGrain": "on"}, Rare: true},
		"many files":           {Variant: "twoGbMaxExtentSparse", Options: map[string]string{"extentSize": "128K"}},
		"many flat files":      {Variant: "twoGbMaxExtentFlat", Options: map[string]string{"extentSize": "128K"}, Rare: true},
		"flat":                 {Variant: "monolithicFlat"},
		"split flat":           {Variant: "twoGbMaxExtentFlat"},
		"vmfs":                 {Variant: "vmfs", Options: map[string]string{"thin": "on"}},
		"stream":               {Variant: "streamOptimized"},
	}
	for name, s := range all {
		s.Format = vmdk.Format
		all[name] = s
	}
	return all
}

func TestConformance(t *testing.T) {
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) { disktest.Run(t, s) })
	}
}

func TestFaults(t *testing.T) {
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) { disktest.Faults(t, s) })
	}
}

func FuzzOps(f *testing.F) { disktest.FuzzOps(f, disktest.Subject{Format: vmdk.Format}) }
