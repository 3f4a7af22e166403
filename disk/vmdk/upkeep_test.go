package vmdk_test

import (
	"bytes"
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/vmdk"
)

// damaged are images to be repaired: those that hold the same when they are,
// and are not only mended when they are closed.
func damaged(t *testing.T) map[string][]byte {
	t.Helper()
	original := small(t, "monolithicSparse")
	first, second := tables(original)
	all := map[string][]byte{}
	for name, h := range harms(first+4, second+4) {
		if name == "unclean" || name == "first entry zeroed" {
			continue
		}
		all[name] = bytes.Clone(original)
		h.damage(all[name])
	}
	return all
}

// Whatever is done to an image may be broken off. Files of one kind only are
// damaged: the others have the same tables.
func TestUpkeep(t *testing.T) {
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) {
			var files map[string][]byte
			if name == "sparse" {
				files = damaged(t)
			}
			disktest.Upkeep(t, s, files)
		})
	}
}

// TestUpkeepOfManyExtents changes descriptors of several sectors.
func TestUpkeepOfManyExtents(t *testing.T) {
	for _, variant := range []string{"twoGbMaxExtentSparse", "twoGbMaxExtentFlat"} {
		t.Run(variant, func(t *testing.T) {
			disktest.Upkeep(t, disktest.Subject{
				Format: vmdk.Format, Variant: variant, Size: 8*64<<10 + 512, Options: map[string]string{"extentSize": "64K"},
			}, nil)
		})
	}
}
