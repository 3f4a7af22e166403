package vhdx

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

// Whatever is done to an image may be broken off.
func TestUpkeep(t *testing.T) {
	for _, variant := range []string{"dynamic", "fixed"} {
		t.Run(variant, func(t *testing.T) {
			disktest.Upkeep(t, disktest.Subject{
				Format: Format, Variant: variant, Options: map[string]string{optionBlock: "1M"}, Block: mib, Size: 3*mib + 512, Rare: variant == "fixed",
			}, nil)
		})
	}
}
