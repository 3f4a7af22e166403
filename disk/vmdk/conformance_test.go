package vmdk_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vmdk"
)

func TestConformance(t *testing.T) {
	subjects := map[string]disktest.Subject{
		"sparse":         {Variant: "monolithicSparse"},
		"sparse, 4K":     {Variant: "monolithicSparse", Block: 4096, Options: map[string]string{"grainSize": "4K"}},
		"sparse, zeroed": {Variant: "monolithicSparse", Options: map[string]string{"zeroedGrain": "on"}},
		"split sparse":   {Variant: "twoGbMaxExtentSparse"},
		"flat":           {Variant: "monolithicFlat"},
		"split flat":     {Variant: "twoGbMaxExtentFlat"},
		"vmfs":           {Variant: "vmfs", Options: map[string]string{"thin": "on"}},
		"stream":         {Variant: "streamOptimized"},
	}
	for name, s := range subjects {
		s.Format = vmdk.Format
		t.Run(name, func(t *testing.T) { disktest.Run(t, s) })
	}
}

func FuzzOps(f *testing.F) { disktest.FuzzOps(f, disktest.Subject{Format: vmdk.Format}) }
