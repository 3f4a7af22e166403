package vdi_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vdi"
)

// Whatever is done to an image may be broken off.
func TestUpkeep(t *testing.T) {
	damaged := map[string][]byte{
		"shared and beyond": built{
			version: 0x00010001, kind: 1, block: 4096, size: 5 * 4096, blocks: []uint32{3, 1, 3, nothing, 5}, used: 2,
			id: 1, modified: 2, data: places(4096, 1, 2, 3, 4, 5, 6, 7),
		}.bytes(),
		"lost": built{
			version: 0x00010001, kind: 1, block: 4096, size: 5 * 4096, blocks: []uint32{9, 1, nothing, 7, 4}, used: 10,
			id: 1, modified: 2, data: places(4096, 1, 2, 3, 4, 5, 6, 7),
		}.bytes(),
	}
	for _, variant := range []string{"dynamic", "fixed"} {
		t.Run(variant, func(t *testing.T) {
			disktest.Upkeep(t, disktest.Subject{
				Format: vdi.Format, Variant: variant, Options: map[string]string{"blockSize": "4K"}, Block: 4 << 10, Size: 24<<12 + 512,
			}, damaged)
			damaged = nil
		})
	}
}
