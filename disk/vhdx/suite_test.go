package vhdx

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

func TestSuite(t *testing.T) {
	// Where sectors are larger only their bitmaps are cut differently.
	asSmall := map[string]string{"crash": "as with 512-byte sectors", "crash/new": "as with 512-byte sectors", "concurrent": "as with 512-byte sectors"}
	var asDynamic map[string]string
	if !disktest.Thorough() {
		asDynamic = map[string]string{"crash/new": "as with a dynamic image, of which fewer blocks are there"}
	}
	for _, c := range []struct {
		name    string
		variant string
		options map[string]string
		block   int64
		size    int64
		align   int64
		skip    map[string]string
	}{
		{"dynamic", "dynamic", map[string]string{optionBlock: "1M"}, mib, 2*mib + mib/2 + 512, 512, nil},
		{"fixed", "fixed", map[string]string{optionBlock: "2M"}, 2 * mib, 3*mib + 512, 512, asDynamic},
		{"4096", "dynamic", map[string]string{optionBlock: "1M", optionLogical: "4096"}, mib, 2*mib + 4096, 4096, asSmall},
	} {
		t.Run(c.name, func(t *testing.T) {
			disktest.Run(t, disktest.Subject{Format: Format, Variant: c.variant, Options: c.options, Block: c.block, Size: c.size, Align: c.align, Skip: c.skip})
		})
	}
}
